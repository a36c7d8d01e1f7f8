"""Scans for training and validation: which subject is where, and how a scan is read.

``splits.json`` lists every subject with its files, source and licence, once for training and
once for validation. Files are named relative to the data folder given on the command line.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from MedEnhanceLib.errors import FileError
from MedEnhanceLib.intensity import PEAK_PERCENTILE
from MedEnhanceLib.io import read_volume
from MedEnhanceLib.itk import to_itk

FloatArray = NDArray[np.float32]
Kind = TypeVar("Kind", np.float32, np.uint8)
"""Of voxels: intensities or labels."""
Part = Literal["training", "validation"]
Spacing = tuple[float, float, float]
"""Millimetres along (k, j, i)."""

SPLITS = Path(__file__).with_name("splits.json")


def read_splits() -> dict[str, Any]:
    """The committed division of subjects into training and validation."""
    splits: dict[str, Any] = json.loads(SPLITS.read_text(encoding="utf-8"))
    return splits


def read_image(path: Path) -> sitk.Image:
    """A file of scans or labels; raises `FileError` for a damaged one.

    Of one that was cut off, ITK alone would read the rest as black.
    """
    volume = read_volume(path)
    return to_itk(volume.voxels, volume.geometry)


def read_scan(path: Path) -> FloatArray:
    """Voxels (k, j, i) of a scan, divided by its peak (99.9th percentile).

    Raises:
        FileError: when it is damaged or shows nothing.
    """
    voxels = sitk.GetArrayFromImage(read_image(path)).astype(np.float32)
    peak = np.float32(np.percentile(voxels, PEAK_PERCENTILE))
    if not peak > 0:
        raise FileError(f"'{path}' shows nothing: its peak is {peak:g}; put a whole scan there.")
    return voxels / peak


def mr_scans(data: Path, part: Part) -> dict[str, FloatArray]:
    """All head MR scans of one part of the split, by file name without its ending."""
    return {name: read_scan(path) for name, path in mr_files(data, part).items()}


def mr_spacings(data: Path, part: Part) -> dict[str, Spacing]:
    """The spacing of the scans of :func:`mr_scans`."""
    return {name: _spacing(path) for name, path in mr_files(data, part).items()}


def _spacing(path: Path) -> Spacing:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    i, j, k = reader.GetSpacing()
    return (k, j, i)


def mr_files(data: Path, part: Part) -> dict[str, Path]:
    """Where the scans of a part are, by file name without its ending."""
    files = [file for subject in read_splits()["mr_head"][part] for file in subject["files"]]
    return {Path(file).name.removesuffix(".nii.gz"): scan_file(data, file) for file in files}


def scan_file(data: Path, name: str) -> Path:
    """Where a scan that ``splits.json`` names is; raises `FileError` when it is not there."""
    path = data / name
    if not path.is_file():
        raise FileError(
            f"There is no '{name}' in '{data}'; --data names the folder with the scans."
        )
    return path


def head_of(crop: str) -> int:
    """The head of a hippocampus: crops 1 and 2, 3 and 4, ... are of one, as their volumes tell."""
    return (int(crop.rpartition("_")[2]) + 1) // 2


def is_thick_sliced(scan: FloatArray) -> bool:
    """Whether a head scan has far fewer slices (axis k) than rows: 3 mm and more apart."""
    return scan.shape[0] * 3 < scan.shape[1]


def smallest_first(scan: FloatArray, spacing: Spacing) -> tuple[FloatArray, Spacing]:
    """A scan with an axis of its smallest voxels first: that of its slices if they are thin."""
    if not is_thick_sliced(scan):
        return scan, spacing
    k, j, i = spacing
    return np.moveaxis(scan, 1, 0), (j, k, i)


def average_neighbours(voxels: FloatArray, axes: tuple[int, ...]) -> FloatArray:
    """Average pairs of neighbours along ``axes``; noise falls by sqrt(2) for each."""
    for axis in axes:
        even = voxels.shape[axis] // 2 * 2
        pairs = np.take(voxels, range(even), axis)
        pairs = pairs.reshape(*voxels.shape[:axis], even // 2, 2, *voxels.shape[axis + 1 :])
        voxels = pairs.mean(axis=axis + 1, dtype=np.float32)
    return voxels


def measure_noise(voxels: FloatArray) -> float:
    """A robust estimate of a reference's own noise in its foreground.

    The median absolute second difference over the diagonal of 2x2 voxels; fine structure makes
    it too high rather than too low. In-plane axes only, where voxels are smallest.
    """
    corner = voxels[:, :-1, :-1]
    detail = (corner - voxels[:, 1:, :-1] - voxels[:, :-1, 1:] + voxels[:, 1:, 1:]) / 2
    return float(np.median(np.abs(detail[corner > 0.15])) / 0.6745)


@dataclass(frozen=True)
class Reference:
    """What a network is taught to produce: a scan over its peak, and how noisy it is itself."""

    name: str
    voxels: FloatArray
    noise: float
    as_scanned: bool


def quiet_references(name: str, scan: FloatArray) -> list[Reference]:
    """The scan itself and quieter ones, made by averaging neighbouring voxels.

    Thick slices are averaged in-plane only; others over each pair of axes and over all three.
    """
    pairs = [(1, 2)] if is_thick_sliced(scan) else [*combinations(range(3), 2), (0, 1, 2)]
    noise = measure_noise(scan)
    quieter = [
        Reference(name, average_neighbours(scan, axes), noise / 2 ** (len(axes) / 2), False)
        for axes in pairs
    ]
    return [Reference(name, scan, noise, True), *quieter]
