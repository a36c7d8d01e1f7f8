"""Whether super-resolution added more than what it was given can account for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.intensity import largest_usual
from MedEnhanceLib.quality.separable import box_mean
from MedEnhanceLib.slabs import Slab, over_slabs

IN_PLANE_REACH = 2
"""Voxels on each side that count as surroundings, along axes that are not refined."""
# Sharpened scans at hand (2 and 4 times, plain and adversarial) never went beyond 1.5 times the
# spread of their surroundings and 3 sigma; at 1 time some ten voxels in a million did.
MOST_SPREADS = 2.0
MOST_SIGMAS = 3.0
ALWAYS_ALLOWED = 0.02
"""Of the peak: where there is no noise at all, as in phantoms, that much is the network's error."""


def unaccounted_voxels(
    interpolated: NDArray[np.float32],
    after: NDArray[np.float32],
    factors: tuple[float, float, float],
    sigma: float,
) -> int:
    """How many voxels depart from the interpolated image by more than their surroundings vary.

    Sharpening makes much of what varies already. Detail in places where the input is even was put
    in, also when it cancels out within each thick slice, so that the input cannot contradict it.

    Args:
        interpolated, after: the input on the fine grid, and the result, (k, j, i).
        factors: how many times finer the result is, (k, j, i).
        sigma: the standard deviation of the input's noise.
    """
    least = np.float32(ALWAYS_ALLOWED * largest_usual(interpolated))
    k, j, i = (IN_PLANE_REACH if f == 1 else round(f) + 1 for f in factors)

    def counted(slab: Slab) -> int:
        plain = interpolated[slab.grown]
        limit = MOST_SPREADS * _spread(plain, (i, j, k)) + np.float32(MOST_SIGMAS * sigma)
        departure = np.abs(after[slab.core] - interpolated[slab.core])
        return int(np.count_nonzero(departure > np.maximum(limit[slab.inner], least)))

    return sum(over_slabs(counted, after.shape, k))


def _spread(values: NDArray[np.float32], radius: tuple[int, int, int]) -> NDArray[np.float32]:
    """Standard deviation over the box of ``radius`` (x, y, z) around each voxel."""
    # Around the middle, so that squares lose no digits.
    centred = values - values.mean(dtype=np.float64).astype(np.float32)
    mean: NDArray[Any] = box_mean(centred, radius)
    variance = box_mean(np.square(centred), radius) - np.square(mean)
    return np.sqrt(np.maximum(variance, 0, out=variance), out=variance)
