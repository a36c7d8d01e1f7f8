"""Where a map is largest, so that a person can go and look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.quality.removed_signal import local_strength

SPOTS = 5
SLICES_APART = 3


@dataclass(frozen=True)
class Spot:
    """A place in a map.

    Attributes:
        index: of its voxel, (i, j, k).
        value: root mean square of the map around it, in the map's unit.
    """

    index: tuple[int, int, int]
    value: float


def hot_spots(voxels: NDArray[Any]) -> list[Spot]:
    """The slices along k where a map (k, j, i) is largest, and the place within each.

    The size is the root mean square over 3 x 3 x 3 voxels (zero beyond the edges), so that no
    single voxel of noise wins.
    Slices nearer to one another than `SLICES_APART` show the same thing and count once. Slices
    where the map is zero do not count. The largest comes first.
    """
    strength = local_strength(np.pad(np.asarray(voxels, np.float32), 1))[1:-1, 1:-1, 1:-1]
    peaks = strength.max(axis=(1, 2))
    chosen: list[int] = []
    for k in np.argsort(-peaks, kind="stable"):
        if len(chosen) == SPOTS or not peaks[k] > 0:
            break
        if all(abs(int(k) - other) >= SLICES_APART for other in chosen):
            chosen.append(int(k))
    return [_spot(strength[k], k) for k in chosen]


def _spot(plane: NDArray[np.float32], k: int) -> Spot:
    j, i = np.unravel_index(int(plane.argmax()), plane.shape)
    return Spot((int(i), int(j), k), float(plane[j, i]))
