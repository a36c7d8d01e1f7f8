"""Super-resolution, measured: acquire in thick slices, refine, compare with the thin ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.costs import measured
from MedEnhanceLib.evaluation.acquiring import ThickCase
from MedEnhanceLib.evaluation.methods import Method, Row
from MedEnhanceLib.evaluation.scoring import Scorer, cheaper
from MedEnhanceLib.options import SuperResolutionOptions
from MedEnhanceLib.quality.metrics import rmse
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
            size = case.thin.voxels.size
            rows[method.id] = cheaper(rows[method.id], cost.core_seconds, cost.peak_mb, size)
    return list(rows.values()), results


def score(case: ThickCase, method: str, voxels: NDArray[np.float32]) -> Row:
    """How close the refined voxels are to the thin slices, and to what was acquired."""
    values = Scorer(case.thin, case.peak).values(voxels)
    values["consistency_percent"] = 100 * inconsistency(case, voxels) / case.peak
    return Row(case.subject, case.condition, method, values, case.note)


def inconsistency(case: ThickCase, voxels: NDArray[np.float32]) -> float:
    """Root mean square difference between the input and the output made thick again.

    With noise in the thick slices, a method that does not copy it leaves that much.
    """
    return rmse(case.thick.voxels, case.acquisition.slices(voxels))
