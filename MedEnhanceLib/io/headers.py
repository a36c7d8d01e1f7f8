"""Faults in a file that ITK passes over in silence.

ITK fills the missing end of a NIfTI file with zeros, makes zeros of its NaN and infinite voxels,
takes a zero or NaN spacing for 1 mm, and turns a negative one into a flip. It takes a position that
is no number for another one, any unit of NRRD and MetaImage for mm, and a MetaImage's values for
scaled. Where a header names several files it leaves memory unfilled, or crashes. For a patient's
image each of these is an error; a spacing that is not stated at all is warned of.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from MedEnhanceLib.errors import FileError, VolumeError
from MedEnhanceLib.geometry import LARGEST_SPACING_MM, RAS_TO_LPS, Geometry
from MedEnhanceLib.io.checks import ImageWarning, not_finite_sentence
from MedEnhanceLib.io.compressed import GARBLED, GZIP, check_meta_voxels, check_nrrd_voxels
from MedEnhanceLib.io.formats import PATTERN, Format
from MedEnhanceLib.io.nifti_header import NIFTI_2, NiftiHeader, nifti_header, opened
from MedEnhanceLib.io.text_headers import TextHeader, meta_header, nrrd_header
from MedEnhanceLib.io.toolkit import truncated

CHUNK = 1 << 20
# NIfTI's numbers for the types that ITK cannot read.
UNREADABLE = {1: "single bits", 1536: "128-bit floats", 2048: "256-bit complex numbers"}
DISAGREEMENT_MM = 0.1
AXES = 3
# As NRRD and MetaImage write the unit that ITK takes any for, or none.
MILLIMETRES = (b"mm", b"millimeter", b"millimeters", b"millimetre", b"millimetres", b"?", b"")
# Any of these fields of MetaImage may state it.
POSITIONS = (b"Offset", b"Position", b"Origin")
NUMBER = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
# ITK takes another spacing where the square of the one that is stated is no number any more.
OVERFLOWING = 1e150
# Of the parts that a NIfTI file states; the last one makes it 1. What is beyond that is rounding.
LONGEST_QUATERNION = 1.01
BZIP2 = (b"bzip2", b"bz2")
# Files that a NRRD header numbers; by any other '%' ITK reads the one file that is called so.
NUMBERED = re.compile(rb"%[0-9]*d")
# Fields of MetaImage that say how values are to be scaled, and what they say when they are not.
UNSCALED = {b"ElementToIntensityFunctionSlope": 1.0, b"ElementToIntensityFunctionOffset": 0.0}


def check_header(path: Path, form: Format) -> None:
    """Raise `FileError` or `VolumeError` for a fault that ITK would not report."""
    if form.name == "NIfTI":
        header = nifti_header(path)
        _check_spacing(header.spacing, path.name)
        _check_nifti_layout(path.name, header)
        _check_nifti_position(path.name, header)
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
    return nifti_header(path).version == NIFTI_2


def check_nifti_complete(path: Path) -> None:
    """Raise `FileError` when a NIfTI file holds less than its header promises."""
    header = nifti_header(path)
    _check_nifti_data(path, replace(header, floats=None))


def _check_nifti_layout(name: str, header: NiftiHeader) -> None:
    if header.kind in UNREADABLE:
        raise FileError(
            f"'{name}' holds {UNREADABLE[header.kind]}, which are not read here; save it with "
            "voxels of 8 to 64 bits."
        )
    if min(header.sizes, default=1) < 1:
        raise FileError(
            f"'{name}' says that it has {' x '.join(map(str, header.sizes))} voxels, which no "
            "image has; export it again."
        )
    if header.begin < header.earliest:
        raise FileError(
            f"'{name}' is damaged: it says that its voxels begin at byte {header.begin}, where its "
            f"header of {header.earliest} bytes still is; export it again."
        )


def _check_nifti_position(name: str, header: NiftiHeader) -> None:
    if header.qform is None and header.sform is None:
        _warn_of_no_orientation(name)
    if header.qform is None or header.sform is not None:
        return
    _check_position([b"%g" % v for v in header.qform], len(header.qform), name)
    if math.hypot(*header.qform[:AXES]) > LONGEST_QUATERNION:
        raise VolumeError(
            f"'{name}' states a rotation that is none (its quaternion is longer than 1); correct "
            "its header or export it again."
        )


def _check_nifti_data(path: Path, header: NiftiHeader) -> None:
    try:
        with opened(path) as file:
            found, not_finite = _survey(file, header)
    except (OSError, EOFError, zlib.error) as error:
        raise truncated(path, GARBLED) from error
    if found < header.bytes:
        raise truncated(path, f"it has {found:,} of {header.bytes:,} bytes")
    if any(not_finite):
        raise VolumeError(not_finite_sentence(path.name, *not_finite, header.voxels))


def _survey(file: BinaryIO, header: NiftiHeader) -> tuple[int, tuple[int, int]]:
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
    sform = nifti_header(path).sform
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


def _check_meta(name: str, header: TextHeader) -> None:
    """Check what a MetaImage header states; ITK crashes on too many axes."""
    stated, axes = set(), AXES
    for key, value in header.fields:
        stated.add(key)
        if key == b"NDims" and not re.fullmatch(rb"[1-9]", value):
            raise FileError(
                f"'{name}' is damaged: it does not have {_shown(value)} axes; copy or export it "
                "again."
            )
        if key == b"NDims":
            axes = int(value)
        if key == b"ElementSpacing":
            try:
                spacing = tuple(float(v) for v in value.split())
            except ValueError as error:
                raise VolumeError(
                    f"The voxel spacing in '{name}' is not a number; correct its header."
                ) from error
            _check_spacing(spacing[:3], name)
        if key in POSITIONS:
            # ITK ignores what is stated beyond the axes.
            _check_position(value.split()[:axes], axes, name)
        if key == b"ElementDataFile" and PATTERN.search(value.decode("latin-1")):
            raise _several_files(name)
        if key == b"DistanceUnits":
            _check_unit(value, name)
        if key in UNSCALED and not _is_number(value, UNSCALED[key]):
            raise VolumeError(
                f"'{name}' says that its values are still to be scaled ({key.decode()} = "
                f"{_shown(value)}), which is not done here; save it with the scaled values."
            )
    if b"NDims" in stated and not stated & {b"ElementSpacing", b"ElementSize"}:
        _warn_of_no_spacing(name)
    if b"NDims" in stated and not stated & {b"TransformMatrix", b"Rotation", b"Orientation"}:
        _warn_of_no_orientation(name)


def _check_nrrd(name: str, header: TextHeader) -> None:
    """Check what a NRRD header states, also how far apart the voxels are along each axis."""
    fields = dict(header.fields)
    encoding = fields.get(b"encoding", b"").lower()
    if encoding in BZIP2:
        raise FileError(
            f"'{name}' is compressed with bzip2, which is not read here; save it with gzip, or "
            "uncompressed."
        )
    for unit in re.findall(rb'"([^"]*)"', fields.get(b"space units", b"")):
        _check_unit(unit, name)
    named = fields.get(b"data file") or fields.get(b"datafile") or b""
    # ITK sees itself that each file of a list is there and long enough, but not that it is intact.
    if NUMBERED.search(named) or (named.startswith(b"LIST") and encoding in GZIP):
        raise _several_files(name)
    if b"space origin" in fields:
        origin = fields[b"space origin"].strip(b"()").split(b",")
        _check_position(origin, len(origin), name)
    stated = fields.get(b"space directions") or fields.get(b"spacings") or b""
    # A vector, or a number, for each axis; none, or NaN, where there are components or times.
    known = [n for n in re.findall(rb"\([^)]*\)|\S+", stated) if not re.search(rb"(?i)nan|none", n)]
    longest = max((math.hypot(*map(float, NUMBER.findall(n))) for n in known), default=0.0)
    if longest > OVERFLOWING:
        raise VolumeError(
            f"'{name}' states a voxel spacing of {longest:g} mm, which is beyond "
            f"{LARGEST_SPACING_MM:g} mm; correct its header."
        )
    axes = fields.get(b"dimension", b"")
    if axes.isdigit() and len(known) < min(AXES, int(axes)):
        _warn_of_no_spacing(name)
    if axes.isdigit() and not {b"space", b"space directions"} <= set(fields):
        _warn_of_no_orientation(name)


def _several_files(name: str) -> FileError:
    return FileError(
        f"'{name}' has its voxels in several files, or in one that is named like a list or a "
        "pattern ('LIST', '%'), which is not read here; save it as one file (.nii.gz, .nrrd or "
        ".mha)."
    )


def _check_position(stated: Sequence[bytes], count: int, name: str) -> None:
    if len(stated) == count and all(map(_is_finite, stated)):
        return
    raise VolumeError(
        f"'{name}' states its position as '{_shown(b' '.join(stated))}', which is not a finite "
        "number for each axis; correct its header or export it again."
    )


def _warn_of_no_spacing(name: str) -> None:
    warnings.warn(
        f"'{name}' does not state how far apart its voxels are, and 1 mm is taken for it; correct "
        "its header (in Slicer: Volumes > Volume Information > Image Spacing).",
        ImageWarning,
        stacklevel=2,
    )


def _warn_of_no_orientation(name: str) -> None:
    warnings.warn(
        f"'{name}' does not state how it lies in the patient, and its axes are taken to grow to "
        "the left, the back and the head, as in 3D Slicer; left and right may be wrong, so correct "
        "its header.",
        ImageWarning,
        stacklevel=2,
    )


def _check_unit(unit: bytes, name: str) -> None:
    if unit.strip().lower() not in MILLIMETRES:
        raise VolumeError(
            f"'{name}' states lengths in '{_shown(unit)}', but all are read as mm; save it in mm."
        )


def _is_number(value: bytes, wanted: float) -> bool:
    try:
        return float(value) == wanted
    except ValueError:
        return False


def _is_finite(value: bytes) -> bool:
    return NUMBER.fullmatch(value.strip()) is not None and math.isfinite(float(value))


def _shown(value: bytes) -> str:
    return value.decode("ascii", "replace")[:20]


def _check_spacing(spacing: Sequence[float], name: str) -> None:
    if any(not math.isfinite(s) or s <= 0 for s in spacing):
        stated = " x ".join(f"{s:g}" for s in spacing)
        raise VolumeError(
            f"'{name}' states the voxel spacing {stated} mm, which is not positive; correct its "
            "header (in Slicer: Volumes > Volume Information > Image Spacing)."
        )
