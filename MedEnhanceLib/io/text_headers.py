"""The text with which NRRD and MetaImage files begin."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from MedEnhanceLib.errors import FileError

LONGEST_HEADER = 1 << 20


@dataclass(frozen=True)
class TextHeader:
    """What a header states.

    Attributes:
        fields: key and value, in the order of the lines.
        length: byte of the file at which data may follow, or 0 where the end was not found.
    """

    fields: tuple[tuple[bytes, bytes], ...]
    length: int


def nrrd_header(path: Path) -> TextHeader:
    """A NRRD file's header, which ends with an empty line; keys are in lower case."""
    fields: list[tuple[bytes, bytes]] = []
    read = 0
    for line in _first_lines(path):
        read += len(line)
        if not line.rstrip(b"\r\n"):
            return TextHeader(tuple(fields), read)
        key, found, value = line.partition(b":")
        if found and not value.startswith(b"="):
            fields.append((key.strip().lower(), value.strip()))
    return TextHeader(tuple(fields), 0)


def meta_header(path: Path) -> TextHeader:
    """A MetaImage file's header, which ends with the line that names the data."""
    fields: list[tuple[bytes, bytes]] = []
    read = 0
    for line in _first_lines(path):
        read += len(line)
        key, *value = re.split(rb"[=:]", line, maxsplit=1)
        fields.append((key.strip(), b"".join(value).strip()))
        if key.strip() == b"ElementDataFile":
            return TextHeader(tuple(fields), read)
    return TextHeader(tuple(fields), 0)


def _first_lines(path: Path) -> Iterable[bytes]:
    """The lines with which a file that starts as text begins, with their ends."""
    try:
        with path.open("rb") as file:
            return file.read(LONGEST_HEADER).splitlines(keepends=True)
    except OSError as error:
        raise FileError(f"'{path.name}' cannot be read: {error.strerror}.") from error
