"""Denoising of MR: quality and cost beside the best filter and BM4D, which know the true noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from MedEnhanceLib import Volume
from MedEnhanceLib.acquisition import add_rician_noise
from MedEnhanceLib.catalog import Catalog
from MedEnhanceLib.evaluation.methods import Method, methods_of
from MedEnhanceLib.evaluation.scoring import Scorer, Values
from MedEnhanceLib.evaluation.subjects import LEAST_NOISE_OVER_REFERENCE
from MedEnhanceLib.noise import estimate_noise
from MedEnhanceLib.task import Task
from training.data import FloatArray, average_neighbours, is_thick_sliced, mr_scans
from training.patches import softened
from training.tables.comparators import BM4D_TITLE, by_bm4d, filtered, run
from training.tables.rows import UNIT, VOXEL_COST, Row, block_of, row, volume_of

LEVELS = (0.01, 0.03, 0.05, 0.07, 0.09)
SOFT, SOFT_LEVELS = 0.7, (0.03, 0.09)
"""Voxels of Gaussian blur that make a scan as soft as averages, templates and phantoms are."""
DENOISING_FILTERS = {
    "median": "filter-median",
    "anisotropic diffusion": "filter-anisotropic-diffusion",
    "non-local means": "filter-non-local-means",
}
NOISY = "noisy input"
COST = "cost"
METRICS = {
    "psnr_db": "foreground PSNR (dB)",
    "sharpness_percent": "edge sharpness (%)",
    "ssim": "SSIM",
    COST: VOXEL_COST,
}


@dataclass(frozen=True)
class Cell:
    """One subject at one noise level: the values of the model, of the best filter and of BM4D."""

    subject: str
    condition: str
    model: Values
    best: str
    filter: Values
    bm4d: Values | None

    def row(self, metric: str) -> Row:
        """The line of one metric; BM4D stands in it as the second comparator."""
        values = (self.model, self.filter, self.bm4d or {})
        ours, best, bm4d = (v.get(metric) for v in values)
        made = row(self.subject, self.condition, ours or 0, self.best, best or 0, METRICS[metric])
        if bm4d is None:
            return made
        return made | {"second_comparator": BM4D_TITLE, "second_value": round(bm4d, 3)}


def denoising_rows(data: Path, model: str) -> Iterator[Row]:
    """Each metric at each noise level, beside the best filter (by PSNR) for that very image.

    A reference counts only at levels well above its own noise: what a denoiser takes away of
    that would be held against it. The model's cost is that of a whole run with blind estimation
    of the noise and the evidence; what was cached of the others has the cost it had then. BM4D
    has its column where `training.tables.fill_bm4d` has run it.
    """
    cells = list(_cells(data, model))
    for metric in METRICS:
        for cell in cells:
            yield cell.row(metric)


@dataclass(frozen=True, eq=False)
class Block:
    """The middle of a quieted scan, and the same with Rician noise of ``level`` times the peak.

    ``kind`` is "soft" of a scan that was blurred.
    """

    name: str
    level: float
    clean: FloatArray
    noisy: Volume
    kind: str = ""

    @property
    def condition(self) -> str:
        """What was done to the scan, in words."""
        return f"{self.level:.0%} noise{', soft' if self.kind else ''}"


def noisy_blocks(data: Path) -> Iterator[Block]:
    """Every validation scan, quieted by averaging or by a blur, at the levels its noise allows."""
    for name, scan in mr_scans(data, "validation").items():
        axes = (1, 2) if is_thick_sliced(scan) else (0, 1, 2)
        quiet = UNIT * block_of(average_neighbours(scan, axes))
        yield from _levels(name, quiet, LEVELS, "")
        soft = UNIT * block_of(softened(scan, SOFT))
        yield from _levels(name, soft, SOFT_LEVELS, "soft")


def _levels(name: str, clean: FloatArray, levels: tuple[float, ...], kind: str) -> Iterator[Block]:
    own_noise = estimate_noise(clean)
    for level in levels:
        sigma = level * UNIT
        if sigma >= LEAST_NOISE_OVER_REFERENCE * own_noise:
            noisy = volume_of(add_rician_noise(clean, sigma, np.random.default_rng(11)))
            yield Block(name, level, clean, noisy, kind)


def _cells(data: Path, model: str) -> Iterator[Cell]:
    (method,) = methods_of(Catalog.default(), Task.DENOISE, [model])
    for number, block in enumerate(noisy_blocks(data)):
        if number == 0:
            # Loading the weights is no part of the cost of a run.
            run(method, block.noisy, None)
        yield _cell(block, method)


def _cell(block: Block, method: Method) -> Cell:
    scorer = Scorer(volume_of(block.clean), UNIT)
    noisy, sigma = block.noisy, block.level * UNIT
    ours = run(method, noisy, None)
    filters: dict[str, Values] = {NOISY: scorer.values(noisy.voxels) | {COST: 0.0}}
    for title, filter_id in DENOISING_FILTERS.items():
        made = filtered(noisy, filter_id, sigma)
        filters[title] = scorer.values(made.voxels) | {COST: made.core_us}
    best = max(filters, key=lambda title: filters[title]["psnr_db"] or 0)
    bm4d = by_bm4d(noisy, sigma)
    return Cell(
        block.name,
        block.condition,
        scorer.values(ours.voxels) | {COST: ours.core_us},
        best,
        filters[best],
        None if bm4d is None else scorer.values(bm4d.voxels) | {COST: bm4d.core_us},
    )
