"""Denoising, measured: add noise of a known level, remove it, compare with what was there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.acquisition import add_rician_noise
from MedEnhanceLib.evaluation.costs import measured
from MedEnhanceLib.evaluation.methods import Method, Row
from MedEnhanceLib.evaluation.subjects import Subject
from MedEnhanceLib.intensity import robust_peak
from MedEnhanceLib.options import DenoiseOptions
from MedEnhanceLib.quality.metrics import foreground, psnr, ssim
from MedEnhanceLib.quality.sharpness import edge_mask, edge_sharpness, gradient_magnitude
from MedEnhanceLib.result import Result
from MedEnhanceLib.volume import Volume

INPUT = "input"
Told = Callable[[str], None]


@dataclass(frozen=True)
class NoisyCase:
    """A clean volume and the same with noise.

    Attributes:
        subject: its name.
        percent: standard deviation of the noise in percent of the peak.
        sigma: the same in the volume's unit.
    """

    subject: str
    clean: Volume
    noisy: Volume
    percent: float
    sigma: float
    peak: float


def noisy_case(subject: Subject, percent: float, seed: int) -> NoisyCase:
    """The same noise every time: it depends on the seed and the level alone."""
    clean = subject.volume
    peak = robust_peak(clean.voxels)
    sigma = percent / 100 * peak
    rng = np.random.default_rng([seed, round(1000 * percent)])
    noisy = add_rician_noise(np.maximum(clean.voxels, 0), sigma, rng)
    return NoisyCase(subject.name, clean, clean.with_voxels(noisy), percent, sigma, peak)


def evaluate_case(
    case: NoisyCase,
    methods: Sequence[Method],
    options: DenoiseOptions,
    *,
    true_noise_for_models: bool = False,
    repeats: int = 1,
    told: Told = lambda text: None,
) -> tuple[list[Row], dict[str, Result]]:
    """A row for the noisy input and one for each method, and the results.

    Classical filters are always given the true noise level; trained models estimate it, as they
    do in use, unless ``true_noise_for_models``. With repeats, methods take turns and the least
    cost of each counts.
    """
    score = _Scorer(case)
    rows = {INPUT: score.row(INPUT, case.noisy.voxels)}
    results: dict[str, Result] = {}
    for turn in range(repeats):
        for method in methods:
            told(f"{case.subject}, {case.percent:g} %, {method.id}")
            known = true_noise_for_models or not method.is_trained
            chosen = replace(options, noise=case.sigma) if known else options
            result, cost = measured(partial(method.run, case.noisy, chosen))
            if turn == 0:
                results[method.id] = result
                rows[method.id] = score.row(method.id, result.volume.voxels)
            rows[method.id] = cheaper(rows[method.id], cost.core_seconds, cost.peak_mb)
    return list(rows.values()), results


def cheaper(row: Row, core_seconds: float, peak_mb: float | None) -> Row:
    """The row with these costs, unless it has lower ones already."""
    before = row.values.get("core_seconds")
    if before is not None and before <= core_seconds:
        return row
    return row.plus(core_seconds=core_seconds, peak_mb=peak_mb)


class _Scorer:
    """Compares with one clean volume."""

    def __init__(self, case: NoisyCase) -> None:
        self.case = case
        self.clean = case.clean.voxels.astype(np.float32)
        self.inside = foreground(self.clean, case.peak)
        self.edges = edge_mask(gradient_magnitude(self.clean, case.clean.geometry))
        self.sharpness = edge_sharpness(self.clean, case.clean.geometry, self.edges)

    def row(self, method: str, voxels: NDArray[np.float32]) -> Row:
        case = self.case
        sharpness = edge_sharpness(voxels, case.clean.geometry, self.edges)
        values: dict[str, float | None] = {
            "psnr_db": psnr(self.clean, voxels, case.peak, self.inside),
            "ssim": ssim(self.clean, voxels, case.peak, self.inside),
            "sharpness_percent": 100 * sharpness / self.sharpness if self.sharpness else None,
        }
        return Row(case.subject, f"noise {case.percent:g} %", method, values)
