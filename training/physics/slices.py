"""Slices that do not touch: a profile narrower than the slices are apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.acquisition import Profile, slice_matrix


def gap_matrix(
    count: int, slices: int, gap: float, profile: Profile = "box"
) -> NDArray[np.float64]:
    """Acquire ``slices`` of ``count`` voxels, a share ``gap`` of their distance not excited.

    As :func:`MedEnhanceLib.acquisition.slice_matrix`, with a slice thickness (full width at half
    maximum of the profile) of ``1 - gap`` slice distances. A negative gap is an overlap.
    """
    return slice_matrix(count, slices, profile, width_ratio(gap))


def width_ratio(gap: float) -> float:
    """Slice thickness over slice distance.

    Raises:
        ValueError: when nothing, or more than the neighbouring slices, would be excited.
    """
    if not -1 <= gap < 1:
        raise ValueError(f"The gap is a share of the slice distance from -1 to below 1, not {gap}.")
    return 1 - gap
