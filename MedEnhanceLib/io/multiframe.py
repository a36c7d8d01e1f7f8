"""Where the frames of a multi-frame DICOM file lie.

Enhanced CT and MR files hold a whole stack, and state each frame's position in nested sequences
that SimpleITK does not show. ITK itself takes only the first ones, and for an uneven stack silently
falls back to 1 mm. So the stated values are looked for in the header's bytes.
"""

from __future__ import annotations

import math
import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

Numbers = tuple[float, ...]

POSITION, ORIENTATION = b"\x20\x00\x32\x00", b"\x20\x00\x37\x00"
SPACING = b"\x28\x00\x30\x00"
INTERCEPT, SLOPE = b"\x28\x00\x52\x10", b"\x28\x00\x53\x10"
EACH_FRAME = b"\x00\x52\x30\x92"
PIXELS = b"\xe0\x7f\x10\x00"
LONGEST_VALUE = 128


@dataclass(frozen=True)
class Places:
    """What a multi-frame file says of its frames.

    Attributes:
        positions: LPS mm of the first pixel of each frame, in the order of the frames.
        axes: the directions of columns and rows, one for all frames or one for each.
        spacing: mm between columns and between rows.
        is_uniform: whether all frames' values are scaled in the same way.
    """

    positions: tuple[Numbers, ...]
    axes: tuple[Numbers, ...]
    spacing: tuple[float, float]
    is_uniform: bool

    def axes_of(self, frame: int) -> Numbers:
        """Six numbers: the direction along which columns, then rows, count up."""
        return self.axes[frame % len(self.axes)]


def find_places(path: Path, frames: int) -> Places | None:
    """The places of all frames, or None when the file does not state them one by one."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
            # An icon has pixels too; it comes before what is said of each frame.
            first = max(0, raw.find(EACH_FRAME))
            end = raw.find(PIXELS, first)
            header = raw[: end if end >= 0 else len(raw)]
    except (OSError, ValueError):
        return None
    positions = tuple(_values(header, POSITION, 3))
    axes = tuple(_values(header, ORIENTATION, 6))
    spacings = set(_values(header, SPACING, 2))
    if len(positions) != frames or len(axes) not in (1, frames) or len(spacings) != 1:
        return None
    between_rows, between_columns = spacings.pop()
    if min(between_rows, between_columns) <= 0:
        return None
    is_uniform = all(_is_shared(header, first, tag, frames) for tag in (INTERCEPT, SLOPE))
    return Places(positions, axes, (between_columns, between_rows), is_uniform)


def _is_shared(header: bytes, first: int, tag: bytes, frames: int) -> bool:
    """Whether a tag has the same value in all frames, which ``first`` begins to speak of."""
    said_of_each = sum(1 for _ in _values(header[first:], tag, 1))
    return len(set(_values(header, tag, 1))) <= 1 and said_of_each % frames == 0


def _values(header: bytes, tag: bytes, count: int) -> Iterator[Numbers]:
    """The values of a tag wherever it stands, with its type spelled out or implied."""
    for match in re.finditer(re.escape(tag) + rb"(DS(..)|(....))", header, re.DOTALL):
        length = int.from_bytes(match.group(2) or match.group(3), "little")
        if length <= LONGEST_VALUE:
            text = header[match.end() : match.end() + length].decode("latin-1")
            numbers = numbers_in(text)
            if len(numbers) == count:
                yield numbers


def numbers_in(text: str) -> Numbers:
    """The values of a decimal string; none when one of them is no finite number, such as "0,7"."""
    try:
        numbers = tuple(float(part) for part in text.strip(" \0").split("\\"))
    except ValueError:
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()
