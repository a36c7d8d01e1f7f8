"""A DICOM series as one volume: its slices in order, evenly spaced, none missing."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.errors import FileError, VolumeError
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.io.checks import ImageWarning
from MedEnhanceLib.io.formats import DICOM
from MedEnhanceLib.io.frames import Frame
from MedEnhanceLib.io.series import Series, choose_series, counted, list_series, series_of
from MedEnhanceLib.io.toolkit import check_size, explained, itk_name, quiet, simpleitk
from MedEnhanceLib.volume import Volume

ORIENTATION_TOLERANCE = 1e-3
# Scanners round positions to about 0.01 mm; nothing is said about that much.
ROUNDING_MM = 0.02
SIDEWAYS_MM = 0.1
# A gap that is off by more than this part of the usual one is an error, by less a warning.
GRAVE_PART = 0.1
MOST_GAPS_NAMED = 5


def read_dicom(path: Path, wanted: str | None = None) -> Volume:
    """The volume of the only or wanted series in a folder, or of the series of a file.

    Raises:
        FileError: when there is no series, or several to choose from, or a damaged file.
        VolumeError: when the slices do not make one straight, evenly spaced grid.
    """
    # The table of contents that lies on a DICOM medium stands for the whole of it.
    path = path.parent if path.name.upper() == "DICOMDIR" else path
    if path.is_dir():
        series = choose_series(list_series(path), wanted, path.resolve().name)
    else:
        series = choose_series([series_of(path)], wanted, path.name)
    _check_kind(series)
    _warn_of_lost(series)
    frames, geometry = _stacked(series)
    files = {path: _pixels(path) for path in dict.fromkeys(frame.path for frame in frames)}
    voxels = np.stack([_plane(files[frame.path], frame) for frame in frames])
    if voxels.dtype == np.float64:
        # Stored pixels have 16 bits or fewer, which a 32-bit float holds without loss.
        voxels = voxels.astype(np.float32)
    return Volume(voxels, geometry, series.modality, _units(series))


def _check_kind(series: Series) -> None:
    _check_files(series)
    for frame in series.frames:
        _check_frame(series, frame)
    if len({frame.size for frame in series.frames}) > 1:
        sizes = sorted({f"{columns} x {rows}" for columns, rows in _sizes(series)})
        raise VolumeError(
            f"Series {series} mixes images of different sizes ({', '.join(sizes)}); choose a "
            "series of a single stack."
        )


def _check_files(series: Series) -> None:
    if series.damaged:
        raise FileError(
            f"Series {series} has {counted(len(series.damaged), 'damaged file')} (such as "
            f"'{series.damaged[0].name}'); copy or export the series again."
        )
    if series.clashing:
        one, other = series.clashing
        raise FileError(
            f"Series {series} holds different images under one UID ('{_told(one, other)}' and "
            f"'{_told(other, one)}'), as after processing; name a folder that holds only one of "
            "them."
        )


def _check_frame(series: Series, frame: Frame) -> None:
    if frame.channels > 1:
        raise VolumeError(
            f"Series {series} is in colour; choose the series of the original grey images."
        )
    if frame.inverted:
        raise VolumeError(
            f"Series {series} is stored as a negative (MONOCHROME1), from which its values "
            "cannot be had reliably; export it again as MONOCHROME2."
        )
    if frame.count > 1 and not frame.placed:
        raise VolumeError(
            f"Series {series} is a multi-frame file that does not state where each frame lies "
            "(as for films and some old scanners); convert it to NIfTI first."
        )
    if not frame.is_uniform:
        raise VolumeError(
            f"Series {series} is a multi-frame file that scales the values of each frame "
            "differently; convert it to NIfTI first (for example with dcm2niix)."
        )
    if not frame.placed:
        raise VolumeError(
            f"Series {series} does not say in numbers where its images lie in the patient (as "
            "for screenshots and plain X-rays); choose a CT or MR series."
        )
    if not frame.sized:
        raise VolumeError(
            f"Series {series} does not say in numbers how large its pixels are (Pixel "
            "Spacing); export it again from the scanner or the archive."
        )


def _units(series: Series) -> str:
    """Hounsfield units for CT that states nothing else, as DICOM has it."""
    if series.modality != "CT":
        return ""
    others = sorted({frame.unit for frame in series.frames} - {"", "HU"})
    if not others:
        return "HU"
    warnings.warn(
        f"Series {series} states the Rescale Type '{others[0]}' for its values rather than "
        "Hounsfield units, as maps made of CT do; choose the original CT where HU are needed.",
        ImageWarning,
        stacklevel=2,
    )
    return ""


def _warn_of_lost(series: Series) -> None:
    if series.lost:
        warnings.warn(
            f"Series {series} may be incomplete, with {counted(len(series.lost), 'file')} beside "
            f"it of which nothing can be read (such as '{series.lost[0].name}'); copy the folder "
            "again completely.",
            ImageWarning,
            stacklevel=2,
        )


def _told(file: Path, other: Path) -> str:
    """The file's name, with its folder's where both are called the same."""
    return f"{file.parent.name}/{file.name}" if file.name == other.name else file.name


def _sizes(series: Series) -> set[tuple[int, int]]:
    return {frame.size for frame in series.frames}


def _stacked(series: Series) -> tuple[list[Frame], Geometry]:
    """The slices from first to last along the stack, and the grid that they make."""
    axes = _common_axes(series)
    normal = np.cross(axes[:, 0], axes[:, 1])
    frames = sorted(series.frames, key=lambda frame: float(np.dot(frame.position, normal)))
    positions = np.array([frame.position for frame in frames])
    if len(frames) > 1:
        spacing = _slice_spacing(positions @ normal, series)
        _check_straight(positions, normal, series)
    else:
        spacing = _thickness(frames[0], series)
    matrix = np.eye(4)
    matrix[:3, :3] = np.column_stack([axes * np.array(frames[0].spacing), normal * spacing])
    matrix[:3, 3] = positions[0]
    columns, rows = frames[0].size
    return frames, Geometry.from_matrix(matrix, (columns, rows, len(frames)))


def _common_axes(series: Series) -> NDArray[np.float64]:
    """The two in-plane unit vectors, as columns, shared by all slices."""
    all_axes = np.array([frame.axes for frame in series.frames])
    if np.abs(all_axes - all_axes[0]).max() > ORIENTATION_TOLERANCE:
        raise VolumeError(
            f"Series {series} holds slices in different directions, as a localizer does; choose a "
            "series of parallel slices."
        )
    spacings = np.array([frame.spacing for frame in series.frames])
    if np.abs(spacings - spacings[0]).max() > ORIENTATION_TOLERANCE:
        raise VolumeError(
            f"Series {series} holds slices of different pixel spacing; choose a series of one kind."
        )
    return np.asarray(all_axes[0].T, dtype=np.float64)


def _slice_spacing(places: NDArray[np.float64], series: Series) -> float:
    """Millimetres between slices, once they are known to be even and complete."""
    gaps = np.diff(places)
    repeated = int((gaps <= ROUNDING_MM).sum())
    if repeated:
        first = places[:-1][gaps <= ROUNDING_MM][0]
        raise VolumeError(
            f"Series {series} has {counted(repeated, 'slice')} at the place of another one (the "
            f"first at {first:.2f} mm), as a 4D series or one with several echoes does; export one "
            "volume of it first."
        )
    usual = float(np.median(gaps))
    wrong = np.abs(gaps - usual)
    if (wrong > np.maximum(ROUNDING_MM, GRAVE_PART * usual)).any():
        raise VolumeError(_uneven(series, places, gaps, usual))
    if (wrong > ROUNDING_MM).any():
        warnings.warn(
            f"Series {series} is slightly uneven: its slices lie {gaps.min():.3f} to "
            f"{gaps.max():.3f} mm apart and are taken as {gaps.mean():.3f} mm.",
            ImageWarning,
            stacklevel=2,
        )
    # The mean over the whole stack evens out the rounding of single positions.
    return float(gaps.mean())


def _thickness(slice_alone: Frame, series: Series) -> float:
    if slice_alone.thickness > 0:
        return slice_alone.thickness
    warnings.warn(
        f"Series {series} does not state how thick its slice is, and 1 mm is taken for it; export "
        "it again with its Slice Thickness if volumes matter.",
        ImageWarning,
        stacklevel=2,
    )
    return 1.0


def _uneven(
    series: Series, places: NDArray[np.float64], gaps: NDArray[np.float64], usual: float
) -> str:
    wide = np.flatnonzero(np.abs(gaps - usual) > np.maximum(ROUNDING_MM, GRAVE_PART * usual))
    named = ", ".join(
        f"{places[at]:.2f} to {places[at + 1]:.2f} mm ({gaps[at]:.2f} mm)"
        for at in wide[:MOST_GAPS_NAMED]
    )
    more = f" and {len(wide) - MOST_GAPS_NAMED} more" if len(wide) > MOST_GAPS_NAMED else ""
    missing = sum(max(0, round(float(gaps[at]) / usual) - 1) for at in wide)
    what = f"lacks about {counted(missing, 'slice')}" if missing else "is unevenly spaced"
    return (
        f"Series {series} {what}: slices lie {usual:.2f} mm apart, but not from {named}{more}; "
        "copy the series again completely, or resample it evenly first."
    )


def _check_straight(
    positions: NDArray[np.float64], normal: NDArray[np.float64], series: Series
) -> None:
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    slant = step / np.linalg.norm(step)
    if np.linalg.norm(slant - normal) > ORIENTATION_TOLERANCE:
        degrees = float(np.degrees(np.arccos(min(1.0, float(slant @ normal)))))
        raise VolumeError(
            f"Series {series} was taken with a gantry tilted by {degrees:.1f} degrees, so that "
            "its slices are shifted against each other; resample it onto a straight grid first."
        )
    offsets = positions - positions[0]
    sideways = np.linalg.norm(offsets - np.outer(offsets @ normal, normal), axis=1)
    if sideways.max() > SIDEWAYS_MM + ORIENTATION_TOLERANCE * np.linalg.norm(offsets[-1]):
        raise VolumeError(
            f"Series {series} has slices shifted sideways by up to {sideways.max():.1f} mm; "
            "choose a series of a single stack."
        )


def _pixels(path: Path) -> NDArray[Any]:
    """A file's pixels (frame, j, i), in units after the header's rescaling."""
    itk = simpleitk()
    reader = itk.ImageFileReader()
    reader.SetImageIO(DICOM.engine)
    reader.SetFileName(itk_name(path))
    try:
        with quiet():
            reader.ReadImageInformation()
            check_size(reader, path)
            image = reader.Execute()
    except RuntimeError as error:
        raise explained(error, path.name) from error
    pixels: NDArray[Any] = itk.GetArrayFromImage(image)
    return pixels.reshape(-1, *pixels.shape[-2:])


def _plane(pixels: NDArray[Any], frame: Frame) -> NDArray[Any]:
    columns, rows = frame.size
    if pixels.shape != (frame.count, rows, columns):
        raise FileError(f"'{frame.path.name}' is damaged; copy or export it again.")
    plane: NDArray[Any] = pixels[frame.index]
    return plane
