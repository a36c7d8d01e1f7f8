"""Whether two scans are repeats: the same thing, in the same place, each with noise of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.intensity import FOREGROUND
from MedEnhanceLib.noise import GAUSSIAN_MAD, prudent_level
from MedEnhanceLib.registration import LEAST_EXTENT_MM, rigidly_placed
from MedEnhanceLib.volume import Volume
from training.self_supervised import Scan

LEAST_NOISE = 0.7
"""Of the noise in the difference, over what it is where each repeat has noise of its own."""
OBJECT_SIGMAS = 3.0
"""Times the noise, from which on a voxel shows the object; the noise of air spreads less."""
MOST_MOVED = 0.3
"""Voxels, at the corner of the grid that moved furthest."""


def check_repeats(scan: Scan, volumes: Sequence[Volume], names: Sequence[str]) -> None:
    """Raise `OptionsError` when two volumes are no repeats; ``scan`` has them on one scale."""
    pair = " and ".join(f"'{name}'" for name in names)
    if noise_share(scan) < LEAST_NOISE:
        raise OptionsError(
            f"{pair} share their noise, so that one tells nothing of the other's; give two scans "
            "that were each acquired and reconstructed for themselves."
        )
    if min(volumes[0].geometry.extent) < LEAST_EXTENT_MM:
        print(
            f"Warning: whether {pair} moved cannot be told, as they show less than "
            f"{LEAST_EXTENT_MM:.0f} mm along an axis.",
            flush=True,
        )
        return
    placement = rigidly_placed(volumes[1], volumes[0])
    moved = voxels_moved(volumes[1].geometry, placement.geometry)
    if placement.failure or moved > MOST_MOVED:
        how = placement.failure or f"the second one moved by {moved:.1f} voxels"
        raise OptionsError(
            f"{pair} do not lie on each other ({how}), which would teach to blur; give repeats "
            "made without moving, or each of them to --scans."
        )


def noise_share(scan: Scan) -> float:
    """The noise of the repeats' difference over what it is when they share none of it."""
    first, second = scan.voxels
    # By the mean, which tells nothing of the difference.
    inside = (first + second) / 2 > max(FOREGROUND, OBJECT_SIGMAS * scan.sigma)
    spread = float(np.median(np.abs(second - first)[inside])) / GAUSSIAN_MAD
    return spread / (np.sqrt(2) * prudent_level(scan.sigma, 1.0))


def voxels_moved(before: Geometry, after: Geometry) -> float:
    """How far the corner of a grid that moved furthest did."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in before.size])).reshape(3, -1).T
    away = before.to_index(after.to_world(corners)) - corners
    return float(np.linalg.norm(away, axis=1).max())
