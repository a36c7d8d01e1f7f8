"""Denoising of MR: foreground PSNR beside the best filter, which is told the true noise level."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from MedEnhanceLib import enhance
from MedEnhanceLib.acquisition import add_rician_noise
from MedEnhanceLib.noise import estimate_noise
from training.data import average_neighbours, is_thick_sliced, mr_scans
from training.denoising import LEAST_NOISE_OVER_REFERENCE
from training.tables.rows import UNIT, Row, central_block, psnr, row, volume_of

LEVELS = (0.01, 0.03, 0.05, 0.07, 0.09)
DENOISING_FILTERS = {
    "median": "filter-median",
    "anisotropic diffusion": "filter-anisotropic-diffusion",
    "non-local means": "filter-non-local-means",
}


def denoising_rows(data: Path, model: str) -> Iterator[Row]:
    """Foreground PSNR at each noise level, beside the best filter for that very image.

    A reference counts only at levels well above its own noise: what a denoiser takes away of
    that would be held against it.
    """
    for name, scan in mr_scans(data, "validation").items():
        axes = (1, 2) if is_thick_sliced(scan) else (0, 1, 2)
        clean = UNIT * central_block(average_neighbours(scan, axes))
        own_noise = estimate_noise(clean)
        for level in LEVELS:
            sigma = level * UNIT
            if sigma < LEAST_NOISE_OVER_REFERENCE * own_noise:
                continue
            noisy = volume_of(add_rician_noise(clean, sigma, np.random.default_rng(11)))
            ours = enhance(noisy, "denoise", model).output.voxels
            scores = {"noisy input": psnr(noisy.voxels, clean)}
            for title, filter_id in DENOISING_FILTERS.items():
                filtered = enhance(noisy, "denoise", filter_id, {"noise": sigma}).output
                scores[title] = psnr(filtered.voxels, clean)
            best = max(scores, key=lambda title: scores[title])
            yield row(name, f"{level:.0%} noise", psnr(ours, clean), best, scores[best])
