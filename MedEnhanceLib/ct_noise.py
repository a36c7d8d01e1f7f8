"""How strong the noise in a CT volume is, from the volume alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.slabs import Slab, over_slabs

EDGE = 8
"""Voxels along each side of the squares that are looked at, longer than the noise's grain."""
SOFT_TISSUE_HU = (-200.0, 200.0)
FEWEST_SQUARES = 24
FLATTEST_SHARE = 0.1
ENOUGH_SQUARES = 100


def estimate_ct_noise(voxels: NDArray[Any]) -> float:
    """Standard deviation of the noise in soft tissue, in the volume's unit, typically HU.

    Filtered back-projection correlates the noise of neighbours in the slice, so that differences
    between them, which other estimators rely on, hold only a part of it: for usual kernels half
    of the standard deviation and less. Here it is the median spread over squares of 8 x 8 voxels
    of the slice, as a radiologist would measure it in regions of interest, in soft tissue and
    where the means of neighbouring squares differ least.

    After the global noise level of Christianson et al. 2015, "Automated technique to measure
    noise in clinical CT examinations", doi:10.2214/AJR.14.13613, with squares for its sliding
    window and with flatness for its histogram of all soft tissue.

    Args:
        voxels: (k, j, i), slices along k. Where hardly any voxel lies between -200 and 200, all
            are looked at.

    Returns:
        Sigma, 0 when there is no noise.
    """
    means, variances = _squares(voxels)
    low, high = SOFT_TISSUE_HU
    # Masked-out parts are constant.
    varied = variances > 0
    soft = varied & (means > low) & (means < high)
    if soft.sum() < FEWEST_SQUARES:
        soft = varied
    if not soft.any():
        return 0.0
    flat = _unevenness(means)
    share = np.clip(ENOUGH_SQUARES / soft.sum(), FLATTEST_SHARE, 1.0)
    chosen = soft & (flat <= np.quantile(flat[soft], share))
    return float(np.sqrt(np.median(variances[chosen])))


def _squares(voxels: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and variance of each square of each slice, (k, j / 8, i / 8)."""

    def of_slab(slab: Slab) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return _squares_of_slab(voxels[slab.core])

    parts = over_slabs(of_slab, voxels.shape)
    means, variances = zip(*parts, strict=True)
    return np.concatenate(means), np.concatenate(variances)


def _squares_of_slab(voxels: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    depth, rows, columns = voxels.shape
    high, wide = min(EDGE, rows), min(EDGE, columns)
    down, across = rows // high, columns // wide
    cut = voxels[:, : down * high, : across * wide].astype(np.float32)
    squares = cut.reshape(depth, down, high, across, wide)
    means = squares.mean(axis=(2, 4))
    residual = squares - means[:, :, None, :, None]
    count = high * wide
    return means, np.square(residual).sum(axis=(2, 4)) / np.float32(max(1, count - 1))


def _unevenness(means: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much a square's mean differs from those beside it, in its slice."""
    total = np.zeros(means.shape, np.float32)
    for axis in (1, 2):
        if means.shape[axis] > 1:
            total += np.gradient(means, axis=axis) ** 2
    return total
