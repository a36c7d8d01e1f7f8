"""Super-resolution of MR: quality, data consistency and cost beside a 5th-order B-spline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from MedEnhanceLib import enhance
from MedEnhanceLib.acquisition import (
    Profile,
    add_rician_noise,
    apply_to_shape,
    interpolation_matrix,
    thick_slices,
)
from MedEnhanceLib.costs import measured
from MedEnhanceLib.engine.imports import import_engine
from MedEnhanceLib.evaluation.scoring import Scorer
from training.data import FloatArray, Spacing, mr_scans, mr_spacings, smallest_first
from training.patches import softened
from training.tables.denoising import SOFT
from training.tables.rows import UNIT, Row, block_of, psnr, row, volume_of

SPLINE = "B-spline, order 5"
PSNR = "foreground PSNR (dB)"
EDGES = "edge sharpness (%)"
CONSISTENCY = "data consistency (% of peak)"
COST = "cost (core-us per output voxel)"


@dataclass(frozen=True)
class Acquisition:
    """How the fine block is made coarse; the model is told none of it but the factor.

    Attributes:
        factor: thickness of the slices in voxels.
        axes: array axes along which they are thick.
        profile: shape of the slice profile.
        width: its full width at half maximum over the distance of the slices.
        noise: standard deviation of the Rician noise added, as a share of the peak.
    """

    factor: int
    axes: tuple[int, ...] = (0,)
    profile: Profile = "gaussian"
    width: float = 1.0
    noise: float = 0.0

    def __call__(self, fine: FloatArray) -> FloatArray:
        """What a scanner makes of the fine block."""
        coarse = self.slices(fine)
        if self.noise:
            coarse = add_rician_noise(coarse, self.noise * UNIT, np.random.default_rng(11))
        return coarse

    def slices(self, fine: FloatArray) -> FloatArray:
        """The same without noise."""
        for axis in self.axes:
            fine = thick_slices(fine, axis, self.factor, self.profile, self.width)
        return fine


ACQUISITIONS = {
    "2x, Gaussian profile": Acquisition(2),
    "2x, Gaussian profile, 25% narrower": Acquisition(2, width=0.75),
    "2x, Gaussian profile, 25% wider": Acquisition(2, width=1.25),
    "2x, box profile": Acquisition(2, profile="box"),
    "2x, box profile, 3% noise": Acquisition(2, profile="box", noise=0.03),
    "4x, Gaussian profile": Acquisition(4),
    "2x along all axes, Gaussian profile": Acquisition(2, axes=(0, 1, 2)),
    "2x, Gaussian profile, 1% noise": Acquisition(2, noise=0.01),
}


def super_resolution_rows(data: Path, model: str) -> Iterator[Row]:
    """Each measure for each way of acquiring slices, beside a 5th-order B-spline; PSNR first.

    Edge sharpness is the gradient at the sharp block's strongest edges, in percent of its own. Data
    consistency is the root mean square of what is left between the input and the output
    acquired again in the same manner; noise in the input is part of it.
    """
    import_engine()
    rows = list(_rows(data, model))
    for metric in (PSNR, EDGES, CONSISTENCY, COST):
        yield from (row for row in rows if row["metric"] == metric)


def _rows(data: Path, model: str) -> Iterator[Row]:
    spacings = mr_spacings(data, "validation")
    scans = mr_scans(data, "validation")
    cases = [(name, soft) for name in scans for soft in (False, True)]
    for name, soft in cases:
        sharp, fine_mm = sharp_block(scans[name], spacings[name], SOFT if soft else 0.0)
        sharp = UNIT * sharp
        scorer = Scorer(volume_of(sharp, fine_mm[::-1]), UNIT)
        for condition, acquire in ACQUISITIONS.items():
            coarse = acquire(sharp)
            factor = [float(s) / c for s, c in zip(sharp.shape, coarse.shape, strict=True)]
            k, j, i = (mm * f for mm, f in zip(fine_mm, factor, strict=True))
            volume = volume_of(coarse, (i, j, k))
            options = {"factor": tuple(reversed(factor))}
            condition = f"{condition}, soft" if soft else condition
            ours, cost = measured(partial(enhance, volume, "super-resolution", model, options))
            spline = apply_to_shape(partial(interpolation_matrix, order=5), coarse, sharp.shape)
            _, spline_cost = measured(
                partial(enhance, volume, "super-resolution", "filter-bspline", options)
            )
            fine = ours.volume.voxels
            told = partial(row, name, condition)
            yield told(psnr(fine, sharp), SPLINE, psnr(spline, sharp), PSNR)
            edges = (scorer.values(x)["sharpness_percent"] or 0.0 for x in (fine, spline))
            yield told(next(edges), SPLINE, next(edges), EDGES)
            lacking = (consistency(x, coarse, acquire) for x in (fine, spline))
            yield told(next(lacking), SPLINE, next(lacking), CONSISTENCY)
            seconds = (c.core_seconds / sharp.size * 1e6 for c in (cost, spline_cost))
            yield told(next(seconds), SPLINE, next(seconds), COST)


def consistency(fine: FloatArray, coarse: FloatArray, acquire: Acquisition) -> float:
    """How far the fine block, acquired again, is from the coarse one, in percent of the peak."""
    lacking = acquire.slices(fine) - coarse
    return 100 * float(np.sqrt(np.mean(np.square(lacking)))) / UNIT


def sharp_block(scan: FloatArray, spacing: Spacing, softness: float) -> tuple[FloatArray, Spacing]:
    """The middle of a scan with its smallest voxels along the first axis, and their size in mm.

    Args:
        scan, spacing: (k, j, i).
        softness: voxels of Gaussian blur, as of scanners that filter; 0 for the scan as it is.
    """
    voxels, spacing = smallest_first(scan, spacing)
    return block_of(softened(voxels, softness) if softness else voxels), spacing
