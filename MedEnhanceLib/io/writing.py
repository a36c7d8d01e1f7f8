"""Writing an image so that either the whole file is there afterwards, or nothing has changed."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.errors import FileError, VolumeError
from MedEnhanceLib.io.formats import Format, format_to_write
from MedEnhanceLib.io.headers import check_nifti_complete
from MedEnhanceLib.io.segments import header_from_labels
from MedEnhanceLib.io.toolkit import itk_name, quiet, simpleitk
from MedEnhanceLib.itk import to_itk
from MedEnhanceLib.private import staging
from MedEnhanceLib.volume import LabelMap, Volume

# Hidden folders beside the targets, in which files grow.
STAGE = ".medenhance-"
LITTLE_SPACE = 1 << 20
# Headers that name the file of their voxels, which lies beside them.
DETACHED = (".mhd", ".nhdr")
# Windows knows no quota of its own.
DISK_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def write_image(image: Volume | LabelMap, path: str | os.PathLike[str]) -> None:
    """Write a volume or a segmentation; the extension says how.

    Whole numbers stay whole numbers, other voxels become 32-bit floats, and labels take the
    smallest type that holds them. A ``.seg.nrrd`` file also carries the labels' names, colours
    and terminology. Nothing else is written, so that no file says who the patient is.

    Everything is first written into a folder beside the target, then moved into place.

    Raises:
        FileError: when the name or the place does not allow it; what was there before stays.
        VolumeError: when the volume has several channels, or values beyond 32-bit floats.
    """
    path = Path(path)
    form = format_to_write(path)
    _check_target(path)
    place = place_of(path)
    header = _header(image, path, form)
    voxels = _storable(image)
    simpleitk()
    file = to_itk(voxels, image.geometry)
    for key, value in header.items():
        file.SetMetaData(key, value)
    try:
        _write_beside(file, path.name, place, form)
    except (OSError, RuntimeError, FileError) as error:
        raise _unwritten(error, path, voxels.nbytes) from error


def place_of(path: Path) -> Path:
    """Where an output goes: what its name links to, if it is a link.

    A link to a header whose voxels lie beside it makes way instead, so that they stay together.

    Raises:
        FileError: when a pipe, a device or the like is there.
    """
    if path.exists() and not path.is_file():
        raise FileError(f"'{path}' is no ordinary file and is not replaced; name another output.")
    return path if path.suffix.lower() in DETACHED else Path(os.path.realpath(path))


def _header(image: Volume | LabelMap, path: Path, form: Format) -> dict[str, str]:
    if form.extension != ".seg.nrrd":
        return {}
    if not isinstance(image, LabelMap):
        raise FileError(
            f"'{path.name}' is a segmentation's name, but this is an image; name it "
            f"'{path.name[: -len(form.extension)]}.nrrd'."
        )
    return header_from_labels(image)


def _storable(image: Volume | LabelMap) -> NDArray[Any]:
    voxels = image.voxels
    if voxels.ndim == 4:
        if len(voxels) > 1:
            raise VolumeError(
                f"The volume has {len(voxels)} channels; write them one by one, each to its file."
            )
        voxels = voxels[0]
    if isinstance(image, LabelMap):
        return voxels.astype(_smallest(voxels))
    if voxels.dtype.kind == "f":
        return _as_float32(voxels)
    # Few programs read 64-bit whole numbers, and none of an image's need them.
    return voxels.astype(_smallest(voxels)) if voxels.dtype.itemsize > 4 else voxels


def _as_float32(voxels: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        stored = voxels.astype(np.float32, copy=False)
    if np.isinf(stored).any() and not np.isinf(voxels).any():
        raise VolumeError(
            f"The volume's values reach from {voxels.min():.3g} to {voxels.max():.3g}, beyond what "
            "32-bit floats hold; divide them by a constant first."
        )
    return stored


def _smallest(voxels: NDArray[Any]) -> np.dtype[Any]:
    least, most = int(voxels.min()), int(voxels.max())
    smallest = np.promote_types(np.min_scalar_type(least), np.min_scalar_type(most))
    # No whole-number type holds both ends of all others, for which numpy falls back to floats.
    return smallest if smallest.kind in "ui" else np.dtype(np.int64)


def _check_target(path: Path) -> None:
    itk_name(path)
    folder = path.parent
    if path.is_dir():
        raise FileError(f"'{path}' is a folder; give the name of a file in it.")
    if not folder.is_dir():
        raise FileError(f"The folder '{folder}' does not exist; create it first.")


def _write_beside(image: Any, name: str, place: Path, form: Format) -> None:
    with staging(STAGE, place.parent) as stage:
        # The last name is used already here, since a detached header repeats it.
        staged = stage / f"{name[: -len(form.extension)]}{form.extension}"
        _write(image, staged, form)
        _move(staged, place)


def _write(image: Any, path: Path, form: Format) -> None:
    writer = simpleitk().ImageFileWriter()
    writer.SetImageIO(form.engine)
    writer.SetFileName(itk_name(path))
    writer.UseCompressionOn()
    with quiet():
        writer.Execute(image)
    if form.name == "NIfTI":
        # ITK does not notice when the disk fills up under a NIfTI file.
        check_nifti_complete(path)
    for file in path.parent.iterdir():
        with file.open("rb+") as written:
            os.fsync(written.fileno())


def _move(staged: Path, path: Path) -> None:
    """Move the data of a detached header first, so that no header ever lacks its data."""
    for file in staged.parent.iterdir():
        if file != staged:
            os.replace(file, path.parent / file.name)
    os.replace(staged, path)


def _unwritten(error: Exception, path: Path, size: int) -> FileError:
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return FileError(
            f"'{path}' cannot be written: you have no permission there, or another program has "
            "the file open; choose another folder."
        )
    megabytes = size / 1e6
    free = _free_bytes(path.parent)
    if number in DISK_FULL or free < LITTLE_SPACE:
        return FileError(
            f"'{path}' cannot be written: the disk is full ({free / 1e6:.3g} MB free, up to "
            f"{megabytes:.3g} MB needed); free some space or choose another folder."
        )
    return FileError(
        f"'{path}' could not be written whole (up to {megabytes:.3g} MB); check the disk's free "
        "space and your quota, or choose another folder."
    )


def _free_bytes(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0
