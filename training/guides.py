"""Pairs of contrasts of one head on one grid, and all that can be wrong with a guide."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage
from scipy.spatial.transform import Rotation

from MedEnhanceLib import Volume, read_volume
from MedEnhanceLib.intensity import robust_peak
from MedEnhanceLib.registration import rigidly_placed
from MedEnhanceLib.resample import resample_averaged
from training.data import (
    FloatArray,
    Part,
    Reference,
    quiet_references,
    read_splits,
    scan_file,
)

CONTRAST = re.compile(r"_(T1|T2|FLAIR)W?\.nii")
FURTHEST_VOXELS = 3.5
"""How far a guide is misplaced at most, besides a rotation."""
ROTATION_DEGREES = 4.0
NEAR_VOXELS = 0.4
"""How far a guide that counts as registered may be off."""


@dataclass(frozen=True)
class Pair:
    """Two contrasts of a head on the first one's grid, as scanned and quieted in the same ways.

    Attributes:
        subject, name: whose it is; which contrast of whom is guided by which.
        image, guide: references at the same places of their lists belong together.
        spacing: of the image in mm, in array order (k, j, i).
    """

    subject: str
    name: str
    image: list[Reference]
    guide: list[Reference]
    spacing: tuple[float, ...]


def pairs(data: Path, part: Part, by: str) -> Iterator[Pair]:
    """Every contrast of the subjects of one part of the split that can be guided by ``by``."""
    for subject in read_splits()["mr_head"][part]:
        found = {
            match[1]: read_volume(scan_file(data, file))
            for file in subject["files"]
            if (match := CONTRAST.search(file))
        }
        for image in [name for name in found if name != by and by in found]:
            yield pair(subject["subject"], f"{image} by {by}", found[image], found[by])


def pair(subject: str, name: str, image: Volume, guide: Volume) -> Pair:
    """The guide registered and brought onto the image's grid, both over their peaks."""
    voxels = image.voxels.astype(np.float32) / np.float32(robust_peak(image.voxels))
    placed = rigidly_placed(guide, image).geometry
    aligned = resample_averaged(guide.voxels, placed, image.geometry)
    aligned /= np.float32(robust_peak(guide.voxels))
    return Pair(
        subject,
        name,
        quiet_references(name, voxels),
        quiet_references(name, aligned),
        image.geometry.spacing[::-1],
    )


def moved(guide: FloatArray, voxels: ArrayLike, degrees: ArrayLike) -> FloatArray:
    """The guide shifted and turned about its middle, linearly interpolated."""
    matrix = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    middle = (np.array(guide.shape) - 1) / 2
    offset = middle - matrix @ middle + np.array(voxels)
    result = ndimage.affine_transform(guide, matrix, offset, order=1, mode="nearest")
    return np.asarray(result, dtype=np.float32)


def misplaced(guide: FloatArray, rng: np.random.Generator) -> FloatArray:
    """The guide as a wrong registration leaves it."""
    direction = rng.standard_normal(3)
    distance = rng.uniform(0.5, FURTHEST_VOXELS)
    turn = rng.uniform(-ROTATION_DEGREES, ROTATION_DEGREES, 3)
    return moved(guide, direction / np.linalg.norm(direction) * distance, turn)


def nearly_placed(guide: FloatArray, rng: np.random.Generator) -> FloatArray:
    """The guide off by part of a voxel, as a good registration leaves it."""
    return moved(guide, rng.uniform(-NEAR_VOXELS, NEAR_VOXELS, 3), (0.0, 0.0, 0.0))
