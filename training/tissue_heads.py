"""Whole heads bent, turned and stretched at random, from label maps.

Axes are (k, j, i), as numpy reads a scan in RAS orientation: up, forward, right.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from training.data import Part
from training.patches import rotation
from training.tissue_maps import TissueMap, TissueTable, tissue_maps

ROTATION, SHEAR, ZOOM = 0.15, 0.05, 0.15
"""Spread of the random affine map: radians, and shares of length."""
BEND_MM, BEND_SPACING_MM = 3.5, 32
"""Greatest spread of the elastic displacement, and how far apart its points are."""
SHIFT_MM = 12
"""Spread of where the brain's middle lies in the field of view."""


class Head:
    """A label map at 1 mm that warped heads are sampled from."""

    def __init__(self, source: TissueMap, tissues: NDArray[np.uint8]) -> None:
        self.name = source.name
        self.rows = torch.from_numpy(source.rows)
        brain = tissues[source.rows] > 1
        self.middle = [
            float(np.flatnonzero(brain.any(tuple({0, 1, 2} - {axis})))[[0, -1]].mean())
            for axis in range(3)
        ]

    def warped(
        self, shape: Sequence[int], spacing: float, rng: np.random.Generator
    ) -> torch.Tensor:
        """Rows of the table (k, j, i) on a grid of ``spacing`` mm, air beyond the map."""
        return nearest(self.rows, warped_places(self.middle, shape, spacing, rng))


def warped_places(
    middle: Sequence[float], shape: Sequence[int], spacing: float, rng: np.random.Generator
) -> torch.Tensor:
    """Where the voxels of a grid come from in a head, (3, k, j, i), in mm.

    Args:
        middle: of the brain in that head, mm along (k, j, i).
        shape, spacing: of the grid.
    """
    axes = [(torch.arange(n, dtype=torch.float32) - (n - 1) / 2) * spacing for n in shape]
    points = [max(3, round(n * spacing / BEND_SPACING_MM) + 1) for n in shape]
    bend = rng.normal(0, rng.uniform(0, BEND_MM), (1, 3, *points)).astype(np.float32)
    places = functional.interpolate(
        torch.from_numpy(bend), tuple(shape), mode="trilinear", align_corners=True
    )[0]
    matrix = torch.from_numpy(random_matrix(rng)).float()
    for row in range(3):
        for column, axis in enumerate(axes):
            along = [1, 1, 1]
            along[column] = -1
            places[row] += matrix[row, column] * axis.reshape(along)
        places[row] += middle[row] + float(rng.normal(0, SHIFT_MM))
    return places


def heads_of(data: Path, part: Part, table: TissueTable) -> list[Head]:
    """The label maps of one part of the split, to be warped."""
    return [Head(m, table.tissues) for m in tissue_maps(data, part, table)]


def random_matrix(rng: np.random.Generator) -> NDArray[np.float64]:
    """A random affine map of (k, j, i): zoom, rotation, shear, half of them mirrored sideways."""
    matrix = np.eye(3) * (1 + rng.uniform(-ZOOM, ZOOM)) + np.diag(rng.normal(0, ZOOM / 3, 3))
    matrix = matrix @ rotation(((0, 1), (0, 2), (1, 2)), ROTATION, rng)
    matrix += rng.normal(0, SHEAR, (3, 3)) * (1 - np.eye(3))
    return matrix @ np.diag([1, 1, -1 if rng.random() < 0.5 else 1])


def nearest(rows: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Values (int64) of a map at places (3, k, j, i) in voxels; 0 beyond its borders."""
    index = torch.zeros(places.shape[1:], dtype=torch.int64)
    inside = torch.ones(places.shape[1:], dtype=torch.bool)
    for axis, size in enumerate(rows.shape):
        whole = places[axis].round_().to(torch.int64)
        inside &= (whole >= 0) & (whole < size)
        index = index * size + whole.clamp_(0, size - 1)
    return torch.where(inside, rows.reshape(-1)[index].to(torch.int64), 0)


def field_of_view(shape: Sequence[int], least: float, rng: np.random.Generator) -> torch.Tensor:
    """1 inside what was scanned (k, j, i), 0 beyond: some margins may be cut, all of a side's ends.

    Args:
        least: the smallest share of each axis that is left.
    """
    inside = torch.ones(tuple(shape))
    for axis, size in enumerate(shape):
        if rng.random() < 0.3:
            span = int(size * rng.uniform(least, 1))
            start = int(rng.integers(0, size - span + 1))
            inside.narrow(axis, 0, start).zero_()
            inside.narrow(axis, start + span, size - start - span).zero_()
    return inside
