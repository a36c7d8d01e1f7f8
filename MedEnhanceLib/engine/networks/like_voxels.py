"""Means over the voxels around each that look alike, gathered in pieces that a cache holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product

import torch
from torch.nn import functional

from MedEnhanceLib.engine.networks.folding import box_mean

REACH = 3
"""Voxels on each side from which like voxels are gathered."""
NEAR = 10
"""Squared distance, in voxels, up to which they are; the corners of the cube give little."""
SURROUNDINGS = 3.0
"""Weight of the difference of surroundings beside that of the voxels themselves."""
MOST_UNLIKE = 30.0
"""Beyond this a weight is as good as zero; smaller ones would be slow, denormal numbers."""
TOGETHER = 4
"""Slices that are compared at once. As slabs of a volume begin at multiples of it, a voxel's sums
are added up in one order, however the volume is divided."""
AT_ONCE = 1 << 19
"""Voxels that a processor's cache has room for, which makes it twice as fast; slices that are
larger are compared one by one."""
Look = tuple[torch.Tensor, torch.Tensor]
"""Voxels and their surroundings in units in which they are compared, :func:`padded`, in one row."""
Likeness = Callable[[slice, slice], Sequence[torch.Tensor]]


def means_of_like(
    image: torch.Tensor, sigma: torch.Tensor, likeness: Likeness, count: int
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Means over a ball, 7 wide, around each voxel, and the mean of the last one's weights.

    Squares are averaged and the Rician bias is taken off them.

    Args:
        image, sigma: (B, 1, D, H, W); sigma is the noise's standard deviation.
        likeness: the weights, in each of ``count`` means, of pairs of voxels that are given by
            their places in a `Look`.
    """
    whole = padded(image.square())
    square = whole.flatten()
    totals = [torch.zeros_like(square) for _ in range(count)]
    weights = [torch.zeros_like(square) for _ in range(count)]
    rows, columns = whole.shape[-2:]
    offsets = half_ball(rows, columns)
    for here, there in pairs(len(square), offsets, at_once(rows * columns, image.device)):
        for total, summed, weight in zip(totals, weights, likeness(here, there), strict=True):
            total[here].addcmul_(weight, square[there])
            total[there].addcmul_(weight, square[here])
            summed[here] += weight
            summed[there] += weight
    bias = 2 * sigma.square()
    means = [
        (inside((total + square) / (weight + 1), whole.shape) - bias).clamp_min_(0).sqrt_()
        for total, weight in zip(totals, weights, strict=True)
    ]
    return means, inside(weights[-1], whole.shape) / (2 * len(offsets))


def half_ball(rows: int, columns: int) -> list[int]:
    """How far apart in memory a voxel and those around it lie; each or its opposite once."""
    return [
        (k * rows + j) * columns + i
        for k, j, i in product(range(-REACH, REACH + 1), repeat=3)
        if (k, j, i) > (0, 0, 0) and k * k + j * j + i * i <= NEAR
    ]


def at_once(voxels: int, device: torch.device) -> int | None:
    """How many voxels to compare at once, of slices of so many; None for all, as on a GPU."""
    if device.type != "cpu":
        return None
    return voxels * TOGETHER if voxels * TOGETHER <= AT_ONCE else voxels


def pairs(voxels: int, offsets: list[int], count: int | None) -> Iterator[tuple[slice, slice]]:
    """All pairs of voxels that lie an offset apart, ``count`` neighbours at a time.

    Where a row ends, the next voxel in memory is no neighbour, but then one of the two lies in the
    padding, which is left out in the end.
    """
    for start in range(0, voxels, count or voxels):
        for offset in offsets:
            stop = min(start + (count or voxels), voxels - offset)
            if start < stop:
                yield slice(start, stop), slice(start + offset, stop + offset)


def look_of(image: torch.Tensor, width: torch.Tensor) -> Look:
    """Voxels of an image (B, 1, D, H, W) and their 3x3x3 means in units of ``width``."""
    scale = 1 / (width * math.sqrt(8))
    surround = box_mean(image, 3) * scale * math.sqrt(SURROUNDINGS)
    return padded(image * scale).flatten(), padded(surround).flatten()


def distance(look: Look, here: slice, there: slice) -> torch.Tensor:
    """Squared difference of voxels and of their surroundings."""
    voxel, surround = look
    squared = (voxel[here] - voxel[there]).square_()
    other = surround[here] - surround[there]
    return squared.addcmul_(other, other)


def alike(distance: torch.Tensor) -> torch.Tensor:
    """How much a voxel counts at such squared distances, which are written over."""
    return distance.clamp_(max=MOST_UNLIKE).neg_().exp_()


def padded(image: torch.Tensor) -> torch.Tensor:
    """With voxels repeated outwards as far as like ones are looked for."""
    return functional.pad(image, (REACH,) * 6, mode="replicate")


def inside(flat: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """An image without its padding, from one row of voxels of ``shape``."""
    middle = slice(REACH, -REACH)
    return flat.view(shape)[..., middle, middle, middle]
