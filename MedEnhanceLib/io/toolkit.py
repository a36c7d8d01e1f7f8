"""SimpleITK's file readers and writers: their exceptions and their noise."""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from MedEnhanceLib.errors import DependencyError, FileError, MedEnhanceError, VolumeError
from MedEnhanceLib.geometry import LARGEST_AXIS, Geometry

# The most that deflated data, the densest there is in these files, can grow.
MOST_INFLATED = 1_032
LONGEST_SHOWN = 100


def simpleitk() -> Any:
    """The SimpleITK module, imported when first needed."""
    try:
        import SimpleITK
    except ImportError as error:
        raise DependencyError(
            "Reading and writing images needs the Python package 'SimpleITK'; install it with "
            "'pip install SimpleITK'."
        ) from error
    return SimpleITK


class _Silence:
    """Sends file descriptor 2 to nowhere while at least one caller wants quiet.

    ITK's file libraries print to the C stderr, past Python and past ITK's own switch. Callers are
    counted, so that threads reading at the same time cannot leave stderr shut.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callers = 0
        self._saved: int | None = None

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            self._callers += 1
            if self._callers == 1:
                self._shut()
        try:
            yield
        finally:
            with self._lock:
                self._callers -= 1
                if self._callers == 0:
                    self._open()

    def _shut(self) -> None:
        # A process without a console has no descriptor 2; then there is nothing to silence.
        with contextlib.suppress(OSError):
            saved = os.dup(2)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
            self._saved = saved

    def _open(self) -> None:
        if self._saved is not None:
            os.dup2(self._saved, 2)
            os.close(self._saved)
            self._saved = None


quiet = _Silence()


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder.

    Raises:
        FileError: when there can be none, as the system takes no such name.
    """
    try:
        return path.exists()
    except OSError as error:
        name = os.fspath(path)
        shown = name if len(name) <= LONGEST_SHOWN else f"{name[:LONGEST_SHOWN]}..."
        raise FileError(
            f"'{shown}' is no possible name ({error.strerror}); choose another or check the path."
        ) from error


def itk_name(path: Path) -> str:
    """The path as ITK takes it.

    Raises:
        FileError: when it is no Unicode, at which SimpleITK would end the whole program.
    """
    name = os.fspath(path)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        shown = name.encode(errors="replace").decode()
        raise FileError(
            f"The name '{shown}' is not in Unicode, as the image library needs it; rename the file "
            "or its folder."
        ) from error
    return name


def geometry_of(image: Any) -> Geometry:
    """Geometry of a SimpleITK image or file reader of three dimensions."""
    direction = np.array(image.GetDirection(), dtype=float).reshape(3, 3)
    rows = tuple(tuple(float(v) for v in row) for row in direction)
    return Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), rows)  # type: ignore[arg-type]


def metadata(image: Any) -> dict[str, str]:
    """The fields of an image's or a reader's header, whatever alphabet they were written in."""
    fields = {}
    for key in image.GetMetaDataKeys():
        # A key that is no Unicode cannot be asked for, and is none that is known here.
        with contextlib.suppress(TypeError):
            fields[key] = _unicode(image.GetMetaData(key))
    return fields


def _unicode(text: str) -> str:
    """SimpleITK's text, which holds halves of letters where the file was not in UTF-8."""
    raw = text.encode("utf-8", "surrogateescape")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def check_size(reader: Any, path: Path, beside: bool = False) -> None:
    """Raise before memory is filled with what a file cannot hold.

    Args:
        reader: which has read the header.
        beside: whether the voxels may lie in other files of the folder.
    """
    size = reader.GetSize()
    stated = " x ".join(map(str, size))
    if max(size) > LARGEST_AXIS:
        raise VolumeError(
            f"'{path.name}' states a size of {stated} voxels, beyond {LARGEST_AXIS} along an axis; "
            "correct its header or export it again."
        )
    component = simpleitk().Image(1, 1, reader.GetPixelIDValue()).GetSizeOfPixelComponent()
    needed = math.prod(size) * reader.GetNumberOfComponents() * component
    files = siblings(path) if beside else [path]
    there = sum(file.stat().st_size for file in files if file.is_file())
    if needed > MOST_INFLATED * there:
        raise FileError(
            f"'{path.name}' is damaged or incomplete ({there / 1e6:.3g} MB cannot hold {stated} "
            "voxels); copy or export it again."
        )


def siblings(file: Path) -> list[Path]:
    """What lies in the folder of a file, itself included.

    Raises:
        FileError: when the folder can be entered, but not be looked through.
    """
    try:
        return list(file.parent.iterdir())
    except OSError as error:
        raise FileError(
            f"The files beside '{file.name}' cannot be listed ({error.strerror}); ask the owner of "
            "the folder for permission."
        ) from error


def truncated(path: Path, how: str) -> FileError:
    """The error for a file that does not hold what it promises."""
    return FileError(f"'{path.name}' is damaged or incomplete ({how}); copy or export it again.")


def explained(error: Exception, name: str) -> MedEnhanceError:
    """The sentence for what ITK said, which for users is unreadable."""
    reason = str(error)
    if "orthonormal" in reason or "Bad direction" in reason:
        return VolumeError(
            f"The axes of '{name}' are not perpendicular, for example from a tilted gantry or an "
            "affine registration; resample it onto a straight grid first."
        )
    if "spacing" in reason:
        return VolumeError(
            f"'{name}' has a voxel spacing of zero or none at all; correct its header."
        )
    if "allocate" in reason or isinstance(error, MemoryError):
        return FileError(
            f"'{name}' does not fit into memory; close other programs or crop it first."
        )
    return FileError(
        f"'{name}' is damaged or incomplete and cannot be read; copy or export it again."
    )
