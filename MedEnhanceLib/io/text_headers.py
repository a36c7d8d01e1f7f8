"""The text with which NRRD and MetaImage files begin."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from MedEnhanceLib.errors import FileError

LONGEST_HEADER = 1 << 20


@dataclass(frozen=True)
class TextHeader:
    """What a header states.

    Attributes:
        fields: key and value, in the order of the lines.
        length: byte of the file at which data may follow, or 0 where the header has no end.
    """

    fields: tuple[tuple[bytes, bytes], ...]
    length: int


def nrrd_header(path: Path) -> TextHeader:
    """A NRRD file's header, which ends with an empty line or the file; keys are in lower case."""
    fields: list[tuple[bytes, bytes]] = []
    read = 0
    start = _start(path)
    for line in start.splitlines(keepends=True):
        read += len(line)
        if not line.rstrip(b"\r\n"):
            return TextHeader(tuple(fields), read)
        key, found, value = line.partition(b":")
        if found and not value.startswith(b"="):
            fields.append((key.strip().lower(), value.strip()))
    if len(start) == LONGEST_HEADER:
        raise _no_header(path, "NRRD")
    return TextHeader(tuple(fields), 0)


def meta_header(path: Path) -> TextHeader:
    """A MetaImage file's header, which ends with the line that names the data.

    It is read as ITK reads it, down to bytes that no program writes: what is checked must be what
    is used. Where a line has no separator ITK goes on to the next one that has; such a header is
    refused.
    """
    fields: list[tuple[bytes, bytes]] = []
    read = 0
    lines = _start(path).split(b"\n")
    for number, line in enumerate(lines, 1):
        read += len(line) + 1
        if not line.strip():
            continue
        name, *value = re.split(rb"[=:][=:\s]*", line, maxsplit=1)
        # The last one may be cut off.
        if not value and fields and number < len(lines):
            raise FileError(
                f"Line {number} of the header of '{path.name}' has no '='; delete that line, or "
                "export the file again."
            )
        if not value:
            break
        key = name.lstrip().partition(b"\r")[0].rstrip(b" \t").partition(b"\0")[0]
        fields.append((key, value[0].strip()))
        if key == b"ElementDataFile":
            if not value[0].strip():
                break
            return TextHeader(tuple(fields), read)
    raise _no_header(path, "MetaImage")


def _start(path: Path) -> bytes:
    """What a file that starts as text begins with."""
    try:
        with path.open("rb") as file:
            return file.read(LONGEST_HEADER)
    except OSError as error:
        raise FileError(f"'{path.name}' cannot be read: {error.strerror}.") from error


def _no_header(path: Path, kind: str) -> FileError:
    return FileError(
        f"'{path.name}' is damaged: it does not begin with a header of {kind} (of at most 1 MB); "
        "copy or export it again."
    )
