"""Faults in a file that ITK passes over in silence.

ITK fills the missing end of a NIfTI file with zeros, makes zeros of its NaN and infinite voxels,
takes a zero or NaN spacing for 1 mm, and turns a negative one into a flip. For a patient's image
each of these is an error; a spacing that is not stated at all is warned of.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import struct
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.errors import FileError, VolumeError
from MedEnhanceLib.geometry import RAS_TO_LPS, Geometry
from MedEnhanceLib.io.checks import ImageWarning, not_finite_sentence
from MedEnhanceLib.io.compressed import GARBLED, check_meta_voxels, check_nrrd_voxels
from MedEnhanceLib.io.formats import Format
from MedEnhanceLib.io.text_headers import TextHeader, meta_header, nrrd_header
from MedEnhanceLib.io.toolkit import truncated

CHUNK = 1 << 20
NIFTI_1 = 348
NIFTI_2 = 540
DISAGREEMENT_MM = 0.1
AXES = 3


def check_header(path: Path, form: Format) -> None:
    """Raise `FileError` or `VolumeError` for a fault that ITK would not report."""
    if form.name == "NIfTI":
        header = _nifti_header(path)
        _check_spacing(header.spacing, path.name)
        _check_nifti_data(path, header)
    elif form.engine == "MetaImageIO":
        text = meta_header(path)
        _check_meta(path.name, text)
        check_meta_voxels(path, text)
    elif form.engine == "NrrdImageIO":
        text = nrrd_header(path)
        _check_nrrd(path.name, text)
        check_nrrd_voxels(path, text)


def is_nifti_2(path: Path) -> bool:
    """Whether a NIfTI file is of the second version, which not every ITK reads."""
    return _nifti_header(path).version == NIFTI_2


def check_nifti_complete(path: Path) -> None:
    """Raise `FileError` when a NIfTI file holds less than its header promises."""
    header = _nifti_header(path)
    _check_nifti_data(path, replace(header, floats=None))


def _check_nifti_data(path: Path, header: _Nifti) -> None:
    try:
        with _opened(path) as file:
            found, not_finite = _survey(file, header)
    except (OSError, EOFError, zlib.error) as error:
        raise truncated(path, GARBLED) from error
    if found < header.bytes:
        raise truncated(path, f"it has {found:,} of {header.bytes:,} bytes")
    if any(not_finite):
        raise VolumeError(not_finite_sentence(path.name, *not_finite, header.voxels))


def _survey(file: BinaryIO, header: _Nifti) -> tuple[int, tuple[int, int]]:
    """Length of the uncompressed file, and how many of its voxels are NaN and infinite."""
    if header.floats is None and not isinstance(file, gzip.GzipFile):
        return file.seek(0, os.SEEK_END), (0, 0)
    found, nans, infinite = _skip(file, header.begin), 0, 0
    # Compressed data is read to its end also because gzip then verifies its checksum.
    while chunk := file.read(CHUNK):
        data = chunk[: max(0, header.bytes - found)]
        found += len(chunk)
        if header.floats is not None:
            whole = len(data) - len(data) % np.dtype(header.floats).itemsize
            values = np.frombuffer(data[:whole], header.floats)
            nans += int(np.isnan(values).sum())
            infinite += int(np.isinf(values).sum())
    return found, (nans, infinite)


def _skip(file: BinaryIO, length: int) -> int:
    """Read over the start of a file, however long a header says it is; how much there was."""
    found = 0
    while found < length and (chunk := file.read(min(CHUNK, length - found))):
        found += len(chunk)
    return found


def warn_of_second_position(path: Path, form: Format, used: Geometry) -> None:
    """Warn when a NIfTI file's sform puts the image elsewhere than where ITK (and Slicer) do."""
    if form.name != "NIfTI":
        return
    sform = _nifti_header(path).sform
    if sform is None:
        return
    corners = np.array([[0, 0, 0, 1], [*(n - 1 for n in used.size), 1]], dtype=float)
    apart = float(np.abs(corners @ (RAS_TO_LPS @ sform - used.matrix).T).max())
    if apart > DISAGREEMENT_MM:
        warnings.warn(
            f"'{path.name}' states two positions that differ by up to {apart:.1f} mm (qform and "
            "sform); the one that 3D Slicer shows is used.",
            ImageWarning,
            stacklevel=2,
        )


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
    code_at: int
    sform_at: int
    units_at: int


# NIfTI's numbers for the types that can hold NaN.
FLOATS = {16: "f4", 64: "f8"}

# Millimetres of its units of length, by their number in the lowest bits: metres and micrometres.
LENGTHS, LENGTH_BITS = {1: 1e3, 3: 1e-3}, 7

# By the length of the header, which is its first number.
LAYOUTS = {
    NIFTI_1: _Layout("h", "f", "f", "h", "B", 40, 70, 76, 108, 254, 280, 123),
    NIFTI_2: _Layout("q", "d", "q", "i", "i", 16, 12, 104, 168, 348, 400, 500),
}


@dataclass(frozen=True)
class _Nifti:
    """What the checks need of a NIfTI header.

    Attributes:
        version: length of the header, by which the versions are known.
        spacing: as stated, also when it makes no sense.
        voxels: how many there are.
        begin: byte of the uncompressed file at which they begin.
        bytes: length that the uncompressed file must have.
        floats: number type of the voxels, or None when they are not real floating-point numbers.
        sform: 4x4 matrix from index to RAS in mm, or None when the file states none.
    """

    version: int
    spacing: tuple[float, ...]
    voxels: int
    begin: int
    bytes: int
    floats: str | None
    sform: NDArray[np.float64] | None


def _nifti_header(path: Path) -> _Nifti:
    try:
        with _opened(path) as file:
            raw = file.read(NIFTI_2)
    except (OSError, EOFError, zlib.error) as error:
        raise truncated(path, "its start cannot be read") from error
    if len(raw) < NIFTI_1:
        raise truncated(path, f"it has only {len(raw)} bytes")
    for order in "<>":
        length = struct.unpack_from(order + "i", raw)[0]
        if length in LAYOUTS and len(raw) >= length:
            return _parse_nifti(raw, order, length)
    raise FileError(f"'{path.name}' is not a NIfTI file inside; export it again.")


def _parse_nifti(raw: bytes, order: str, version: int) -> _Nifti:
    at = LAYOUTS[version]
    dims = struct.unpack_from(f"{order}8{at.whole}", raw, at.dim_at)
    axes = min(max(dims[0], 0), 7)
    kind, bits = struct.unpack_from(f"{order}2h", raw, at.kind_at)
    voxels = math.prod(max(n, 0) for n in dims[1 : axes + 1])
    pixdim = struct.unpack_from(f"{order}8{at.real}", raw, at.pixdim_at)
    start = struct.unpack_from(order + at.start, raw, at.start_at)[0]
    begin = max(0, int(start)) if math.isfinite(start) else 0
    sform = None
    if struct.unpack_from(order + at.code, raw, at.code_at)[0] > 0:
        sform = np.eye(4)
        rows = struct.unpack_from(f"{order}12{at.real}", raw, at.sform_at)
        unit = struct.unpack_from(order + at.units, raw, at.units_at)[0] & LENGTH_BITS
        sform[:3] = np.reshape(rows, (3, 4)) * LENGTHS.get(unit, 1.0)
    return _Nifti(
        version=version,
        spacing=pixdim[1 : min(axes, 3) + 1],
        voxels=voxels,
        begin=begin,
        bytes=begin + math.ceil(voxels * bits / 8),
        floats=order + FLOATS[kind] if kind in FLOATS else None,
        sform=sform,
    )


def _check_meta(name: str, header: TextHeader) -> None:
    """Check what a MetaImage header states; ITK crashes on too many axes."""
    stated = set()
    for key, value in header.fields:
        stated.add(key)
        if key == b"NDims" and not re.fullmatch(rb"[1-9]", value):
            raise FileError(
                f"'{name}' is damaged: it does not have {_shown(value)} axes; copy or export it "
                "again."
            )
        if key == b"ElementSpacing":
            try:
                spacing = tuple(float(v) for v in value.split())
            except ValueError as error:
                raise VolumeError(
                    f"The voxel spacing in '{name}' is not a number; correct its header."
                ) from error
            _check_spacing(spacing[:3], name)
    if b"NDims" in stated and not stated & {b"ElementSpacing", b"ElementSize"}:
        _warn_of_no_spacing(name)


def _check_nrrd(name: str, header: TextHeader) -> None:
    """Warn when a NRRD header leaves out how far apart the voxels are along an axis."""
    fields = dict(header.fields)
    stated = fields.get(b"space directions") or fields.get(b"spacings") or b""
    # A vector, or a number, for each axis; none, or NaN, where there are components or times.
    known = [n for n in re.findall(rb"\([^)]*\)|\S+", stated) if not re.search(rb"(?i)nan|none", n)]
    axes = fields.get(b"dimension", b"")
    if axes.isdigit() and len(known) < min(AXES, int(axes)):
        _warn_of_no_spacing(name)


def _warn_of_no_spacing(name: str) -> None:
    warnings.warn(
        f"'{name}' does not state how far apart its voxels are, and 1 mm is taken for it; correct "
        "its header (in Slicer: Volumes > Volume Information > Image Spacing).",
        ImageWarning,
        stacklevel=2,
    )


def _shown(value: bytes) -> str:
    return value.decode("ascii", "replace")[:20]


def _check_spacing(spacing: Sequence[float], name: str) -> None:
    if any(not math.isfinite(s) or s <= 0 for s in spacing):
        stated = " x ".join(f"{s:g}" for s in spacing)
        raise VolumeError(
            f"'{name}' states the voxel spacing {stated} mm, which is not positive; correct its "
            "header (in Slicer: Volumes > Volume Information > Image Spacing)."
        )


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path, "rb")) if compressed else path.open("rb")
