"""Whether values are those of CT in Hounsfield units, from the values alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.slabs import SAMPLE_STRIDE, sample, thinned

BELOW_MR = -200
# Fat and air are negative; a stray ringing voxel of an MR image is not CT yet.
NEGATIVE_SHARE_OF_CT = 0.01
HU_OFFSET = 1024
"""Added to CT by what cannot store negative values."""
SOFT_WITHIN_HU = 150
NOT_AIR_HU = -700
LEAST_SOFT_SHARE = 0.6
"""Of what is brighter than air; .63 and more in CT at hand, .60 in MR that is as bright."""
LEAST_SOFT_SHARE_OF_CROPS = 0.4
"""Central parts of CT have .44 and more; MR scaled to a mean of zero .13, phase images .36."""
LEAST_AIR_SHARE = 0.005
NO_NOISE_HU = -1500
"""The noise of air does not reach down to this."""
PADDING_SHARE = 0.99
FAT_HU = -50
LEAST_FAT_SHARE = 0.005
"""MR to which 1000 was added has nothing there."""
NEARLY_ALL_SOFT = 0.9
"""CT of a phantom, or of a brain alone, has no fat; of MR as bright at most .8 is as alike."""
MUSCLE_HU = 80
LEAST_MUSCLE_SHARE = 0.4
MUSCLE_OVER_MIRRORED = 2.0
"""As many values of a field map lie below zero as above."""


def looks_like_ct(voxels: NDArray[Any]) -> bool:
    """Whether voxels (k, j, i) show fat or air, and soft tissue, where they are in CT."""
    return lies_below_mr(voxels) and bool(voxels.max() > 0) and _has_tissue(voxels)


def lies_below_mr(voxels: NDArray[Any]) -> bool:
    """Whether voxels (k, j, i) go further below zero than those of MR images."""
    return bool(voxels.min() < BELOW_MR) and has_negative_values(voxels)


def has_negative_values(voxels: NDArray[Any]) -> bool:
    """Of more than one voxel in a hundred."""
    values = thinned(voxels, SAMPLE_STRIDE)
    return bool(np.mean(values < 0) > NEGATIVE_SHARE_OF_CT)


def _has_tissue(voxels: NDArray[Any]) -> bool:
    """Whether soft tissue is where it is in Hounsfield units, beside air or, without, alone."""
    values = sample(voxels)
    inside = values[values > NOT_AIR_HU]
    if inside.size == 0:
        return False
    if _has_air(values):
        is_soft = (inside >= -SOFT_WITHIN_HU) & (inside <= SOFT_WITHIN_HU)
        return bool(np.mean(is_soft) > LEAST_SOFT_SHARE_OF_CROPS and _is_air(values))
    muscle = np.mean((inside > 0) & (inside <= MUSCLE_HU))
    mirrored = np.mean((inside < 0) & (inside >= -MUSCLE_HU))
    return bool(muscle > LEAST_MUSCLE_SHARE and muscle > MUSCLE_OVER_MIRRORED * mirrored)


def _has_air(values: NDArray[Any]) -> bool:
    return bool(np.mean(values <= NOT_AIR_HU) >= LEAST_AIR_SHARE)


def _is_air(values: NDArray[Any]) -> bool:
    """Whether what is darker than the noise of air has one value, as padding does."""
    darker = values[values < NO_NOISE_HU]
    return bool(darker.size == 0 or np.mean(darker == darker.min()) > PADDING_SHARE)


def looks_like_shifted_ct(voxels: NDArray[Any]) -> bool:
    """Whether most of what is brighter than air then would be soft tissue, some of it fat.

    Or nearly all of it, beside air.
    """
    hounsfield = thinned(voxels, SAMPLE_STRIDE).astype(np.float32) - HU_OFFSET
    inside = hounsfield[hounsfield > NOT_AIR_HU]
    if inside.size == 0:
        return False
    is_soft = np.abs(inside) <= SOFT_WITHIN_HU
    has_fat = np.mean(is_soft & (inside <= FAT_HU)) > LEAST_FAT_SHARE
    if has_fat:
        least = LEAST_SOFT_SHARE
    elif _has_air(hounsfield):
        least = NEARLY_ALL_SOFT
    else:
        return False
    return bool(np.mean(is_soft) > least) and _has_tissue(hounsfield)
