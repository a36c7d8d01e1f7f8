"""Damage done to valid bytes: flipped, overwritten, cut out, repeated, and numbers of all sizes."""

from __future__ import annotations

import random
import re
import struct

NUMBERS = (
    b"0",
    b"-1",
    b"1e999",
    b"nan",
    b"1e-300",
    b"65536",
    b"1000000",
    b"99999999999999999999",
    b"-2147483648",
    b"0.0000001",
    b"",
)
WORDS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def mutated(rng: random.Random, raw: bytes, header: int) -> bytes:
    """``raw`` damaged in one to four ways, mostly within its first ``header`` bytes."""
    data = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 4))):
        if data:
            rng.choice(WAYS)(rng, data, header)
    return bytes(data)


def _place(rng: random.Random, data: bytearray, header: int) -> int:
    return rng.randrange(min(len(data), header) if rng.random() < 0.8 else len(data))


def _flip(rng: random.Random, data: bytearray, header: int) -> None:
    data[_place(rng, data, header)] ^= 1 << rng.randrange(8)


def _byte(rng: random.Random, data: bytearray, header: int) -> None:
    data[_place(rng, data, header)] = rng.randrange(256)


def _word(rng: random.Random, data: bytearray, header: int) -> None:
    """A binary number of one, two or four bytes that is at the end of its range."""
    at, word = _place(rng, data, header), rng.choice(WORDS)
    raw = struct.pack("<I", word)[: rng.choice((1, 2, 4))]
    data[at : at + len(raw)] = raw


def _real(rng: random.Random, data: bytearray, header: int) -> None:
    at = _place(rng, data, header) // 4 * 4
    number = rng.choice((float("nan"), float("inf"), -1.0, 0.0, 1e30, 1e-30))
    data[at : at + 4] = struct.pack("<f", number)


def _text_number(rng: random.Random, data: bytearray, header: int) -> None:
    """A number written in letters becomes another one."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", bytes(data[:header])))
    if found:
        where = rng.choice(found)
        data[where.start() : where.end()] = rng.choice(NUMBERS)


def _cut(rng: random.Random, data: bytearray, header: int) -> None:
    at = _place(rng, data, header)
    del data[at : at + rng.choice((1, 2, 8, 64))]


def _end(rng: random.Random, data: bytearray, header: int) -> None:
    del data[_place(rng, data, header) :]


def _repeat(rng: random.Random, data: bytearray, header: int) -> None:
    at = _place(rng, data, header)
    data[at:at] = data[at : at + rng.choice((1, 4, 16, 200))]


WAYS = (_flip, _byte, _word, _real, _text_number, _text_number, _cut, _end, _repeat)
