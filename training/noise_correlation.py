"""Whether the noise of neighbouring voxels is alike, as in scans that were interpolated."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.tiles import central_block

ALIKE = 0.2
"""Correlation from which on neighbours no longer count as two measurements."""
SHORTEST_AXIS = 8
FLATTEST_SHARE = 0.3
ENOUGH = 96
"""Voxels along each axis of the middle part that is looked at."""


def noise_correlation(voxels: NDArray[Any]) -> tuple[float, float, float]:
    """Correlation of the noise of next neighbours along each axis (k, j, i), from -1 to 1.

    Anatomy is taken away by differences along the two other axes, in the flattest third of the
    object; what stays is compared by sign, which a few edges cannot spoil: neighbours of
    correlation r agree in sign with probability 1/2 + asin(r) / pi. An axis of fewer than eight
    voxels counts as not correlated.
    """
    middle = central_block(voxels, ENOUGH)
    return (_along(middle, 0), _along(middle, 1), _along(middle, 2))


def _along(voxels: NDArray[Any], axis: int) -> float:
    others = [a for a in range(3) if a != axis and voxels.shape[a] >= SHORTEST_AXIS]
    if voxels.shape[axis] < SHORTEST_AXIS or not others:
        return 0.0
    detail = mean = voxels.astype(np.float32)
    for other in others:
        detail, mean = np.diff(detail, axis=other), _pair_means(mean, other)
    detail, mean = np.moveaxis(detail, axis, 0), np.moveaxis(mean, axis, 0)
    flat = _flat_object(mean)
    both = flat[1:] & flat[:-1]
    agree = np.mean(np.sign(detail[1:][both]) == np.sign(detail[:-1][both])) if both.any() else 0.5
    return float(np.sin(np.pi * (agree - 0.5)))


def _pair_means(array: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    count = array.shape[axis]
    both = np.take(array, range(1, count), axis) + np.take(array, range(count - 1), axis)
    return both * np.float32(0.5)


def _flat_object(mean: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Voxels brighter than the average with the smallest steps to the next along axis 0."""
    inside = mean > mean.mean()
    step = np.abs(np.gradient(mean, axis=0))
    return inside & (step <= np.quantile(step[inside], FLATTEST_SHARE)) if inside.any() else inside
