"""Whole runs: from file to file, on the warm worker, previews, and volumes of growing size."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from MedEnhanceLib.benchmark.phantoms import HEAD_NOISE, head
from MedEnhanceLib.benchmark.rows import Row
from MedEnhanceLib.enhancement import enhance
from MedEnhanceLib.io import read_volume, write_image
from MedEnhanceLib.options import DenoiseOptions
from MedEnhanceLib.result import Progress, Result
from MedEnhanceLib.task import Task
from MedEnhanceLib.tiles import Index
from MedEnhanceLib.volume import Volume

NETWORK = "network_core_seconds"
PREVIEW_SLICES = 11
PREVIEWS = 3
GROWTH_EDGES = (64, 96, 128, 192, 256)
GOAL_EXPONENT = 1.05


class Phases:
    """Processor time of the named parts of a run.

    Attributes:
        seconds: of each part, by name.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._name, self._since = "", time.process_time()

    def begin(self, name: str) -> None:
        """End the part before and begin one."""
        now = time.process_time()
        if self._name:
            self.seconds[self._name] = self.seconds.get(self._name, 0.0) + now - self._since
        self._name, self._since = name, now

    def hear(self, progress: Progress) -> None:
        """Begin a part when a run says so."""
        if progress.phase != self._name:
            self.begin(progress.phase)


def whole_run(model: str, shape: Index) -> Iterator[Row]:
    """Read, normalise, infer, restore, measure and write, against the network alone."""
    from MedEnhanceLib.engine.imports import import_engine

    import_engine()
    # So that weights are read and the machine's way is chosen, as on any run but the first.
    enhance(head((32, 32, 32)), Task.DENOISE, model)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.nii"), Path(folder, "out.nii")
        write_image(head(shape), source)
        phases = Phases()
        phases.begin("Reading")
        volume = read_volume(source)
        result = enhance(volume, Task.DENOISE, model, progress=phases.hear)
        phases.begin("Writing")
        write_image(result.output, target)
        phases.begin("")
    network = float(result.provenance[NETWORK])
    total = sum(phases.seconds.values())
    case = f"{model}, {size_text(shape)}"
    told = ", ".join(f"{name.lower()} {s:.1f} s" for name, s in phases.seconds.items())
    yield Row("whole run / network", case, total / network, "x", 1.3, note=told)


def worker(model: str, shape: Index) -> Iterator[Row]:
    """The first and the second run of a worker, then previews of a slice.

    Elapsed time; how busy the processor was for them in the meantime tells how much of it was
    spent waiting for other programs.
    """
    from MedEnhanceLib.worker import Worker

    volume, case = head(shape), f"{model}, {size_text(shape)}"
    worker = Worker()
    try:
        first, second = (_beyond_network(worker, volume, model) for _ in range(2))
        name = "second run on a warm worker, beyond the network"
        yield Row(name, case, second.seconds, "s", 0.5, note=second.note)
        extra, note = first.seconds - second.seconds, f"{first.note} and {second.note}"
        yield Row("first run, more than the second", case, extra, "s", 6, note=note)
        slab = head((PREVIEW_SLICES, *shape[1:]))
        options = DenoiseOptions(noise=HEAD_NOISE, evidence=False)
        shown = [_elapsed(worker, slab, model, options)[0] for _ in range(PREVIEWS)]
        best = min(shown, key=lambda taken: taken.seconds)
        case = f"{model}, {size_text(slab.voxels.shape)}, the least of {PREVIEWS}"
        yield Row("preview of one slice, warm", case, best.seconds, "s", 1, note=best.note)
    finally:
        worker.close()


@dataclass(frozen=True)
class Taken:
    """What a job on the worker took: elapsed and processor time, of both processes.

    Attributes:
        seconds, core_seconds: the latter None where the system does not tell.
    """

    seconds: float
    core_seconds: float | None

    @property
    def note(self) -> str:
        """The processor time in words."""
        return "" if self.core_seconds is None else f"{self.core_seconds:.2f} core-s"


def _beyond_network(worker: Any, volume: Volume, model: str) -> Taken:
    taken, result = _elapsed(worker, volume, model, None)
    facts, busy = result.provenance, taken.core_seconds
    return Taken(
        taken.seconds - float(facts["network_seconds"]),
        None if busy is None else busy - float(facts[NETWORK]),
    )


def _elapsed(worker: Any, volume: Volume, model: str, options: Any) -> tuple[Taken, Result]:
    before, started = _busy(worker), time.monotonic()
    worker.submit(volume, Task.DENOISE, model, options)
    result: Result = worker.wait()
    elapsed, after = time.monotonic() - started, _busy(worker)
    return Taken(elapsed, None if after is None else after - (before or 0.0)), result


def _busy(worker: Any) -> float | None:
    """Processor time so far of this process and the worker's; None where the system is mute."""
    own = time.process_time()
    if worker.pid is None:
        return own
    try:
        fields = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return own + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def growth(model: str, edges: Sequence[int]) -> Iterator[Row]:
    """How the cost of a run grows: the exponent of its size, 1 when it is linear."""
    seconds = {}
    for edge in edges:
        result = enhance(head((edge,) * 3), Task.DENOISE, model)
        seconds[(edge,) * 3] = float(result.provenance["core_seconds"])
    yield growth_row(f"{model}, {edges[0]} to {edges[-1]} cubed", seconds)


def growth_row(case: str, seconds: Mapping[Index, float]) -> Row:
    """The exponent with which the processor time of a run grows with the volume's size.

    Args:
        case: what ran.
        seconds: of each size (k, j, i).
    """
    voxels = [math.prod(shape) for shape in seconds]
    slope = np.polyfit(np.log(voxels), np.log(list(seconds.values())), 1)[0]
    each = [f"{size_text(shape)}: {1e6 * s / math.prod(shape):.2f}" for shape, s in seconds.items()]
    note = f"core-microseconds a voxel: {', '.join(each)}"
    return Row("cost against size, exponent", case, float(slope), "", GOAL_EXPONENT, note=note)


def size_text(shape: tuple[int, ...]) -> str:
    """As users say it, x first."""
    return "x".join(str(n) for n in shape[::-1])
