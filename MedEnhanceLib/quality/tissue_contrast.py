"""How far the two main tissues of an image are apart in brightness."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.intensity import otsu_threshold
from MedEnhanceLib.slabs import thin_sample

LEAST_SHARE = 0.05
"""Of the voxels in each tissue."""
LEAST_PARTED = 0.7
"""Of the variance between the two; parting one tissue in its middle makes it 2 / pi."""


def tissue_contrast(
    before: NDArray[Any], after: NDArray[Any], inside: NDArray[np.bool_]
) -> tuple[float, float] | None:
    """Mean of the brighter less that of the darker tissue, of the same voxels before and after.

    Otsu's threshold parts the values after. Large images are sampled.

    Args:
        before, after: the images (k, j, i).
        inside: homogeneous tissue.

    Returns:
        None where there are no two tissues.
    """
    chosen = thin_sample(inside)
    if not chosen.any():
        return None
    old, new = (thin_sample(voxels)[chosen].astype(np.float64) for voxels in (before, after))
    bright = new > otsu_threshold(new)
    share = float(bright.mean())
    if not LEAST_SHARE <= share <= 1 - LEAST_SHARE:
        return None
    was, became = (float(v[bright].mean() - v[~bright].mean()) for v in (old, new))
    if share * (1 - share) * became**2 < LEAST_PARTED * float(new.var()):
        return None
    return was, became
