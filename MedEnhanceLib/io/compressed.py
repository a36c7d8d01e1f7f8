"""Whether the compressed voxels of NRRD and MetaImage files are whole.

ITK unpacks garbled data to garbled voxels, and does not look at the checksum behind them. Voxels
that only ITK finds, as those in a list of files, are left to it.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path

from MedEnhanceLib.io.text_headers import TextHeader
from MedEnhanceLib.io.toolkit import truncated

# So little at once that data, however dense, do not fill the memory when unpacked.
CHUNK = 1 << 14
GARBLED = "its compressed data ends early or is garbled"
GZIP = (b"gzip", b"gz")
# Of the number of lines before the data.
MOST_DIGITS = 9
GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


def check_nrrd_voxels(path: Path, header: TextHeader) -> None:
    """Raise `FileError` when compressed voxels do not unpack to what was packed."""
    fields = {key.replace(b" ", b""): value for key, value in header.fields}
    if fields.get(b"encoding", b"").lower() not in GZIP:
        return
    lines = fields.get(b"lineskip", b"0")
    named = fields.get(b"datafile")
    if lines.isdigit() and (named or header.length):
        if len(lines) > MOST_DIGITS:
            raise truncated(path, "it says that its data follow more lines than any file has")
        data, begin = (_beside(path, named), 0) if named else (path, header.length)
        _check(data, begin, int(lines))


def check_meta_voxels(path: Path, header: TextHeader) -> None:
    """Raise `FileError` when compressed voxels do not unpack to what was packed."""
    fields = dict(header.fields)
    is_packed = fields.get(b"CompressedData", b"")[:1] in (b"T", b"t", b"1")
    named = fields.get(b"ElementDataFile")
    if is_packed and named and fields.get(b"HeaderSize", b"0") == b"0":
        is_local = named.upper() == b"LOCAL"
        if is_local and b"CompressedDataSize" not in fields:
            raise truncated(path, "it does not state how long its compressed data are")
        _check(*((path, header.length) if is_local else (_beside(path, named), 0)))


def _beside(header: Path, named: bytes) -> Path:
    return header.parent / os.fsdecode(named)


def _check(path: Path, begin: int, lines: int = 0) -> None:
    """Check the data behind so many bytes and lines, if there is such a file."""
    if not os.path.isfile(path):
        return
    try:
        _unpack(path, begin, lines)
    except (OSError, EOFError, zlib.error) as error:
        raise truncated(path, GARBLED) from error


def _unpack(path: Path, begin: int, lines: int) -> None:
    unpack = zlib.decompressobj(GZIP_OR_ZLIB)
    with path.open("rb") as file:
        file.seek(begin)
        for _ in range(lines):
            if not file.readline():
                break
        # The checksum is compared where the data ends.
        while not unpack.eof and (chunk := file.read(CHUNK)):
            unpack.decompress(chunk)
    if not unpack.eof:
        raise EOFError
