"""The real server around a fake `enhance`, whose behaviour the model's name asks for."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from MedEnhanceLib.errors import CancelledError, UnsuitableError
from MedEnhanceLib.io import ImageWarning
from MedEnhanceLib.result import Measure, Progress, Result
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Label, LabelMap, Volume
from MedEnhanceLib.worker.server import serve

PATIENCE_SECONDS = 120


def fake_enhance(
    volume: Volume,
    task: Task,
    *,
    model: str,
    options: Any,
    guide: Any,
    catalog: Any,
    progress: Any,
    cancel: Any,
) -> Result:
    facts = {"pid": os.getpid(), "catalog": catalog, "options": options and options.to_json()}
    if guide is not None:
        facts["guide"] = {"sum": float(guide.voxels.sum()), "modality": guide.modality}
        facts["guide"]["geometry"] = guide.geometry.to_json()
    return BEHAVIOURS[model](volume, task, facts, progress, cancel)


def double(volume, task, facts, progress, cancel) -> Result:
    progress(Progress(0.25, "estimating noise"))
    progress(Progress(1.0, "network", 0.0))
    evidence = (Measure("noise", np.float32(4.0), None, "%", "lower is calmer"),)
    provenance = {**facts, "version": np.int64(3), "sum": float(volume.voxels.sum())}
    return Result(task, volume.with_voxels(volume.voxels * 2), evidence, provenance, ("mind this",))


def unsure(volume, task, facts, progress, cancel) -> Result:
    return Result(task, volume, uncertainty=volume.with_voxels(np.abs(volume.voxels)))


def threshold(volume, task, facts, progress, cancel) -> Result:
    labels = (Label(1, "bright", (1, 2, 3), ("SCT", "1", "a"), ("SCT", "2", "b")),)
    mask = (volume.voxels > 0).astype(np.uint8)
    return Result(task, LabelMap(mask, volume.geometry, labels), provenance=facts)


def chatter(volume, task, facts, progress, cancel) -> Result:
    """Print in every way that a library may, more than any pipe holds."""
    import warnings

    warnings.warn("slightly uneven", ImageWarning, stacklevel=1)
    warnings.warn("a library grumbles", UserWarning, stacklevel=1)
    print('{"kind": "result", "job": ""}')
    os.write(1, b"from C\n" * 20_000)
    sys.stderr.write("to stderr\n" * 20_000)
    return double(volume, task, facts, progress, cancel)


def wait_for_cancel(volume, task, facts, progress, cancel) -> Result:
    progress(Progress(0.1, "waiting"))
    for _ in range(PATIENCE_SECONDS * 100):
        if cancel():
            raise CancelledError("The run was cancelled; nothing was changed.")
        time.sleep(0.01)
    raise AssertionError("nobody cancelled")


def deaf(volume, task, facts, progress, cancel) -> Result:
    progress(Progress(0.1, "not listening"))
    time.sleep(PATIENCE_SECONDS)
    raise AssertionError("nobody ended this")


def late(volume, task, facts, progress, cancel) -> Result:
    """Finish although cancelled, as a run does that was nearly done."""
    progress(Progress(0.9, "nearly done"))
    while not cancel():
        time.sleep(0.01)
    return double(volume, task, facts, lambda progress: None, cancel)


def refuse(volume, task, facts, progress, cancel) -> Result:
    raise UnsuitableError("This model is for CT, but the volume is MR; choose another.")


def break_down(volume, task, facts, progress, cancel) -> Result:
    raise KeyError(f"{Path.home()}/patients/secret.nii")


def run_out_of_memory(volume, task, facts, progress, cancel) -> Result:
    raise MemoryError


def exit_at_once(volume, task, facts, progress, cancel) -> Result:
    os.write(2, b"last words")
    os._exit(7)


def die(volume, task, facts, progress, cancel) -> Result:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still here")


BEHAVIOURS = {
    "auto": double,
    "double": double,
    "unsure": unsure,
    "threshold": threshold,
    "chatter": chatter,
    "wait": wait_for_cancel,
    "deaf": deaf,
    "late": late,
    "refuse": refuse,
    "break": break_down,
    "memory": run_out_of_memory,
    "exit": exit_at_once,
    "die": die,
}

if __name__ == "__main__":
    print("a launcher's greeting", flush=True)
    serve(fake_enhance, lambda folders, trusted: {"folders": folders, "trusted": trusted})
