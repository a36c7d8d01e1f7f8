"""What the header of a NIfTI file states, of either version."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.errors import FileError
from MedEnhanceLib.io.toolkit import truncated

NIFTI_1 = 348
NIFTI_2 = 540


@dataclass(frozen=True)
class _Layout:
    """Where one version of NIfTI keeps its facts: byte offsets, and `struct` letters of types."""

    whole: str
    real: str
    start: str
    code: str
    units: str
    dim_at: int
    kind_at: int
    pixdim_at: int
    start_at: int
    codes_at: int
    qform_at: int
    sform_at: int
    units_at: int
    magic_at: int


# NIfTI's numbers for the types that can hold NaN.
FLOATS = {16: "f4", 64: "f8"}
# How the mark of a file begins that holds header and voxels, and what follows the header at least.
SINGLE_FILE, EXTENSION = b"n+", 4

# Millimetres of its units of length, by their number in the lowest bits: metres and micrometres.
LENGTHS, LENGTH_BITS = {1: 1e3, 3: 1e-3}, 7

# By the length of the header, which is its first number.
LAYOUTS = {
    NIFTI_1: _Layout("h", "f", "f", "h", "B", 40, 70, 76, 108, 252, 256, 280, 123, 344),
    NIFTI_2: _Layout("q", "d", "q", "i", "i", 16, 12, 104, 168, 344, 352, 400, 500, 4),
}


@dataclass(frozen=True)
class NiftiHeader:
    """What the checks need of it.

    Attributes:
        version: length of the header, by which the versions are known.
        sizes: voxels along each axis, as stated, also when there can be no such image.
        spacing: as stated, also when it makes no sense.
        kind: NIfTI's number for the type of the voxels.
        voxels: how many there are.
        begin: byte of the uncompressed file at which they begin.
        earliest: byte at which they can begin.
        bytes: length that the uncompressed file must have.
        floats: number type of the voxels, or None when they are not real floating-point numbers.
        qform: three parts of a quaternion and the offset, or None when the file states none.
        sform: 4x4 matrix from index to RAS in mm, or None when the file states none.
    """

    version: int
    sizes: tuple[int, ...]
    spacing: tuple[float, ...]
    kind: int
    voxels: int
    begin: int
    earliest: int
    bytes: int
    floats: str | None
    qform: tuple[float, ...] | None
    sform: NDArray[np.float64] | None


def nifti_header(path: Path) -> NiftiHeader:
    """Read a header; raises `FileError` when it is damaged or none."""
    try:
        with opened(path) as file:
            raw = file.read(NIFTI_2)
    except (OSError, EOFError, zlib.error) as error:
        raise truncated(path, "its start cannot be read") from error
    if len(raw) < NIFTI_1:
        raise truncated(path, f"it has only {len(raw)} bytes")
    for order in "<>":
        length = struct.unpack_from(order + "i", raw)[0]
        if length in LAYOUTS and len(raw) >= length:
            return _parsed(raw, order, length)
    raise FileError(f"'{path.name}' is not a NIfTI file inside; export it again.")


def _parsed(raw: bytes, order: str, version: int) -> NiftiHeader:
    at = LAYOUTS[version]
    dims = struct.unpack_from(f"{order}8{at.whole}", raw, at.dim_at)
    axes = min(max(dims[0], 0), 7)
    sizes = dims[1 : axes + 1]
    while sizes and sizes[-1] == 0:  # some programs count axes that they leave empty
        sizes = sizes[:-1]
    kind, bits = struct.unpack_from(f"{order}2h", raw, at.kind_at)
    voxels = math.prod(max(n, 0) for n in sizes)
    pixdim = struct.unpack_from(f"{order}8{at.real}", raw, at.pixdim_at)
    start = struct.unpack_from(order + at.start, raw, at.start_at)[0]
    begin = max(0, int(start)) if math.isfinite(start) else 0
    has_qform, has_sform = (
        n > 0 for n in struct.unpack_from(f"{order}2{at.code}", raw, at.codes_at)
    )
    qform = struct.unpack_from(f"{order}6{at.real}", raw, at.qform_at) if has_qform else None
    sform = None
    if has_sform:
        sform = np.eye(4)
        rows = struct.unpack_from(f"{order}12{at.real}", raw, at.sform_at)
        unit = struct.unpack_from(order + at.units, raw, at.units_at)[0] & LENGTH_BITS
        sform[:3] = np.reshape(rows, (3, 4)) * LENGTHS.get(unit, 1.0)
    return NiftiHeader(
        version=version,
        sizes=sizes,
        spacing=pixdim[1 : min(axes, 3) + 1],
        kind=kind,
        voxels=voxels,
        begin=begin,
        earliest=version + EXTENSION if raw.startswith(SINGLE_FILE, at.magic_at) else 0,
        bytes=begin + math.ceil(voxels * bits / 8),
        floats=order + FLOATS[kind] if kind in FLOATS else None,
        qform=qform,
        sform=sform,
    )


def opened(path: Path) -> BinaryIO:
    """The file's bytes, unpacked when they are compressed."""
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path, "rb")) if compressed else path.open("rb")
