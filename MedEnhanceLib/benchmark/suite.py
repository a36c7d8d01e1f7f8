"""All that is measured, in order; what it is held against is that of DESIGN's section on speed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from MedEnhanceLib.benchmark import memory, networks, runs
from MedEnhanceLib.benchmark.rows import Row
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.task import Task
from MedEnhanceLib.tiles import Index

Rows = Callable[[], Iterator[Row]]
FAST_DENOISER = "mr-denoise-residual"
MOST_WHOLE = 3_400_000
"""Voxels of a volume that any network can pass in one piece within a few GB."""


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        models: networks to be compared in several ways.
        denoiser: the network of whole runs, previews and the growth with size.
        shape: of the volume (k, j, i) for the comparison with MONAI.
        cube: edge of the volume of whole runs.
        slow: models too slow for the comparison with MONAI unless they were asked for.
        rounds: of each comparison; the least time counts.
    """

    models: tuple[Bundle, ...]
    denoiser: Bundle | None
    shape: Index
    cube: int
    slow: frozenset[str]
    rounds: int


@dataclass(frozen=True)
class Part:
    """Rows that are measured together, and what to say while they are."""

    title: str
    measure: Rows


def parts(plan: Plan) -> list[Part]:
    """What will be measured; the machine's own speed is measured first, when they are begun."""
    peak = networks.Peak()
    found = [Part("this machine's convolutions", peak.rows)]
    small = smaller(plan.shape, MOST_WHOLE)
    for bundle in plan.models:
        found.append(
            Part(
                f"{bundle.id}: pieces and whole, against the machine's peak",
                partial(networks.pieces_and_whole, bundle, small, peak, plan.rounds),
            )
        )
        if bundle.id not in plan.slow:
            measure = partial(networks.against_monai, bundle, plan.shape, plan.rounds)
            found.append(Part(f"{bundle.id}: against MONAI's sliding window", measure))
    if plan.denoiser is not None:
        found += _runs(plan.denoiser, plan)
    return found


def _runs(denoiser: Bundle, plan: Plan) -> list[Part]:
    cube = (plan.cube,) * 3
    return [
        Part("a whole run, file to file", partial(runs.whole_run, denoiser.id, plan.shape)),
        Part("a warm worker, and previews", partial(runs.worker, denoiser.id, cube)),
        Part("memory, in a process of its own", partial(peak_memory, denoiser.id, cube)),
        Part("cost against size", partial(runs.growth, denoiser.id, plan.cube)),
    ]


def peak_memory(model: str, shape: Index) -> Iterator[Row]:
    """The most memory that a run holds above what its imports take."""
    peak = memory.measured_alone(memory.Case(Task.DENOISE.value, model, shape))
    if peak.peak_mb is not None:
        yield Row(
            "peak memory above imports", f"{model}, {size_text(shape)}", peak.peak_mb, "MB", 2000
        )


def smaller(shape: Index, most: int) -> Index:
    """The shape scaled down to at most so many voxels, in multiples of 16."""
    k, j, i = shape
    scale = min(1.0, (most / (k * j * i)) ** (1 / 3))
    k, j, i = (max(16, int(n * scale) // 16 * 16) for n in shape)
    return (k, j, i)


def size_text(shape: Index) -> str:
    """As users say it, x first."""
    return "x".join(str(n) for n in shape[::-1])
