"""Cutting a volume into boxes that fit in memory. All coordinates are in array order (k, j, i)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Index = tuple[int, int, int]


@dataclass(frozen=True)
class Box:
    """Voxels from ``start`` up to but not including ``stop``."""

    start: Index
    stop: Index

    @property
    def shape(self) -> Index:
        """Voxels along (k, j, i)."""
        k, j, i = (b - a for a, b in zip(self.start, self.stop, strict=True))
        return (k, j, i)

    @property
    def voxels(self) -> int:
        """How many voxels the box holds."""
        return math.prod(self.shape)

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index for an array (k, j, i)."""
        k, j, i = (slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return (k, j, i)

    def grown(self, margin: int, within: Index) -> Box:
        """Larger by ``margin`` on every side, but not beyond (0, 0, 0) and ``within``."""
        start = _index(max(0, a - margin) for a in self.start)
        stop = _index(min(n, b + margin) for b, n in zip(self.stop, within, strict=True))
        return Box(start, stop)

    def inside(self, outer: Box) -> Box:
        """This box in the coordinates of ``outer``."""
        start = _index(a - o for a, o in zip(self.start, outer.start, strict=True))
        return Box(start, _index(a + n for a, n in zip(start, self.shape, strict=True)))

    def halves(self, multiple: int) -> tuple[Box, Box] | None:
        """Cut across the longest axis at a multiple, or None when it is too short for that."""
        axis = int(np.argmax(self.shape))
        middle = self.start[axis] + self.shape[axis] // 2 // multiple * multiple
        if middle == self.start[axis]:
            return None
        stop, start = list(self.stop), list(self.start)
        stop[axis] = start[axis] = middle
        return Box(self.start, _index(stop)), Box(_index(start), self.stop)


def whole(shape: Index) -> Box:
    """The box of a whole volume."""
    return Box((0, 0, 0), shape)


def middle_box(shape: Sequence[int], edges: int | Sequence[int], multiple: int = 1) -> Box:
    """The middle of a volume, at most so many voxels along all axes, or along each.

    They are a multiple along axes that do not end sooner, and an axis shorter than it is whole.
    """
    limits = np.broadcast_to(edges, len(shape))
    sizes = [
        min(n // multiple * multiple or n, most) for n, most in zip(shape, limits, strict=True)
    ]
    starts = [(n - size) // 2 for n, size in zip(shape, sizes, strict=True)]
    return Box(_index(starts), _index(a + n for a, n in zip(starts, sizes, strict=True)))


def central_block(voxels: NDArray[Any], edges: int | Sequence[int] = 128) -> NDArray[Any]:
    """The middle of a volume, at most so many voxels along all axes, or along each; a view."""
    return voxels[middle_box(voxels.shape, edges).slices]


def padded_shape(shape: tuple[int, ...], multiple: int) -> Index:
    """The smallest shape of multiples that holds ``shape``."""
    return _index(math.ceil(n / multiple) * multiple for n in shape)


def exact_plan(shape: Index, halo: int, multiple: int, most_voxels: int) -> list[Box]:
    """Boxes that cover ``shape`` without overlap, for a network whose view reaches ``halo`` voxels.

    Each box, grown by the halo, holds at most ``most_voxels`` where that is possible. Fed with
    the grown box, such a network gives exactly what it gives for the whole volume. ``shape`` and
    all cuts are multiples of ``multiple``.
    """
    margin = aligned_halo(halo, multiple)
    pending, plan = [whole(shape)], []
    while pending:
        box = pending.pop()
        halves = box.halves(multiple)
        if halves is None or box.grown(margin, shape).voxels <= most_voxels:
            plan.append(box)
        else:
            pending.extend(reversed(halves))
    return plan


def aligned_halo(halo: int, multiple: int) -> int:
    """The halo rounded up to whole multiples, so that grown boxes start at a multiple."""
    return math.ceil(halo / multiple) * multiple


def overlapping_plan(shape: Index, patch: Index, overlap: Index) -> list[Box]:
    """Boxes of ``patch`` that cover ``shape`` with at least the given overlap, in order of k."""
    starts = [_starts(n, p, o) for n, p, o in zip(shape, patch, overlap, strict=True)]
    return [
        Box(_index(start), _index(a + p for a, p in zip(start, patch, strict=True)))
        for start in itertools.product(*starts)
    ]


def largest_patch(
    shape: Index, smallest: Index, overlap: Index, multiple: int, most_voxels: int
) -> Index:
    """The patch with which the fewest pieces of at most ``most_voxels`` cover ``shape``.

    It is nowhere smaller than ``smallest``, even where that holds more.
    """
    pieces = [1, 1, 1]
    while True:
        fair = (
            math.ceil((n + (count - 1) * o) / count)
            for n, count, o in zip(shape, pieces, overlap, strict=True)
        )
        patch = padded_shape(
            tuple(max(n, least) for n, least in zip(fair, smallest, strict=True)), multiple
        )
        room = [n - least for n, least in zip(patch, smallest, strict=True)]
        if math.prod(patch) <= most_voxels or max(room) <= 0:
            return patch
        longest = max((n, -axis) for axis, n in enumerate(patch) if room[axis] > 0)
        pieces[-longest[1]] += 1


def gaussian_weight(patch: Index) -> NDArray[np.float32]:
    """Weight of each voxel of a patch for blending: a Gaussian, sigma an eighth of the edge.

    As in nnU-Net, Isensee et al. 2021, doi:10.1038/s41592-020-01008-z.
    """
    axes = [np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (n / 8)) ** 2) for n in patch]
    weight = axes[0][:, None, None] * axes[1][None, :, None] * axes[2][None, None, :]
    return np.maximum(weight, 1e-4).astype(np.float32)


def bounding_box(mask: NDArray[Any]) -> Box | None:
    """The smallest box around the voxels that are not zero, or None when there is none."""
    slices = np.flatnonzero([part.any() for part in mask])
    plane = np.zeros(mask.shape[1:], bool)
    for part in mask:
        plane |= part != 0
    ranges = []
    for used in (slices, np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))):
        if used.size == 0:
            return None
        ranges.append((int(used[0]), int(used[-1]) + 1))
    return Box(_index(a for a, _ in ranges), _index(b for _, b in ranges))


def _starts(length: int, patch: int, overlap: int) -> list[int]:
    if patch >= length:
        return [0]
    count = math.ceil((length - patch) / max(1, patch - overlap)) + 1
    return [round(n * (length - patch) / (count - 1)) for n in range(count)]


def _index(values: Any) -> Index:
    k, j, i = (int(v) for v in values)
    return (k, j, i)
