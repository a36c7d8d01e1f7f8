"""Data consistency: a refined volume, put back into slices, must be what was measured."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.acquisition import apply_along, slice_matrix
from MedEnhanceLib.quality.evidence import GRAVE_VOXELS
from MedEnhanceLib.quality.removed_signal import local_strength
from MedEnhanceLib.slice_profile import USUAL_WIDTH

STEPS = 4
# Noise alone never reaches three times its standard deviation over 27 voxels.
LOCAL_SIGMAS, LOCAL_PERCENT = 3.0, 10.0
REGULARISATION = 0.01
USUAL_WIDTHS = (USUAL_WIDTH,) * 3
Widths = tuple[float, float, float]


def acquire(
    fine: NDArray[Any], shape: tuple[int, ...], widths: Widths = USUAL_WIDTHS
) -> NDArray[np.float32]:
    """``fine`` as seen in slices with Gaussian profiles.

    Args:
        fine: (k, j, i).
        shape: of the slices; axes that are as long as those of ``fine`` stay as they are.
        widths: full width of the profile at half its maximum over the distance of the slices,
            along (k, j, i).
    """
    coarse = fine
    for axis in range(3):
        if coarse.shape[axis] != shape[axis]:
            matrix = slice_matrix(coarse.shape[axis], shape[axis], "gaussian", widths[axis])
            coarse = apply_along(matrix, coarse, axis)
    return coarse


def made_consistent(
    coarse: NDArray[Any], fine: NDArray[np.float32], goal: float, widths: Widths
) -> NDArray[np.float32]:
    """Back-projection: add to ``fine`` what its acquisition lacks of ``coarse``.

    Irani and Peleg 1991, doi:10.1016/1049-9652(91)90045-L, with the regularised pseudo-inverse
    of the acquisition. What may lack, with a root mean square of ``goal``, is not added, as in
    Wiener's filter: a profile that was estimated is a little off, and so would be the rest.
    """
    for _ in range(STEPS):
        lacking = coarse - acquire(np.maximum(fine, floor_of(coarse)), coarse.shape, widths)
        residual = rms(lacking)
        if residual <= goal:
            break
        lacking *= np.float32(1 - (goal / residual) ** 2)
        for axis in range(3):
            if fine.shape[axis] != lacking.shape[axis]:
                inverse = _pseudo_inverse(fine.shape[axis], coarse.shape[axis], widths[axis])
                lacking = apply_along(inverse, lacking, axis)
        fine = fine + lacking
    return fine


def _pseudo_inverse(fine: int, coarse: int, width: float) -> NDArray[np.float64]:
    """(fine, coarse): the smallest change of the fine image that makes a wanted coarse change."""
    forward = slice_matrix(fine, coarse, "gaussian", width)
    gram = forward @ forward.T
    ridge = REGULARISATION * np.trace(gram) / coarse * np.eye(coarse)
    return np.linalg.solve(gram + ridge, forward).T


def contradictions(difference: NDArray[Any], sigma: float, scale: float) -> list[str]:
    """A warning when the output, put back into slices, is not what was measured in some place.

    A small structure that was put in hardly shows in the root mean square over the volume.

    Args:
        difference: input minus the output put back, (k, j, i).
        sigma: standard deviation of the input's noise.
        scale: the input's largest value.
    """
    limit = max(LOCAL_PERCENT * scale / 100, LOCAL_SIGMAS * sigma)
    strength = local_strength(difference.astype(np.float32, copy=False))
    places = int(np.count_nonzero(strength > limit))
    if places < GRAVE_VOXELS:
        return []
    return [
        f"At {places:,} voxels the output, put back into thick slices, is far from what was "
        "measured; details there may be invented."
    ]


def floor_of(voxels: NDArray[Any]) -> np.float32:
    """An image without values below zero stays one."""
    return np.float32(0 if voxels.min() >= 0 else -np.inf)


def rms(values: NDArray[Any]) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values), dtype=np.float64)))
