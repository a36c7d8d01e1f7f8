"""Guided denoising of MR: with a T1 as guide, without one, and with one that is misplaced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from MedEnhanceLib import Volume, enhance
from MedEnhanceLib.acquisition import add_rician_noise
from training.guides import Pair, pairs
from training.tables.rows import UNIT, Row, central_block, psnr, row, volume_of

LEVELS = (0.05, 0.09)
PLAIN = "mr-denoise-residual"
MISPLACED_MM = 3.0
IN_PLANE_MEAN = 1
"""Which of a thick-sliced scan's references is averaged over pairs of voxels in-plane."""


def guided_rows(data: Path, model: str) -> Iterator[Row]:
    """Foreground PSNR beside the model that takes no guide; guides are T1s as they were scanned."""
    for pair in pairs(data, "validation"):
        if pair.name.endswith("by T1"):
            yield from _rows(pair, model)


def _rows(pair: Pair, model: str) -> Iterator[Row]:
    clean, guide = (
        UNIT * central_block(references[IN_PLANE_MEAN].voxels)
        for references in (pair.image, pair.guide)
    )
    k, j, i = pair.spacing
    spacing = (2 * i, 2 * j, k)
    for level in LEVELS:
        noisy = add_rician_noise(clean, level * UNIT, np.random.default_rng(11))
        volume = volume_of(noisy, spacing)
        plain = psnr(enhance(volume, "denoise", PLAIN).volume.voxels, clean)
        for place, given in _guides(volume_of(guide, spacing)).items():
            ours = enhance(volume, "denoise", model, guide=given).volume.voxels
            condition = f"{level:.0%} noise, {place}"
            yield row(pair.name, condition, psnr(ours, clean), PLAIN, plain)


def _guides(guide: Volume) -> dict[str, Volume | None]:
    x, y, z = guide.geometry.origin
    away = replace(guide.geometry, origin=(x + MISPLACED_MM, y, z))
    return {
        "guided": guide,
        "no guide": None,
        f"guide misplaced by {MISPLACED_MM:g} mm": guide.with_voxels(guide.voxels, away),
    }
