"""Random patches of scans: where they are cut, how they are turned and recoloured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from MedEnhanceLib.intensity import FOREGROUND
from training.data import FloatArray, Kind

TRIES = 10


def random_patch(
    voxels: NDArray[Kind], size: Sequence[int], rng: np.random.Generator, tissue: float = 0.4
) -> NDArray[Kind]:
    """Cut a patch with at least a share ``tissue`` of foreground, if one is found in ten tries.

    Where the volume is smaller than ``size`` it is continued by its mirror image.
    """
    missing = [max(0, want - have) for want, have in zip(size, voxels.shape, strict=True)]
    if any(missing):
        voxels = np.pad(voxels, [(0, m) for m in missing], mode="symmetric")
    for _ in range(TRIES):
        start = [
            int(rng.integers(0, have - want + 1))
            for want, have in zip(size, voxels.shape, strict=True)
        ]
        patch = voxels[tuple(slice(s, s + want) for s, want in zip(start, size, strict=True))]
        if np.count_nonzero(patch > FOREGROUND) >= tissue * patch.size:
            break
    return patch


def random_turn(
    patch: NDArray[Kind], rng: np.random.Generator, axes: Sequence[int] | None = None
) -> NDArray[Kind]:
    """Reorder the axes at random, or as given, and flip each with probability one half."""
    order = rng.permutation(patch.ndim) if axes is None else axes
    flips = tuple(slice(None, None, -1 if rng.random() < 0.5 else 1) for _ in range(patch.ndim))
    return np.ascontiguousarray(patch.transpose(order)[flips])


def random_contrast(patch: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Another tissue contrast: a gamma curve, a smooth bias field, now and then inverted."""
    values = np.clip(patch, 0, None)
    if rng.random() < 0.5:
        values = values ** np.float32(np.exp(rng.normal(0, 0.25)))
    if rng.random() < 0.1:
        values = np.where(values > FOREGROUND, np.clip(1.1 - values, 0, None), values)
    if rng.random() < 0.5:
        values = values * _smooth_field(values.shape, rng)
    return np.asarray(values, dtype=np.float32)


def rotation(
    planes: Sequence[tuple[int, int]], spread: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """A rotation in each plane of two axes in turn, by angles of this spread, in radians."""
    total = np.eye(3)
    for first, second in planes:
        angle = rng.normal(0, spread)
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        total = total @ turn
    return total


def softened(sharp: FloatArray, sigma: float) -> FloatArray:
    """The patch blurred by a Gaussian of ``sigma`` voxels."""
    return np.asarray(ndimage.gaussian_filter(sharp, sigma, mode="nearest"), dtype=np.float32)


def noise_left(sigma: float) -> float:
    """The share of white noise that :func:`softened` leaves of a patch."""
    impulse = np.zeros(9)
    impulse[4] = 1
    return float(np.sum(ndimage.gaussian_filter1d(impulse, sigma) ** 2)) ** (3 / 2)


def _smooth_field(shape: Sequence[int], rng: np.random.Generator) -> FloatArray:
    """A field around 1 that changes exponentially with a linear slope along each axis."""
    exponent = np.zeros((1,) * len(shape))
    for axis, size in enumerate(shape):
        slope = rng.normal(0, 0.12) * np.linspace(-1, 1, size)
        exponent = exponent + np.expand_dims(slope, [a for a in range(len(shape)) if a != axis])
    return np.exp(exponent).astype(np.float32)
