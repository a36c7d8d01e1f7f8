"""Slices that do not touch: a profile narrower than the slices are apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from MedEnhanceLib.acquisition import FloatArray, Profile, slice_matrix, thick_slices


def slices_with_gap(
    voxels: ArrayLike, axis: int, factor: float, gap: float, profile: Profile = "box"
) -> FloatArray:
    """Acquire slices ``factor`` voxels apart along ``axis``, a share ``gap`` of it not excited.

    As :func:`MedEnhanceLib.acquisition.thick_slices`, with a slice thickness (full width at half
    maximum of the profile) of ``(1 - gap) * factor`` voxels. A negative gap is an overlap.
    """
    return thick_slices(voxels, axis, factor, profile, width_ratio(gap))


def gap_matrix(
    count: int, slices: int, gap: float, profile: Profile = "box"
) -> NDArray[np.float64]:
    """The same as a matrix (``slices`` x ``count``), for adjoints and back-projection."""
    return slice_matrix(count, slices, profile, width_ratio(gap))


def width_ratio(gap: float) -> float:
    """Slice thickness over slice distance.

    Raises:
        ValueError: when nothing, or more than the neighbouring slices, would be excited.
    """
    if not -1 <= gap < 1:
        raise ValueError(f"The gap is a share of the slice distance from -1 to below 1, not {gap}.")
    return 1 - gap
