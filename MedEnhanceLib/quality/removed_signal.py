"""Whether what a denoiser took away was noise, or anatomy too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.quality.separable import box_mean
from MedEnhanceLib.slabs import Slab, over_slabs

# The radius (x, y, z) of the window in which the removed signal's strength is measured. Noise of CT
# is correlated within the slice, so that 27 voxels hold too few independent values to tell.
WINDOW, CT_WINDOW = (1, 1, 1), (4, 4, 1)


@dataclass(frozen=True)
class RemovedSignal:
    """What the input has that the output lacks, within the object but for ``grave_voxels``.

    Attributes:
        edge_correlation: of its local strength with the output's gradient.
        unexplained_percent: of the object, where its local strength is above a limit.
        grave_voxels: of the whole volume, where it is above twice that limit; a structure that
            was taken away whole is no part of the output's object.
        neighbour_correlation: between voxels that touch, mean over the axes.
    """

    edge_correlation: float
    unexplained_percent: float
    grave_voxels: int
    neighbour_correlation: float


def removed_signal(
    before: NDArray[Any],
    after: NDArray[Any],
    inside: NDArray[np.bool_],
    part: Slab,
    gradient: NDArray[np.float32],
    window: tuple[int, int, int],
    limit: float,
) -> RemovedSignal:
    """Look at ``before - after``.

    Args:
        before, after: input and output, (k, j, i).
        inside: the object.
        part: slices in which correlations are measured; what is more than noise is everywhere.
        gradient: of the output, in these slices.
        window: radius (x, y, z) around a voxel of what its local strength is measured over.
        limit: local strength that noise hardly ever has.
    """
    unexplained_percent, grave = _unexplained(before, after, inside, window, limit)
    removed = _difference(before[part.grown], after[part.grown])
    strength = local_strength(removed, window)[part.inner]
    mask = inside[part.core]
    return RemovedSignal(
        correlation(strength[mask], gradient[mask]),
        unexplained_percent,
        grave,
        _neighbour_correlation(removed[part.inner], mask),
    )


def _unexplained(
    before: NDArray[Any],
    after: NDArray[Any],
    inside: NDArray[np.bool_],
    window: tuple[int, int, int],
    limit: float,
) -> tuple[float, int]:
    """Where the strength is above the limit, in percent of the object; voxels above twice of it."""

    def counted(slab: Slab) -> tuple[int, int, int]:
        removed = _difference(before[slab.grown], after[slab.grown])
        square = _mean_square(removed, window)[slab.inner]
        within = inside[slab.core]
        above = (square > limit**2) & within
        grave = square > (2 * limit) ** 2
        size, many, few = (int(np.count_nonzero(mask)) for mask in (within, above, grave))
        return size, many, few

    counts = over_slabs(counted, before.shape, max(1, window[2]))
    size, above, grave = (sum(column) for column in zip(*counts, strict=True))
    return 100 * above / max(1, size), grave


def _difference(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.float32]:
    # Of whole numbers of many bits too; their difference in their own type could overflow.
    difference: NDArray[np.float32] = np.subtract(before, after, dtype=np.float32, casting="unsafe")
    return difference


def _neighbour_correlation(removed: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """Of voxels inside that touch, mean over the axes of more than one voxel."""
    found = []
    for axis in (axis for axis in range(3) if removed.shape[axis] > 1):
        first, second = _shifted(removed, axis)
        both = np.logical_and(*_shifted(inside, axis))
        found.append(correlation(first[both], second[both]))
    return float(np.mean(found)) if found else 0.0


def _shifted(array: NDArray[Any], axis: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Views of all but the last and all but the first voxels along an axis."""
    lines = np.moveaxis(array, axis, 0)
    return lines[:-1], lines[1:]


def correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Pearson's correlation of pairs of values (n); 0 when one side hardly varies."""
    if first.size < 2:
        return 0.0
    a, b = first.astype(np.float64), second.astype(np.float64)
    squares = float(a @ a), float(b @ b)
    a -= a.mean()
    b -= b.mean()
    variances = float(a @ a), float(b @ b)
    if any(v <= 1e-12 * max(s, 1e-300) for v, s in zip(variances, squares, strict=True)):
        return 0.0
    return float(a @ b) / math.sqrt(variances[0] * variances[1])


def local_strength(
    removed: NDArray[np.float32], radius: tuple[int, int, int] = WINDOW
) -> NDArray[np.float32]:
    """Root mean square of the removed signal around each voxel, (k, j, i).

    ``radius`` of the window (x, y, z) in voxels.
    """
    mean = _mean_square(removed, radius)
    return np.sqrt(mean, out=mean)


def _mean_square(removed: NDArray[np.float32], radius: tuple[int, int, int]) -> NDArray[np.float32]:
    return box_mean(np.square(removed, dtype=np.float32), radius)
