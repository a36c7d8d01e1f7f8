"""The private folder through which voxels travel."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PREFIX = "medenhance-worker-"
MAPPED_CAN_BE_DELETED = os.name == "posix"


def store_voxels(voxels: NDArray[Any], path: Path) -> None:
    """Write the array so that the name appears only once the file is whole.

    Raises:
        OSError: when it does not fit on the disk, or the folder is gone; with its reason always.
    """
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            np.save(file, voxels, allow_pickle=False)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        if error.strerror is None:
            # numpy only says how much it could write, which is what a full disk looks like.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise


def take_voxels(path: Path) -> NDArray[Any]:
    """The array of a file, which is deleted. Read-only.

    Where a file that is mapped into memory can be deleted, it is mapped rather than copied.

    Raises:
        OSError: when there is no such file, or it ends early.
        ValueError: when it holds anything but one array of plain values.
    """
    try:
        voxels = _mapped(path) if MAPPED_CAN_BE_DELETED else _read(path)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # numpy raises all sorts of errors for damaged headers
        raise ValueError(f"not an array ({error})") from error
    path.unlink()
    return voxels


def _mapped(path: Path) -> NDArray[Any]:
    return np.asarray(np.lib.format.open_memmap(path, mode="r"))


def _read(path: Path) -> NDArray[Any]:
    with path.open("rb") as file:
        # Not numpy.load, which takes archives too.
        voxels: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    voxels.flags.writeable = False
    return voxels


def input_file(folder: Path, job: str) -> Path:
    """Where a job's voxels lie."""
    return folder / f"{job}.in.npy"


def guide_file(folder: Path, job: str) -> Path:
    """Where the voxels of its guide lie, when there is one."""
    return folder / f"{job}.guide.npy"


def output_file(folder: Path, job: str) -> Path:
    """Where the voxels of its result lie."""
    return folder / f"{job}.out.npy"


def uncertainty_file(folder: Path, job: str) -> Path:
    """Where the voxels of its result's uncertainty lie, when that was asked for."""
    return folder / f"{job}.uncertainty.npy"


def discard_files(folder: Path, job: str) -> None:
    """Delete whatever is left of a job."""
    for file in folder.glob(f"{job}.*"):
        with contextlib.suppress(OSError):
            file.unlink()
