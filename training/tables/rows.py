"""What every table of results shares: a row, blocks of scans, volumes made of voxels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib import Geometry, Volume
from MedEnhanceLib.quality import metrics
from MedEnhanceLib.tiles import Box, middle_box
from training.data import FloatArray, Kind

Row = dict[str, Any]
BLOCK = 64
VOXEL_COST = "cost (core-us per voxel)"
UNIT = 1000.0
"""Peak of the volumes that are measured; any will do, scanners use numbers of this size."""


def row(
    subject: str,
    condition: str,
    value: float,
    comparator: str = "",
    comparator_value: float = 0.0,
    metric: str = "foreground PSNR (dB)",
) -> Row:
    """One line of a bundle's table of results, without the command.

    Nothing is told of a comparator where there is none.
    """
    made = {"subject": subject, "condition": condition, "metric": metric, "value": round(value, 3)}
    if not comparator:
        return made
    return made | {"comparator": comparator, "comparator_value": round(comparator_value, 3)}


def psnr(output: FloatArray, clean: FloatArray) -> float:
    """PSNR in dB over the foreground of ``clean``, whose peak is ``UNIT``."""
    return metrics.psnr(clean, output, UNIT, metrics.foreground(clean, UNIT))


def block_of(voxels: NDArray[Kind]) -> NDArray[Kind]:
    """What tables measure of a scan: the voxels of :func:`block_box`."""
    return np.ascontiguousarray(voxels[block_box(voxels.shape).slices])


def block_box(shape: tuple[int, ...]) -> Box:
    """The middle of a scan, at most 64 voxels and a multiple of 4 along each axis."""
    return middle_box(shape, BLOCK, 4)


def volume_of(
    voxels: FloatArray, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0), ras: bool = False
) -> Volume:
    """An MR volume with these voxels (k, j, i); its axes point to RAS or to LPS."""
    k, j, i = voxels.shape
    turned = -1.0 if ras else 1.0
    direction = ((turned, 0.0, 0.0), (0.0, turned, 0.0), (0.0, 0.0, 1.0))
    return Volume(voxels, Geometry((i, j, k), spacing, direction=direction), modality="MR")
