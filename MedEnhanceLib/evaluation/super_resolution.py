"""Super-resolution, measured: acquire in thick slices, refine, compare with the thin ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.evaluation.acquiring import ThickCase
from MedEnhanceLib.evaluation.costs import measured
from MedEnhanceLib.evaluation.denoising import cheaper
from MedEnhanceLib.evaluation.methods import Method, Row
from MedEnhanceLib.options import SuperResolutionOptions
from MedEnhanceLib.quality.metrics import foreground, psnr, ssim
from MedEnhanceLib.quality.sharpness import edge_mask, edge_sharpness, gradient_magnitude
from MedEnhanceLib.result import Result

Told = Callable[[str], None]


def evaluate_case(
    case: ThickCase,
    methods: Sequence[Method],
    options: SuperResolutionOptions,
    *,
    repeats: int = 1,
    told: Told = lambda text: None,
) -> tuple[list[Row], dict[str, Result]]:
    """A row for each method, and the results. With repeats, methods take turns."""
    ratio = [n / m for n, m in zip(case.thin.geometry.size, case.thick.geometry.size, strict=True)]
    chosen = replace(options, factor=(ratio[0], ratio[1], ratio[2]))
    rows: dict[str, Row] = {}
    results: dict[str, Result] = {}
    for turn in range(repeats):
        for method in methods:
            told(f"{case.subject}, {case.condition}, {method.id}")
            result, cost = measured(partial(method.run, case.thick, chosen))
            if turn == 0:
                results[method.id] = result
                rows[method.id] = score(case, method.id, result.volume.voxels)
            rows[method.id] = cheaper(rows[method.id], cost.core_seconds, cost.peak_mb)
    return list(rows.values()), results


def score(case: ThickCase, method: str, voxels: NDArray[np.float32]) -> Row:
    """How close the refined voxels are to the thin slices."""
    reference = case.thin.voxels.astype(np.float32)
    inside = foreground(reference, case.peak)
    edges = edge_mask(gradient_magnitude(reference, case.thin.geometry))
    true_sharpness = edge_sharpness(reference, case.thin.geometry, edges)
    sharpness = edge_sharpness(voxels, case.thin.geometry, edges)
    values: dict[str, float | None] = {
        "psnr_db": psnr(reference, voxels, case.peak, inside),
        "ssim": ssim(reference, voxels, case.peak, inside),
        "sharpness_percent": 100 * sharpness / true_sharpness if true_sharpness else None,
    }
    return Row(case.subject, case.condition, method, values)
