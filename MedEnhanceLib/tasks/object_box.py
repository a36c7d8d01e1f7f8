"""The part of a volume that holds what was scanned, for networks that look at all of it at once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.intensity import object_threshold
from MedEnhanceLib.itk import from_itk, unplaced
from MedEnhanceLib.tiles import Box, bounding_box, whole
from MedEnhanceLib.volume import Volume

BLOCK_MM = 4.0
"""In the mean of blocks of this edge, noise of air and single bright voxels vanish."""
MARGIN_MM = 16.0
FAINT = 0.5
"""Of the threshold between object and air: where a coil hardly reaches is no air."""


def without_surroundings(volume: Volume) -> tuple[Volume, Box]:
    """The volume without empty space around what was scanned, and where that was in it."""
    box = object_box(volume.voxels, volume.geometry)
    grid = volume.geometry.cropped(box.start[::-1], box.shape[::-1])
    return volume.with_voxels(volume.voxels[box.slices], grid), box


def object_box(voxels: NDArray[Any], geometry: Geometry) -> Box:
    """The box (k, j, i) of all that is brighter than air, and `MARGIN_MM` around it.

    How many slices, rows or columns of zeros are around what was scanned does not matter.
    """
    scanned = bounding_box(voxels) or whole(geometry.shape)
    part = voxels[scanned.slices]
    spacing = geometry.spacing[::-1]
    edges = [min(n, max(1, round(BLOCK_MM / s))) for n, s in zip(part.shape, spacing, strict=True)]
    blocks = _block_means(part, edges)
    blocks -= min(0.0, float(blocks.min()))
    # Half of it empty, so that air is what the threshold parts it from, if there is any or not.
    threshold = FAINT * object_threshold(np.concatenate([blocks, np.zeros_like(blocks)]))
    bright = bounding_box(blocks > threshold)
    if bright is None:
        return scanned
    # The far end may lie in a block that is not whole, which was left out.
    margins = [max(n, math.ceil(MARGIN_MM / s)) for n, s in zip(edges, spacing, strict=True)]
    start, stop = [], []
    for axis, (first, edge, margin) in enumerate(zip(scanned.start, edges, margins, strict=True)):
        start.append(max(first, first + bright.start[axis] * edge - margin))
        stop.append(min(scanned.stop[axis], first + bright.stop[axis] * edge + margin))
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def _block_means(voxels: NDArray[Any], edges: list[int]) -> NDArray[np.float32]:
    """Means of blocks of so many voxels (k, j, i); what is left at the far ends is left out."""
    import SimpleITK as sitk

    image = unplaced(voxels.astype(np.float32))
    means: NDArray[np.float32] = from_itk(sitk.BinShrink(image, edges[::-1]))
    return means
