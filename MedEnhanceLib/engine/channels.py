"""The channels that a network is given, and boxes cut out of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.tiles import Box, Index

Channel = NDArray[np.float32] | float
"""One input channel: voxels (k, j, i), or one number for all of them."""


def shape_of(channels: Sequence[Channel]) -> Index:
    """Voxels (k, j, i) of the volume that the channels belong to."""
    k, j, i = next(c.shape for c in channels if isinstance(c, np.ndarray))
    return (k, j, i)


def read_box(channels: Sequence[Channel], box: Box) -> NDArray[np.float32]:
    """(1, C, k, j, i) of a box; beyond the volume its outermost voxels are repeated."""
    shape = shape_of(channels)
    inner = Box(box.start, clipped(box.stop, shape))
    batch = np.empty((1, len(channels), *inner.shape), np.float32)
    for number, channel in enumerate(channels):
        batch[0, number] = channel[inner.slices] if isinstance(channel, np.ndarray) else channel
    missing = [(0, b - a) for a, b in zip(inner.shape, box.shape, strict=True)]
    if any(after for _, after in missing):
        batch = np.pad(batch, [(0, 0), (0, 0), *missing], mode="edge")
    return batch


def clipped(stop: Index, shape: Index) -> Index:
    """The end of a box, not beyond the volume."""
    k, j, i = (min(s, n) for s, n in zip(stop, shape, strict=True))
    return (k, j, i)
