"""A network in several ways: the engine's, one pass, MONAI's; and against the machine's peak."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.benchmark.rows import Row
from MedEnhanceLib.benchmark.timing import interleaved
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.quality.metrics import gain_db
from MedEnhanceLib.quality.segmentation_metrics import dice
from MedEnhanceLib.task import Task
from MedEnhanceLib.tiles import Index

TOLD_SPEEDS = 4


class Peak:
    """The machine's own speed, measured once.

    Attributes:
        gflops: of the best convolution, 10^9 operations a core-second.
    """

    def __init__(self) -> None:
        self.gflops = float("nan")

    def rows(self) -> Iterator[Row]:
        """Measure it; a row for each of the best ways to compute a convolution."""
        from MedEnhanceLib.engine.benchmark.peak import conv_speeds

        speeds = conv_speeds()
        self.gflops = speeds[0].gflops
        for speed in speeds[:TOLD_SPEEDS]:
            yield Row("convolution 3x3x3", speed.name, speed.gflops, "GFLOP/s")


def pieces_and_whole(bundle: Bundle, shape: Index, peak: Peak, rounds: int) -> Iterator[Row]:
    """The engine's pieces against one pass, and its time against the peak."""
    from MedEnhanceLib.engine.benchmark.networks import Contest

    contest = Contest(bundle, shape)
    found = interleaved({"engine": contest.engine, "whole": contest.whole}, rounds)
    engine, whole = found["engine"], found["whole"]
    case = f"{bundle.id}, {'x'.join(str(n) for n in shape[::-1])}"
    is_exact = bundle.halo is not None
    seconds = f"{engine.seconds:.1f} and {whole.seconds:.1f} core-s"
    goal = 1.15 if is_exact else 1.5
    yield Row("pieces / whole pass", case, engine.seconds / whole.seconds, "x", goal, note=seconds)
    if is_exact:
        difference = float(np.abs(engine.answer - whole.answer).max())
        yield Row("pieces - whole pass, largest", case, difference, "of peak", 1e-4)
    else:
        note = f"{np.count_nonzero(whole.answer)} voxels labelled"
        agreement = _agreement(engine.answer, whole.answer)
        yield Row("pieces and whole pass agree", case, agreement, "Dice", 0.99, False, note)
    flops = contest.flops_per_voxel()
    if flops > 0:
        ideal = flops * float(np.prod(shape)) / peak.gflops / 1e9
        note = f"{flops / 1e3:.0f} kFLOP a voxel"
        yield Row(
            "network / its convolutions at peak", case, engine.seconds / ideal, "x", 2, note=note
        )


def against_monai(bundle: Bundle, shape: Index, rounds: int) -> Iterator[Row]:
    """The engine against MONAI's sliding window, same weights, same volume."""
    from MedEnhanceLib.engine.benchmark.networks import Contest

    contest = Contest(bundle, shape)
    found = interleaved({"engine": contest.engine, "monai": contest.sliding_window}, rounds)
    engine, monai = found["engine"].seconds, found["monai"].seconds
    goal = 2.5 if bundle.task is Task.SEGMENT else 6.0
    case = f"{bundle.id}, {'x'.join(str(n) for n in shape[::-1])}"
    note = f"{monai:.1f} and {engine:.1f} core-s"
    yield Row("MONAI's sliding window / engine", case, monai / engine, "x", goal, False, note)


def in_half_precision(bundle: Bundle, shape: Index) -> Iterator[Row]:
    """What a denoiser or a segmentation loses in the number format that is chosen here."""
    from MedEnhanceLib.engine.benchmark.networks import Contest
    from MedEnhanceLib.engine.precision import SAFE

    contest = Contest(bundle, shape)
    name = contest.forward.precision_name
    case = f"{bundle.id}, {'x'.join(str(n) for n in shape[::-1])}"
    measure = "quality lost to half precision"
    goal: float | None
    unit, goal = ("1 - Dice", 0.001) if bundle.task is Task.SEGMENT else ("dB", 0.02)
    if name == SAFE:
        yield Row(measure, case, 0.0, unit, note=f"{SAFE} is chosen here")
        return
    exact, fast = contest.in_precision(SAFE), contest.engine()
    if bundle.task is Task.SEGMENT:
        lost, labelled = 1 - _agreement(exact, fast), np.count_nonzero(exact)
        note = f"{name}; {labelled} voxels labelled"
        if not labelled:
            goal = None  # where nothing was found, agreeing shows nothing
    else:
        lost, note = _psnr_lost(contest.clean, exact[0], fast[0]), name
    yield Row(measure, case, lost, unit, goal, note=note)


def _psnr_lost(clean: NDArray[Any], exact: NDArray[Any], fast: NDArray[Any]) -> float:
    """PSNR of ``exact`` less that of ``fast`` in dB, over all but air."""
    return gain_db(clean, fast, exact, clean > clean.min())


def _agreement(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Mean Dice of the labels that either way found; 1 when neither found any."""
    labels = [n for n in np.union1d(np.unique(first), np.unique(second)) if n > 0]
    return float(np.mean([dice(first == n, second == n) for n in labels])) if labels else 1.0
