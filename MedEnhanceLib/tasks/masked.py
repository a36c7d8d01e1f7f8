"""What was not measured comes back as it was: masked-out air, and a CT's padding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.assessment import is_ct
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.hounsfield import NO_NOISE_HU
from MedEnhanceLib.resample import resample
from MedEnhanceLib.slabs import Slab, over_slabs
from MedEnhanceLib.volume import Volume

AIR_HU = -1000
PADDING_HU = -1024
"""Scanners fill with it, or with less, what lies outside of the circle that they measure."""


def keep_sign_and_air(before: NDArray[Any], after: NDArray[np.float32]) -> None:
    """An image without values below zero stays one, and so does masked-out background.

    That is zero together with all its neighbours. Changes ``after``.
    """
    least = 0 if before.min() >= 0 else -np.inf

    def keep(slab: Slab) -> None:
        part = after[slab.core]
        np.maximum(part, np.float32(least), out=part)
        part *= _not_air(before, slab)

    over_slabs(keep, before.shape, 1)


def keep_air_on_finer_grid(before: Volume, after: NDArray[np.float32], finer: Geometry) -> None:
    """Masked-out background stays zero in what was made of its voxels. Changes ``after``.

    Args:
        after: (k, j, i) on the grid ``finer``, of the same field of view.
    """
    voxels = before.voxels
    parts = over_slabs(lambda slab: _not_air(voxels, slab), voxels.shape, 1)
    not_air = np.concatenate(parts)
    if not not_air.all():
        after[resample(not_air, before.geometry, finer, "nearest") == 0] = 0


def _not_air(voxels: NDArray[Any], slab: Slab) -> NDArray[np.bool_]:
    return _dilated(voxels[slab.grown] != 0)[slab.inner]


def padding_as_air(volume: Volume) -> tuple[Volume, NDArray[np.bool_] | None]:
    """The volume with air for a CT's padding, and where (k, j, i) that is; None if nowhere."""
    padding = ct_padding(volume.voxels) if is_ct(volume) else None
    if padding is None:
        return volume, None
    air = volume.voxels.dtype.type(AIR_HU)
    return volume.with_voxels(np.where(padding, air, volume.voxels)), padding


def ct_padding(voxels: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Where (k, j, i) a CT in HU is filled with what is no CT value; None when it is nowhere.

    Where noise may have made such a value of air, it must be in voxels that fill a cube of three.
    """
    if voxels.min() > PADDING_HU:
        return None

    def of_slab(slab: Slab) -> NDArray[np.bool_]:
        part = voxels[slab.grown]
        below = part <= PADDING_HU
        inside = ~_dilated(~below)
        padding: NDArray[np.bool_] = (_dilated(inside) & below) | (part <= NO_NOISE_HU)
        return padding[slab.inner]

    padding = np.concatenate(over_slabs(of_slab, voxels.shape, 2))
    return padding if padding.any() else None


def _dilated(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask (k, j, i) and all voxels that touch it, over faces, edges or corners."""
    for axis in range(3):
        grown = mask.copy()
        lines, before = np.moveaxis(grown, axis, 0), np.moveaxis(mask, axis, 0)
        lines[1:] |= before[:-1]
        lines[:-1] |= before[1:]
        mask = grown
    return mask
