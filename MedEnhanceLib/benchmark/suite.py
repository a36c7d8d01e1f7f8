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
CT_EDGES, LARGEST_CT = (64, 128, 256), (600, 512, 512)
MOST_WHOLE = 3_400_000
"""Voxels of a volume that any network can pass in one piece within a few GB."""

MOST_COMPARED = 300_000
"""Of one in which number formats are compared, in seconds."""


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        models: networks to be compared in several ways.
        denoiser: the network of whole runs, previews and the growth with size.
        shape: of the volume (k, j, i) for the comparison with MONAI.
        cube: edge of the volume of whole runs.
        large: a CT denoiser to run on 512 x 512 x 600 voxels, for ten minutes; or None.
        slow: models too slow for the comparison with MONAI unless they were asked for.
        rounds: of each comparison; the least time counts.
    """

    models: tuple[Bundle, ...]
    denoiser: Bundle | None
    shape: Index
    cube: int
    slow: frozenset[str]
    rounds: int
    large: Bundle | None = None


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
    small = smaller(plan.shape, MOST_COMPARED)
    for bundle in plan.models:
        if bundle.task is not Task.SUPER_RESOLUTION:
            measure = partial(networks.in_half_precision, bundle, small)
            found.append(Part(f"{bundle.id}: half precision against float32", measure))
    if plan.denoiser is not None:
        found += _runs(plan.denoiser, plan)
    if plan.large is not None:
        title = f"{plan.large.id}: CT of up to {runs.size_text(LARGEST_CT)}"
        found.append(Part(title, partial(large_ct, plan.large.id)))
    return found


def _runs(denoiser: Bundle, plan: Plan) -> list[Part]:
    cube = (plan.cube,) * 3
    found = [
        Part("a whole run, file to file", partial(runs.whole_run, denoiser.id, plan.shape)),
        Part("a warm worker, and previews", partial(runs.worker, denoiser.id, cube)),
        Part("memory, in a process of its own", partial(peak_memory, denoiser.id, cube)),
    ]
    edges = [edge for edge in runs.GROWTH_EDGES if edge <= plan.cube]
    # One size alone tells no growth.
    if len(edges) > 1:
        found.append(Part("cost against size", partial(runs.growth, denoiser.id, edges)))
    return found


def peak_memory(model: str, shape: Index) -> Iterator[Row]:
    """The most memory that a run holds above what its imports take."""
    peak = memory.measured_alone(memory.Case(Task.DENOISE.value, model, shape))
    if peak.peak_mb is not None:
        case = f"{model}, {runs.size_text(shape)}"
        yield Row("peak memory above imports", case, peak.peak_mb, "MB", 2000)


def large_ct(model: str) -> Iterator[Row]:
    """Memory of a whole trunk in thin slices, and how the cost grows up to it."""
    seconds = {}
    for shape in (*((edge,) * 3 for edge in CT_EDGES), LARGEST_CT):
        peak = memory.measured_alone(memory.Case(Task.DENOISE.value, model, shape, "CT"))
        seconds[shape] = peak.core_seconds
    size = runs.size_text(LARGEST_CT)
    if peak.peak_mb is not None:
        yield Row("peak memory above imports", f"{model}, {size}", peak.peak_mb, "MB", 6000)
    yield runs.growth_row(f"{model}, {CT_EDGES[0]} cubed to {size}", seconds)


def smaller(shape: Index, most: int) -> Index:
    """The shape scaled down to at most so many voxels, in multiples of 16."""
    k, j, i = shape
    scale = min(1.0, (most / (k * j * i)) ** (1 / 3))
    k, j, i = (max(16, int(n * scale) // 16 * 16) for n in shape)
    return (k, j, i)
