"""Reading an image of any supported kind into a `Volume` or a `LabelMap`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.errors import FileError, VolumeError
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.io.checks import check_finite
from MedEnhanceLib.io.dicom import read_dicom
from MedEnhanceLib.io.formats import DICOM, Format, format_to_read
from MedEnhanceLib.io.headers import check_header, is_nifti_2, warn_of_second_position
from MedEnhanceLib.io.segments import OVERLAP, is_segmentation, labels_from_header
from MedEnhanceLib.io.toolkit import (
    check_size,
    explained,
    geometry_of,
    is_there,
    itk_name,
    metadata,
    quiet,
    simpleitk,
)
from MedEnhanceLib.volume import Label, LabelMap, Volume

GZIP = b"\x1f\x8b"
NIFTI_FLOATS = ("16", "64")
"""Its numbers for the types of floats."""


def read_volume(path: str | os.PathLike[str], series: str | None = None) -> Volume:
    """Read a scalar image in three dimensions, with its voxels' own number type.

    A DICOM series is read whole, whether its folder or one file of it is named, and brings its
    modality ("MR", "CT") and units ("HU") along. A file of four dimensions with a single time
    point is read as that time point. A 2D image is refused: it states neither where it lies in
    the patient nor how thick it is (a 3D file with a single slice does, and is welcome).

    Args:
        path: a file, or a folder of DICOM files.
        series: which DICOM series to take: its number, or the end of its UID. Only for DICOM.

    Raises:
        FileError: when it cannot be read, or several series are there to choose from.
        VolumeError: when it is not one scalar volume of finite numbers on a straight grid.
    """
    path = Path(path)
    _check_readable(path)
    form = DICOM if path.is_dir() else format_to_read(path)
    if form is DICOM:
        volume = read_dicom(path, series)
    elif series is not None:
        raise FileError(
            f"'{path.name}' is not DICOM and has no series '{series}'; leave the series out, or "
            "name a DICOM folder."
        )
    else:
        voxels, geometry, header = _read_file(path, form)
        if is_segmentation(header):
            raise VolumeError(
                f"'{path.name}' is a segmentation, not an image; choose the image it was drawn on."
            )
        volume = Volume(voxels, geometry)
    check_finite(volume.voxels, path.name)
    return volume


def read_labelmap(path: str | os.PathLike[str], labels: Sequence[Label] = ()) -> LabelMap:
    """Read a segmentation stored as an image of whole numbers.

    Args:
        path: a file; a ``.seg.nrrd`` file of 3D Slicer brings its own table of labels.
        labels: what the numbers mean, if the file does not say.

    Raises:
        FileError: when it cannot be read.
        VolumeError: when its voxels are not whole numbers of 0 or more.
    """
    path = Path(path)
    _check_readable(path)
    if path.is_dir() or (form := format_to_read(path)) is DICOM:
        raise FileError(
            f"'{path.name}' is DICOM, from which segmentations are not read; export the "
            "segmentation as .nii.gz or .nrrd first (in Slicer: Segmentations > Export)."
        )
    voxels, geometry, header = _read_file(path, form)
    check_finite(voxels, path.name)
    whole = _whole_numbers(voxels, path.name)
    return LabelMap(whole, geometry, tuple(labels) or labels_from_header(header, path.name))


def _check_readable(path: Path) -> None:
    if not is_there(path):
        raise FileError(f"'{path}' does not exist; check the path.")
    if not path.is_file() and not path.is_dir():
        raise FileError(f"'{path.name}' is no ordinary file; give an image file or a folder.")
    if path.is_file() and path.stat().st_size == 0:
        raise FileError(f"'{path.name}' is an empty file; copy or export it again.")
    if not os.access(path, os.R_OK):
        raise FileError(f"'{path}' may not be read by you; ask its owner for permission.")


def _read_file(path: Path, form: Format) -> tuple[NDArray[Any], Geometry, dict[str, str]]:
    _check_extension(path, form)
    check_header(path, form)
    itk = simpleitk()
    reader = itk.ImageFileReader()
    reader.SetImageIO(form.engine)
    reader.SetFileName(itk_name(path))
    try:
        with quiet():
            reader.ReadImageInformation()
            _check_kind(reader, path.name, form)
            check_size(reader, path, beside=form.detached)
            _keep_three_axes(reader)
            image = reader.Execute()
    except (RuntimeError, MemoryError) as error:
        if form.name == "NIfTI" and is_nifti_2(path):
            raise FileError(
                f"'{path.name}' is NIfTI-2, which is not read here; save it as NIfTI-1 or NRRD."
            ) from error
        raise explained(error, path.name) from error
    geometry = geometry_of(image)
    warn_of_second_position(path, form, geometry)
    header = metadata(image)
    return _as_stored(itk.GetArrayFromImage(image), header), geometry, header


def _check_extension(path: Path, form: Format) -> None:
    """Raise `FileError` for a compressed NIfTI file whose name does not say so, as ITK needs it."""
    if form.extension != ".nii":
        return
    with path.open("rb") as file:
        if file.read(len(GZIP)) == GZIP:
            raise FileError(
                f"'{path.name}' is compressed, as only files called .nii.gz may be; rename it to "
                f"'{path.name}.gz'."
            )


def _as_stored(voxels: NDArray[Any], header: dict[str, str]) -> NDArray[Any]:
    """The voxels of a NIfTI file whose slope of 0 says that they are not scaled.

    ITK adds the intercept all the same.
    """
    slope, intercept = (float(header.get(name, 1)) for name in ("scl_slope", "scl_inter"))
    if slope != 0 or intercept == 0 or not np.isfinite(intercept):
        return voxels
    stored = voxels.astype(np.float64) - intercept
    if header["datatype"] not in NIFTI_FLOATS:
        stored = np.rint(stored)
    return stored.astype(voxels.dtype)


def _check_kind(reader: Any, name: str, form: Format) -> None:
    size, channels = reader.GetSize(), reader.GetNumberOfComponents()
    if channels > 1 and form.extension == ".seg.nrrd":
        raise VolumeError(OVERLAP.format(name=name))
    if "complex" in simpleitk().GetPixelIDValueAsString(reader.GetPixelIDValue()):
        raise VolumeError(f"'{name}' holds complex numbers; export its magnitude as an image.")
    if channels > 1:
        what = "a colour (RGB)" if channels in (3, 4) else "a vector"
        raise VolumeError(
            f"'{name}' is {what} image with {channels} numbers per voxel; convert it to a scalar "
            "volume first (in Slicer: Vector to Scalar Volume)."
        )
    if len(size) < 3:
        raise VolumeError(
            f"'{name}' is a 2D image of {' x '.join(map(str, size))} pixels, which does not say "
            "where it lies in the patient; choose the 3D series it was taken from."
        )
    if 0 in size:
        raise VolumeError(
            f"'{name}' is empty ({' x '.join(map(str, size))} voxels); export it again."
        )
    frames = int(np.prod(size[3:]))
    if frames > 1:
        raise VolumeError(
            f"'{name}' is a 4D series of {frames} volumes; extract one volume of it first."
        )


def _keep_three_axes(reader: Any) -> None:
    """Let ITK drop the further axes, all of one element, keeping the first three's geometry."""
    size = reader.GetSize()
    if len(size) > 3:
        reader.SetExtractSize([*size[:3], *[0] * (len(size) - 3)])


def _whole_numbers(voxels: NDArray[Any], name: str) -> NDArray[Any]:
    least = voxels.min()
    if least < 0:
        raise VolumeError(
            f"'{name}' is not a segmentation: its smallest voxel is {least:g}, but labels are 0 "
            "or more; choose a label map."
        )
    if voxels.dtype.kind != "f":
        return voxels
    broken = voxels != np.rint(voxels)
    if broken.any():
        raise VolumeError(
            f"'{name}' is not a segmentation: it has voxels such as {voxels[broken][0]:g}, but "
            "labels are whole numbers; choose a label map."
        )
    return voxels.astype(np.min_scalar_type(int(voxels.max())))
