"""Super-resolution of MR: foreground PSNR beside a 5th-order B-spline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from MedEnhanceLib import enhance
from MedEnhanceLib.acquisition import add_rician_noise, interpolate_axis, thick_slices
from training.data import FloatArray, average_neighbours, is_thick_sliced, mr_scans
from training.tables.rows import UNIT, Row, central_block, psnr, row, volume_of

ACQUISITIONS: dict[str, tuple[int, Any, float]] = {
    "2x, Gaussian profile": (2, "gaussian", 0.0),
    "2x, box profile": (2, "box", 0.0),
    "2x, box profile, 3% noise": (2, "box", 0.03),
    "4x, Gaussian profile": (4, "gaussian", 0.0),
}


def super_resolution_rows(data: Path, model: str) -> Iterator[Row]:
    """Foreground PSNR for each way of acquiring slices, beside a 5th-order B-spline."""
    for name, scan in mr_scans(data, "validation").items():
        sharp = UNIT * sharp_block(scan)
        for condition, (factor, profile, level) in ACQUISITIONS.items():
            thick = thick_slices(sharp, 0, factor, profile)
            if level > 0:
                thick = add_rician_noise(thick, level * UNIT, np.random.default_rng(11))
            volume = volume_of(thick, (1.0, 1.0, float(factor)))
            options = {"factor": (1, 1, factor)}
            ours = enhance(volume, "super-resolution", model, options).output.voxels
            spline = interpolate_axis(thick, 0, sharp.shape[0], order=5)
            yield row(name, condition, psnr(ours, sharp), "B-spline, order 5", psnr(spline, sharp))


def sharp_block(scan: FloatArray) -> FloatArray:
    """A block with small voxels along its first axis, quieted by averaging across that axis."""
    if is_thick_sliced(scan):
        return central_block(average_neighbours(np.moveaxis(scan, 1, 0), (2,)))
    return central_block(average_neighbours(scan, (1, 2)))
