"""Denoising of CT: soft-tissue PSNR, shift of the mean, and error in each class of tissue.

Noise of filtered back-projection, simulated with an acquisition of its own, is added to scans that
are quieted by averaging 2x2x2 voxels. The model estimates the noise; filters are told it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from MedEnhanceLib import Geometry, Volume, enhance
from MedEnhanceLib.quality.ct_metrics import mean_shift
from MedEnhanceLib.quality.metrics import psnr, rmse
from training.ct_data import (
    CtReference,
    CtScan,
    central_part,
    ct_scans,
    quiet_reference,
    tissue,
)
from training.ct_denoising import physical_noise
from training.data import FloatArray
from training.physics.ct_noise import Acquisition
from training.tables.denoising import DENOISING_FILTERS
from training.tables.rows import Row, row

LEVELS_HU = (20.0, 40.0)
BLOCK = (32, 256, 256)
"""Voxels (k, j, i) of the scan; of the reference half as many along each axis."""
WINDOW_HU = 400.0
"""Takes the place of the peak in PSNR: the usual soft-tissue window."""
ACQUISITION = Acquisition(photons=2e5, electronic=8, kernel="cosine", blur=0.3, mixing=0.05)
LEAST_NOISE_OVER_REFERENCE = 1.5
"""Half of what counts for MR: no scan at hand is quieter than 8.7 HU once it is averaged."""
NOISY = "noisy input"


def ct_denoising_rows(data: Path, model: str) -> Iterator[Row]:
    """All measures of each validation scan at each level that its own noise allows."""
    for scan in ct_scans(data, "validation"):
        reference = quiet_reference(central_part(scan, BLOCK))
        noise = physical_noise(reference, [ACQUISITION], np.random.default_rng(11))[0]
        for level in LEVELS_HU:
            if level >= LEAST_NOISE_OVER_REFERENCE * reference.noise:
                yield from _rows(scan, reference, noise * np.float32(level), level, model)


def _rows(
    scan: CtScan, reference: CtReference, noise: FloatArray, level: float, model: str
) -> Iterator[Row]:
    clean = reference.voxels
    k, j, i = clean.shape
    x, y, z = scan.spacing
    doubled = (2 * x, 2 * y, 2 * z)
    noisy = Volume(clean + noise, Geometry((i, j, k), doubled), "CT", "HU")
    ours = enhance(noisy, "denoise", model).output.voxels
    peers = {NOISY: noisy.voxels}
    for title, filter_id in DENOISING_FILTERS.items():
        peers[title] = enhance(noisy, "denoise", filter_id, {"noise": level}).output.voxels
    soft = tissue(clean, "soft tissue")
    quality = {title: psnr(clean, image, WINDOW_HU, soft) for title, image in peers.items()}
    best = max(quality, key=lambda title: quality[title])
    condition = f"{level:.0f} HU noise"
    scores = (psnr(clean, ours, WINDOW_HU, soft), quality[best], quality[NOISY])
    name = "soft-tissue PSNR (dB)"
    yield row(reference.name, condition, scores[0], best, scores[1], name)
    name = "soft-tissue gain (dB)"
    yield row(reference.name, condition, scores[0] - scores[2], best, scores[1] - scores[2], name)
    shifts = [mean_shift(noisy.voxels, image, soft) for image in (ours, peers[best])]
    yield row(reference.name, condition, shifts[0], best, shifts[1], "soft-tissue shift (HU)")
    for kind in scan.classes:
        errors = [rmse(clean, image, tissue(clean, kind)) for image in (ours, noisy.voxels)]
        yield row(reference.name, condition, errors[0], NOISY, errors[1], f"RMSE in {kind} (HU)")
