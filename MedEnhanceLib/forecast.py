"""How long a run will take, and how much memory, told before it begins."""

from __future__ import annotations

import os
from dataclasses import dataclass

from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.mirrors import MIRRORS, fair_mirrors
from MedEnhanceLib.model import Model
from MedEnhanceLib.task import Task

COST_METRIC = "cost (core-us per"


@dataclass(frozen=True)
class Past:
    """What an earlier run with the same model and device took.

    Attributes:
        voxels: of the grid that was worked on: the output's.
        seconds: by the clock.
        memory_mb: most memory it held, None when the system does not tell.
    """

    voxels: int
    seconds: float
    memory_mb: float | None = None


@dataclass(frozen=True)
class Forecast:
    """What a run will take.

    Attributes:
        seconds: by the clock.
        memory_mb: most memory it will hold, None when unknown.
        measured_here: whether it follows from a run on this computer rather than from the
            model's published cost.
    """

    seconds: float
    memory_mb: float | None
    measured_here: bool


def forecast(
    model: Model, voxels: int, past: Past | None = None, uncertainty: bool = False
) -> Forecast | None:
    """What a run on ``voxels`` voxels (of the output's grid) will take; None when unknown.

    Time and memory of an earlier run are scaled with the number of voxels; without one, the
    published cost is divided by the number of processors.
    """
    times = _passes(model) if uncertainty else 1
    if past is not None:
        share = voxels / past.voxels
        memory = None if past.memory_mb is None else past.memory_mb * share
        return Forecast(past.seconds * share * times, memory, True)
    cost = published_cost(model)
    if cost is None:
        return None
    return Forecast(cost * 1e-6 * voxels * times / (os.cpu_count() or 1), None, False)


def published_cost(model: Model) -> float | None:
    """Core-microseconds per voxel, the mean of what the model's results say; None without."""
    costs = [
        float(row["value"])
        for row in model.results
        if str(row.get("metric", "")).startswith(COST_METRIC)
    ]
    return sum(costs) / len(costs) if costs else None


def _passes(model: Model) -> int:
    """How often the model is run to tell how unsure it is."""
    if not model.is_trained:
        return 1
    if isinstance(model, Bundle) and model.task is Task.SEGMENT:
        return len(fair_mirrors(model))
    return len(MIRRORS)
