"""Passes over a volume some slices at a time, so that what they need in between stays small."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Found = TypeVar("Found")

MOST_VOXELS = 1_000_000
MOST_AT_ONCE = 4
LARGEST_SAMPLE = 1_000_000
THINNED = 8
SAMPLE_STRIDE = 101
"""For where a hundredth of the voxels is enough to tell, also of a small volume."""
LEAST_MARGINS = 4
"""A slab is this many margins thick, so that little is worked on twice."""


@dataclass(frozen=True)
class Slab:
    """Some slices of a volume, and those around them that a filter looks at too.

    Attributes:
        core: the slices, as an index along k.
        grown: the same with a margin, as far as the volume reaches.
        inner: the core within the grown slab.
    """

    core: slice
    grown: slice
    inner: slice


def slabs(shape: tuple[int, ...], margin: int = 0, multiple: int = 1) -> Iterator[Slab]:
    """Slabs that cover a volume (k, j, i) in order; one slab when it is small.

    Args:
        shape: of the volume.
        margin: slices on both sides that are looked at too.
        multiple: all slabs but the last are a multiple of this thick.
    """
    depth = shape[0]
    within = MOST_VOXELS // max(1, int(np.prod(shape[1:], dtype=np.int64)))
    thickness = max(1, within, LEAST_MARGINS * margin)
    thickness = -(-thickness // multiple) * multiple
    for start in range(0, depth, thickness):
        yield _slab(start, min(depth, start + thickness), depth, margin)


def over_slabs(
    run: Callable[[Slab], Found], shape: tuple[int, ...], margin: int = 0, multiple: int = 1
) -> list[Found]:
    """What ``run`` gives for each slab of a volume, in order; see :func:`slabs`.

    Some are worked on at once, as numpy leaves the interpreter to others while it computes.
    """
    parts = list(slabs(shape, margin, multiple))
    at_once = min(MOST_AT_ONCE, len(parts), os.cpu_count() or 1)
    if at_once <= 1:
        return [run(part) for part in parts]
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(run, parts))


def fullest_slab(content: NDArray[Any], plane: int, most: int, margin: int) -> Slab:
    """Neighbouring slices that hold the most, of equals those in the middle.

    Args:
        content: how much each slice of a volume holds (k).
        plane: voxels of a slice.
        most: voxels of all slices together; at least one slice is taken.
        margin: slices on both sides that are looked at too.
    """
    depth = len(content)
    count = min(depth, max(1, most // max(1, plane)))
    held = np.convolve(content, np.ones(count), "valid")
    starts = np.flatnonzero(held == held.max())
    start = int(starts[np.argmin(np.abs(starts - (depth - count) / 2))])
    return _slab(start, start + count, depth, margin)


def _slab(start: int, stop: int, depth: int, margin: int) -> Slab:
    """The slices from ``start`` to ``stop`` of a volume that has ``depth``."""
    first, last = max(0, start - margin), min(depth, stop + margin)
    return Slab(slice(start, stop), slice(first, last), slice(start - first, stop - first))


def filtered(
    voxels: NDArray[Any],
    run: Callable[[NDArray[Any]], NDArray[Any]],
    margin: int,
) -> NDArray[np.float32]:
    """What a filter gives for a volume (k, j, i).

    Args:
        run: the filter, which keeps the shape.
        margin: how many slices away it looks.
    """
    result = np.empty(voxels.shape, np.float32)

    def fill(slab: Slab) -> None:
        result[slab.core] = run(voxels[slab.grown])[slab.inner]

    over_slabs(fill, voxels.shape, margin)
    return result


def sample(values: NDArray[Any]) -> NDArray[Any]:
    """A view of every so manieth value, all of them when they are few; for quantiles."""
    return thinned(values, values.size // LARGEST_SAMPLE)


def thin_sample(values: NDArray[Any]) -> NDArray[Any]:
    """A view of fewer values than a sample has; for where that is enough to judge by."""
    return thinned(values, THINNED * values.size // LARGEST_SAMPLE)


def thinned(values: NDArray[Any], step: int) -> NDArray[Any]:
    """A view of about every ``step``-th value (n), from all columns and rows of an array alike."""
    step, plane = max(1, step), max(1, math.prod(values.shape[1:]))
    # With a factor in common, the same columns would be met in every row.
    while math.gcd(step, plane) > 1:
        step += 1
    return values.reshape(-1)[::step]


def mean_inside(values: NDArray[Any], inside: NDArray[np.bool_]) -> float:
    """Mean of the values inside, summed in double precision; 0 when nothing is inside."""

    def summed(slab: Slab) -> tuple[float, int]:
        chosen = values[slab.core][inside[slab.core]]
        return float(chosen.sum(dtype=np.float64)), chosen.size

    totals, counts = zip(*over_slabs(summed, values.shape), strict=True)
    return sum(totals) / sum(counts) if sum(counts) else 0.0


def quantile(values: NDArray[Any], inside: NDArray[np.bool_], share: float) -> float:
    """The quantile of the values inside, of a large volume that of a regular sample."""
    chosen = sample(values)[sample(inside)]
    return float(np.quantile(chosen, share, overwrite_input=True))
