"""The real server around a fake `enhance`, whose behaviour the model's name asks for."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from MedEnhanceLib.errors import CancelledError, UnsuitableError
from MedEnhanceLib.io import ImageWarning
from MedEnhanceLib.result import Measure, Progress, Result
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Label, LabelMap, Volume
from MedEnhanceLib.worker import folder
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


def find_no_room_for_a_module(volume, task, facts, progress, cancel) -> Result:
    raise SystemError("error return without exception set")


def exit_at_once(volume, task, facts, progress, cancel) -> Result:
    os.write(2, b"last words")
    os._exit(7)


def die(volume, task, facts, progress, cancel) -> Result:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still here")


def die_writing(volume, task, facts, progress, cancel) -> Result:
    """Be killed when half of the result has been written."""

    def half(file, voxels, allow_pickle) -> None:
        file.write(voxels.tobytes()[: voxels.nbytes // 2])
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    folder.np.save = half
    return Result(task, volume)


def full_disk(volume, task, facts, progress, cancel) -> Result:
    """Give back more than may be written, by a real limit on the size of files."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    return Result(task, volume.with_voxels(volume.voxels.astype(np.float64)))


def remove_folder(volume, task, facts, progress, cancel) -> Result:
    """Take the private folder away, as those do who tidy up."""
    shutil.rmtree(sys.argv[sys.argv.index("--folder") + 1])
    return Result(task, volume)


def describe(volume, task, facts, progress, cancel) -> Result:
    """What this process, and one that it starts, has open; and how large it is."""
    listing = "import os; print([os.readlink(f'/proc/self/fd/{n}') for n in range(3)])"
    child = [sys.executable, "-c", f"{listing}; print(len(os.listdir('/proc/self/fd')))"]
    started = subprocess.run(child, stdout=subprocess.PIPE, text=True, check=True)
    facts["open"] = [os.readlink(f"/proc/self/fd/{n}") for n in open_files()]
    facts["child"] = started.stdout.split("\n")
    return Result(task, volume, provenance=facts)


def measure(volume, task, facts, progress, cancel) -> Result:
    """How much this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    facts["kilobytes"] = pages * os.sysconf("SC_PAGE_SIZE") // 1024
    facts["files"], facts["threads"] = len(open_files()), threading.active_count()
    return Result(task, volume, provenance=facts)


def open_files() -> list[str]:
    return [n for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{n}")]


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
    "no-room": find_no_room_for_a_module,
    "exit": exit_at_once,
    "die": die,
    "die writing": die_writing,
    "full": full_disk,
    "remove folder": remove_folder,
    "describe": describe,
    "measure": measure,
}


def kill_at_line(number: int) -> None:
    """Be killed when the main thread has run so many lines of the worker's own code."""
    lines = 0

    def trace(frame, event, argument):
        nonlocal lines
        if not frame.f_code.co_filename.startswith(os.path.dirname(folder.__file__)):
            return None
        lines += event == "line"
        if lines >= number:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)


if __name__ == "__main__":
    print("a launcher's greeting", flush=True)
    if "KILL_AT_LINE" in os.environ:
        kill_at_line(int(os.environ["KILL_AT_LINE"]))
    serve(fake_enhance, lambda folders, trusted: {"folders": folders, "trusted": trusted})
