"""Heads that no scanner has seen: smooth contrasts painted on label maps, free of noise.

Real references carry noise and texture of their own. A phantom has none: each label gets a
random brightness with slow changes over its inside, and its borders are softened as partial
volume does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from MedEnhanceLib.io import read_volume
from training.data import FloatArray, Part, read_splits, scan_file
from training.patches import random_patch, random_turn

AIR_SHARE = 0.15
"""How often a label is left as dark as air, as bone and masked-out tissue are."""


class Phantoms:
    """Label maps of one part of the split, cut to the head."""

    def __init__(self, data: Path, part: Part) -> None:
        self.maps = [read_labels(scan_file(data, file)) for file in label_files(part)]

    def patch(self, size: Sequence[int], rng: np.random.Generator) -> FloatArray:
        """A random patch in a random contrast with values of about 0 to 1."""
        labels = self.maps[rng.integers(len(self.maps))]
        order = rng.permutation(3)
        before = [size[int(np.flatnonzero(order == axis)[0])] for axis in range(3)]
        cut = random_patch(labels, before, rng, tissue=0.6)
        return painted(random_turn(cut, rng, [int(axis) for axis in order]), rng)


def label_files(part: Part) -> list[str]:
    """The label maps of one part of the split, relative to the data folder."""
    return [file for subject in read_splits()["brain_tissue"][part] for file in subject["files"]]


def read_labels(path: Path) -> NDArray[np.uint8]:
    """Labels (k, j, i), renumbered without gaps, air 0, cut to what is not air."""
    voxels = read_volume(path).voxels
    _, numbers = np.unique(voxels, return_inverse=True)
    labels = numbers.reshape(voxels.shape).astype(np.uint8)
    (box,) = ndimage.find_objects((labels > 0).astype(np.int8))
    return np.ascontiguousarray(labels[box])


def painted(labels: NDArray[np.uint8], rng: np.random.Generator) -> FloatArray:
    """A noiseless image (float32) of these labels with random tissue contrasts."""
    count = int(labels.max()) + 1
    means = rng.uniform(0.05, 1.0, count)
    means[rng.random(count) < AIR_SHARE] = 0
    means[0] = 0
    # Left and right carry different numbers; half the time a few tissues share all labels.
    if rng.random() < 0.5:
        means = np.concatenate([[0], rng.uniform(0.1, 1.0, 5)])[rng.integers(1, 6, count)]
        means[0] = 0
    image = means[labels].astype(np.float32)
    if rng.random() < 0.5:
        image *= 1 + texture(labels.shape, rng)
    softness = rng.uniform(0.4, 0.9)
    return np.asarray(ndimage.gaussian_filter(image, softness, mode="nearest"), dtype=np.float32)


def texture(shape: Sequence[int], rng: np.random.Generator) -> FloatArray:
    """Smooth relative changes of a few per cent with structures of 2 to 6 voxels."""
    grain = ndimage.gaussian_filter(rng.standard_normal(shape), rng.uniform(1, 3))
    return np.asarray(rng.uniform(0.01, 0.06) * grain / grain.std(), dtype=np.float32)
