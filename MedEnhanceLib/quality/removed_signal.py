"""Whether what a denoiser took away was noise, or anatomy too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.quality.separable import box_mean
from MedEnhanceLib.slabs import slabs

# The radius (x, y, z) of the window in which the removed signal's strength is measured. Noise of CT
# is correlated within the slice, so that 27 voxels hold too few independent values to tell.
WINDOW, CT_WINDOW = (1, 1, 1), (4, 4, 1)


@dataclass(frozen=True)
class RemovedSignal:
    """What the input has that the output lacks, within the object.

    Attributes:
        edge_correlation: of its local strength with the output's gradient.
        unexplained_percent: of the object, where its local strength is above a limit.
        grave_voxels: of the object, where it is above twice that limit.
        neighbour_correlation: between voxels that touch, mean over the axes.
    """

    edge_correlation: float
    unexplained_percent: float
    grave_voxels: int
    neighbour_correlation: float


class Correlation:
    """Pearson's correlation of values that come in parts."""

    def __init__(self) -> None:
        self._sums = np.zeros(6)

    def add(self, first: NDArray[Any], second: NDArray[Any]) -> None:
        """Take in pairs of values, two arrays (n)."""
        a, b = first.astype(np.float64), second.astype(np.float64)
        self._sums += np.array([a.size, a.sum(), b.sum(), a @ a, b @ b, a @ b])

    @property
    def value(self) -> float:
        """Of all pairs; 0 when one side hardly varies."""
        count, a, b, aa, bb, ab = self._sums
        if count < 2:
            return 0.0
        variances = (aa - a * a / count, bb - b * b / count)
        if min(variances[0] / max(aa, 1e-300), variances[1] / max(bb, 1e-300)) < 1e-12:
            return 0.0
        return float((ab - a * b / count) / np.sqrt(variances[0] * variances[1]))


def removed_signal(
    before: NDArray[Any],
    after: NDArray[Any],
    inside: NDArray[np.bool_],
    gradient: NDArray[np.float32],
    window: tuple[int, int, int],
    limit: float,
) -> RemovedSignal:
    """Look at ``before - after`` within the object.

    Args:
        before, after: input and output, (k, j, i).
        inside: the object.
        gradient: of the output.
        window: radius (x, y, z) around a voxel of what its local strength is measured over.
        limit: local strength that noise hardly ever has.
    """
    edges = Correlation()
    neighbours = [Correlation() for _ in range(3)]
    count = above = grave = 0
    for slab in slabs(before.shape, max(1, window[2])):
        removed = before[slab.grown].astype(np.float32) - after[slab.grown]
        mask = inside[slab.core]
        strength = local_strength(removed, window)[slab.inner][mask]
        edges.add(strength, gradient[slab.core][mask])
        count += strength.size
        above += int(np.count_nonzero(strength > limit))
        grave += int(np.count_nonzero(strength > 2 * limit))
        # One slice more, for the pairs of neighbours across the slab's end.
        more = slice(slab.core.start, slab.core.stop + 1)
        _add_neighbours(
            neighbours, removed[slab.inner.start : slab.inner.stop + 1], inside[more], len(mask)
        )
    used = [neighbours[axis].value for axis in range(3) if before.shape[axis] > 1]
    return RemovedSignal(
        edges.value, 100 * above / max(1, count), grave, float(np.mean(used)) if used else 0.0
    )


def _add_neighbours(
    correlations: list[Correlation],
    removed: NDArray[np.float32],
    inside: NDArray[np.bool_],
    depth: int,
) -> None:
    """Pairs of voxels inside that touch along each axis, of a slab ``depth`` slices thick."""
    for axis, correlation in enumerate(correlations):
        # What lies beyond the slab's end is only for the pairs across it.
        values, mask = (removed, inside) if axis == 0 else (removed[:depth], inside[:depth])
        first, second = _shifted(values, axis)
        both = np.logical_and(*_shifted(mask, axis))
        correlation.add(first[both], second[both])


def _shifted(array: NDArray[Any], axis: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Views of all but the last and all but the first voxels along an axis."""
    lines = np.moveaxis(array, axis, 0)
    return lines[:-1], lines[1:]


def local_strength(
    removed: NDArray[np.float32], radius: tuple[int, int, int] = WINDOW
) -> NDArray[np.float32]:
    """Root mean square of the removed signal around each voxel, (k, j, i).

    ``radius`` of the window (x, y, z) in voxels.
    """
    mean = box_mean(np.square(removed, dtype=np.float32), radius)
    return np.sqrt(mean, out=mean)
