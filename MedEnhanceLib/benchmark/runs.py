"""Whole runs: from file to file, on the warm worker, previews, and volumes of growing size."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from MedEnhanceLib import costs
from MedEnhanceLib.benchmark.phantoms import HEAD_NOISE, head
from MedEnhanceLib.benchmark.rows import Row
from MedEnhanceLib.enhancement import enhance
from MedEnhanceLib.io import read_volume, write_image
from MedEnhanceLib.options import DenoiseOptions
from MedEnhanceLib.result import Progress, Result
from MedEnhanceLib.task import Task
from MedEnhanceLib.tiles import Index

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
    costs.import_engine()
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
    case = f"{model}, {_size(shape)}"
    told = ", ".join(f"{name.lower()} {s:.1f} s" for name, s in phases.seconds.items())
    yield Row("whole run / network", case, total / network, "x", 1.3, note=told)


def worker(model: str, shape: Index) -> Iterator[Row]:
    """The first and the second run of a worker, then previews of a slice; elapsed time."""
    from MedEnhanceLib.worker import Worker

    volume, case = head(shape), f"{model}, {_size(shape)}"
    worker = Worker()
    try:
        beyond = [_beyond_network(worker, volume, model) for _ in range(2)]
        yield Row("second run on a warm worker, beyond the network", case, beyond[1], "s", 0.5)
        extra = beyond[0] - beyond[1]
        yield Row("first run, more than the second", case, extra, "s", 6)
        slab = head((PREVIEW_SLICES, *shape[1:]))
        options = DenoiseOptions(noise=HEAD_NOISE, evidence=False)
        times = [_elapsed(worker, slab, model, options)[0] for _ in range(PREVIEWS)]
        case = f"{model}, {_size(slab.voxels.shape)}, the least of {PREVIEWS}"
        yield Row("preview of one slice, warm", case, min(times), "s", 1)
    finally:
        worker.close()


def _beyond_network(worker: Any, volume: Any, model: str) -> float:
    elapsed, result = _elapsed(worker, volume, model, None)
    return elapsed - float(result.provenance["network_seconds"])


def _elapsed(worker: Any, volume: Any, model: str, options: Any) -> tuple[float, Result]:
    started = time.monotonic()
    worker.submit(volume, Task.DENOISE, model, options)
    result: Result = worker.wait()
    return time.monotonic() - started, result


def growth(model: str, largest: int) -> Iterator[Row]:
    """How the cost of a run grows: the exponent of its size, 1 when it is linear."""
    edges = [edge for edge in GROWTH_EDGES if edge <= largest]
    seconds = []
    for edge in edges:
        result = enhance(head((edge,) * 3), Task.DENOISE, model)
        seconds.append(float(result.provenance["core_seconds"]))
    slope = np.polyfit([3 * math.log(edge) for edge in edges], np.log(seconds), 1)[0]
    case = f"{model}, {edges[0]} to {edges[-1]} cubed"
    told = ", ".join(
        f"{edge}: {1e6 * s / edge**3:.2f}" for edge, s in zip(edges, seconds, strict=True)
    )
    note = f"core-microseconds a voxel: {told}"
    yield Row("cost against size, exponent", case, float(slope), "", GOAL_EXPONENT, note=note)


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(str(n) for n in shape[::-1])
