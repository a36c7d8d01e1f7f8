"""Denoising, measured: add noise of a known level, remove it, compare with what was there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from MedEnhanceLib.acquisition import add_ct_noise, add_rician_noise
from MedEnhanceLib.assessment import is_ct
from MedEnhanceLib.costs import measured
from MedEnhanceLib.evaluation.methods import Method, Row
from MedEnhanceLib.evaluation.scoring import Scorer, cheaper
from MedEnhanceLib.evaluation.subjects import Subject
from MedEnhanceLib.options import DenoiseOptions
from MedEnhanceLib.result import Result
from MedEnhanceLib.volume import Volume

INPUT = "input"
RICIAN, CORRELATED = "Rician", "in-plane correlated Gaussian"
Told = Callable[[str], None]


@dataclass(frozen=True)
class NoisyCase:
    """A clean volume and the same with noise.

    Attributes:
        subject: its name.
        percent: standard deviation of the noise in percent of the peak.
        sigma: the same in the volume's unit.
        kind: of the noise, `RICIAN` or, for CT, `CORRELATED`.
        note: what limits the comparison, "" for nothing.
    """

    subject: str
    clean: Volume
    noisy: Volume
    percent: float
    sigma: float
    peak: float
    kind: str = RICIAN
    note: str = ""

    @property
    def condition(self) -> str:
        """As in the tables; for CT in HU too."""
        hu = f" ({self.sigma:.3g} HU)" if self.kind == CORRELATED else ""
        return f"noise {self.percent:g} %{hu}"


def noisy_case(subject: Subject, percent: float, seed: int) -> NoisyCase:
    """The same noise every time: it depends on the seed and the level alone."""
    clean = subject.volume
    sigma = percent / 100 * subject.peak
    rng = np.random.default_rng([seed, round(1000 * percent)])
    kind = CORRELATED if is_ct(clean) else RICIAN
    if kind == CORRELATED:
        noisy = add_ct_noise(clean.voxels, sigma, rng)
    else:
        noisy = add_rician_noise(np.maximum(clean.voxels, 0), sigma, rng)
    return NoisyCase(
        subject.name,
        clean,
        clean.with_voxels(noisy),
        percent,
        sigma,
        subject.peak,
        kind,
        subject.note_on(sigma),
    )


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

    Classical filters and peers are always given the true noise level; trained models estimate
    it, as they do in use, unless ``true_noise_for_models``. With repeats, methods take turns and
    the least cost of each counts.
    """
    scorer = Scorer(case.clean, case.peak)

    def row(name: str, volume: Volume) -> Row:
        return Row(case.subject, case.condition, name, scorer.values(volume.voxels), case.note)

    rows = {INPUT: row(INPUT, case.noisy)}
    results: dict[str, Result] = {}
    for turn in range(repeats):
        for method in methods:
            told(f"{case.subject}, {case.percent:g} %, {method.id}")
            known = true_noise_for_models or not method.is_trained
            chosen = replace(options, noise=case.sigma) if known else options
            result, cost = measured(partial(method.run, case.noisy, chosen))
            if turn == 0:
                results[method.id] = result
                rows[method.id] = row(method.id, result.volume)
            size = case.noisy.voxels.size
            rows[method.id] = cheaper(rows[method.id], cost.core_seconds, cost.peak_mb, size)
    return list(rows.values()), results
