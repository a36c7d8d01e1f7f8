"""Pairs of contrasts of one head on one grid, and all that can be wrong with a guide."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from MedEnhanceLib import Volume, read_volume
from MedEnhanceLib.intensity import robust_peak
from MedEnhanceLib.resample import resample_averaged
from training.data import FloatArray, Part, Reference, quiet_references, read_splits

CONTRAST = re.compile(r"_(T1|T2|FLAIR)W?\.nii")
KNOTS = 6
"""Points through which the made-up relation of two contrasts goes."""
FURTHEST_VOXELS = 3.5
"""How far a guide is misplaced at most, besides a rotation."""
ROTATION_DEGREES = 4.0
NEAR_VOXELS = 0.4
"""How far a guide that counts as registered may be off."""


@dataclass(frozen=True)
class Pair:
    """Two contrasts of a head on the first one's grid, as scanned and quieted in the same ways.

    Attributes:
        name: which contrast of whom is guided by which.
        image, guide: references at the same places of their lists belong together.
        spacing: of the image in mm, in array order (k, j, i).
    """

    name: str
    image: list[Reference]
    guide: list[Reference]
    spacing: tuple[float, ...]


def pairs(data: Path, part: Part) -> Iterator[Pair]:
    """Every ordered pair of different contrasts of a subject of one part of the split."""
    for subject in read_splits()["mr_head"][part]:
        found = {
            match[1]: read_volume(data / file)
            for file in subject["files"]
            if (match := CONTRAST.search(file))
        }
        for image, guide in permutations(found, 2):
            name = f"{subject['subject']} {image} by {guide}"
            yield pair(name, found[image], found[guide])


def pair(name: str, image: Volume, guide: Volume) -> Pair:
    """The guide brought onto the image's grid, both over their peaks."""
    voxels = image.voxels.astype(np.float32) / np.float32(robust_peak(image.voxels))
    aligned = resample_averaged(guide.voxels, guide.geometry, image.geometry) / np.float32(
        robust_peak(guide.voxels)
    )
    return Pair(
        name,
        quiet_references(name, voxels),
        quiet_references(name, aligned),
        image.geometry.spacing[::-1],
    )


def made_up_contrast(image: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Another contrast of the same anatomy: a random smooth curve, changing from place to place."""
    brightness = np.linspace(0, 1.2, KNOTS)
    curves = rng.uniform(0.1, 1.0, (2, KNOTS))
    curves[:, 0] = 0
    first, second = (np.interp(image, brightness, curve) for curve in curves)
    field = ndimage.zoom(rng.uniform(0, 1, (2, 2, 2)), np.array(image.shape) / 2, order=1)
    share = field if rng.random() < 0.3 else 0.0
    return np.asarray(first * (1 - share) + second * share, dtype=np.float32)


def moved(guide: FloatArray, voxels: Sequence[float], degrees: Sequence[float]) -> FloatArray:
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
