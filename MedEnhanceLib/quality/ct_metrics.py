"""How close a CT image is to a reference, in Hounsfield units, tissue by tissue."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.quality.metrics import rmse

CT_RANGE_HU = 2000.0
"""Takes the place of the peak P in PSNR and SSIM: from air to dense bone, -1000 to 1000 HU."""
AIR_BELOW_HU = -950.0
TISSUES: dict[str, tuple[float, float]] = {
    "air": (-math.inf, AIR_BELOW_HU),
    "lung": (AIR_BELOW_HU, -500.0),
    "soft": (-150.0, 200.0),
    "bone": (200.0, math.inf),
}
"""HU of the reference, from the first up to the second. What lies between is of mixed tissue."""
FEWEST_VOXELS = 50

Mask = NDArray[np.bool_]


def ct_foreground(reference: NDArray[Any]) -> Mask:
    """Everything but air, in HU; everything when there is nothing else."""
    inside: Mask = reference >= AIR_BELOW_HU
    return inside if inside.any() else np.ones(reference.shape, bool)


def ct_values(reference: NDArray[Any], image: NDArray[Any]) -> dict[str, float | None]:
    """Root mean square error and mean shift in HU for each class of tissue.

    Keys are ``rmse_hu_TISSUE`` and ``shift_hu_TISSUE``; None for tissue that is hardly there.
    """
    values: dict[str, float | None] = {}
    for name, (low, high) in TISSUES.items():
        mask = (reference >= low) & (reference < high)
        there = int(mask.sum()) >= FEWEST_VOXELS
        values[f"rmse_hu_{name}"] = rmse(reference, image, mask) if there else None
        values[f"shift_hu_{name}"] = mean_shift(reference, image, mask) if there else None
    return values


def mean_shift(reference: NDArray[Any], image: NDArray[Any], mask: Mask) -> float:
    """By how much the mean over the mask is too high."""
    return float((image[mask].astype(np.float64) - reference[mask]).mean())
