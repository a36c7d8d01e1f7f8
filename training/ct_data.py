"""CT scans for training and validation: references in HU, quieted, and their classes of tissue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from MedEnhanceLib.filters.denoising import non_local_means
from MedEnhanceLib.tiles import middle_box
from training.data import (
    FloatArray,
    Part,
    average_neighbours,
    read_image,
    read_splits,
    scan_file,
)

LOWEST_HU = -1024.0
"""Some scanners write far lower values outside of what they measured."""
CLASSES = {
    "air": (-np.inf, -950.0),
    "lung": (-950.0, -500.0),
    "soft tissue": (-200.0, 200.0),
    "bone": (200.0, np.inf),
}
"""HU of each class of tissue in the reference; between lung and soft tissue are mostly edges."""


@dataclass(frozen=True)
class CtScan:
    """Voxels (k, j, i) in HU, the spacing (x, y, z) in mm, and whether it is of a chest."""

    name: str
    voxels: FloatArray
    spacing: tuple[float, float, float]
    is_chest: bool = False

    @property
    def classes(self) -> list[str]:
        """Classes of tissue it shows; elsewhere than in a chest, padding is as dark as lung."""
        return [name for name in CLASSES if self.is_chest or name != "lung"]


@dataclass(frozen=True)
class CtReference:
    """A scan quieted by averaging; ``cleaned`` also by non-local means.

    Attributes:
        noise: standard deviation left in ``voxels``, in HU, in soft tissue.
    """

    name: str
    voxels: FloatArray
    cleaned: FloatArray
    pixel_mm: float
    noise: float


def ct_scans(data: Path, part: Part) -> list[CtScan]:
    """All CT scans of one part of the split."""
    subjects = read_splits()["ct_body"][part]
    return [
        read_ct(scan_file(data, file), subject["region"] == "chest")
        for subject in subjects
        for file in subject["files"]
    ]


def read_ct(path: Path, is_chest: bool) -> CtScan:
    image = read_image(path)
    voxels = sitk.GetArrayFromImage(image).astype(np.float32)
    x, y, z = image.GetSpacing()
    name = path.name.removesuffix(".nii.gz")
    return CtScan(name, np.maximum(voxels, np.float32(LOWEST_HU)), (x, y, z), is_chest)


def central_part(scan: CtScan, largest: tuple[int, int, int]) -> CtScan:
    """The middle of a scan, at most ``largest`` voxels (k, j, i), a multiple of 4 along each."""
    box = middle_box(scan.voxels.shape, largest, 4)
    return replace(scan, voxels=np.ascontiguousarray(scan.voxels[box.slices]))


def quiet_reference(scan: CtScan) -> CtReference:
    """Average 2x2 voxels of the slice and pairs of slices: the noise falls to about a half."""
    voxels = average_neighbours(scan.voxels, (0, 1, 2))
    noise = soft_tissue_noise(voxels)
    cleaned = non_local_means(voxels, noise, False)
    return CtReference(scan.name, voxels, cleaned, 2 * scan.spacing[0], noise)


def tissue(voxels: FloatArray, name: str) -> NDArray[np.bool_]:
    """Where a reference shows the class of tissue ``name``."""
    low, high = CLASSES[name]
    return np.asarray((voxels > low) & (voxels <= high))


def soft_tissue_noise(voxels: FloatArray) -> float:
    """The scan's own noise in HU, estimated as for users' scans."""
    from MedEnhanceLib.noise import estimate_noise

    return estimate_noise(voxels, rician=False)
