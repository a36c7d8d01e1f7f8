"""What a run costs: processor time and memory."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"


@dataclass(frozen=True)
class Cost:
    """Of one run.

    Attributes:
        core_seconds: processor time of all threads, those of native libraries too, and of child
            processes that have ended; it hardly depends on what else runs.
        peak_mb: most memory held above what was held at the start; None where the system does
            not tell (it does on Linux).
    """

    core_seconds: float
    peak_mb: float | None


def measured(run: Callable[[], T]) -> tuple[T, Cost]:
    """The result of ``run`` and what it cost."""
    held = _reset_peak()
    started = core_seconds()
    result = run()
    seconds = core_seconds() - started
    peak = _status_mb("VmHWM")
    # A worker that waits for the next run should not sit on what the last one needed.
    give_memory_back()
    return result, Cost(seconds, None if held is None or peak is None else max(0.0, peak - held))


def core_seconds() -> float:
    """Processor time that this process and its ended children have used so far."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def keep_imports() -> None:
    """Look for garbage no more in what was imported, which stays: it takes 0.1 s each time.

    For processes of MedEnhance's own, between two runs: whatever is held now is never looked at
    again.
    """
    gc.collect()
    gc.freeze()


def _reset_peak() -> float | None:
    """Forget the highest memory use so far; what is held now, in MB."""
    gc.collect()
    give_memory_back()
    try:
        CLEAR.write_text(RESET_PEAK)
    except OSError:
        return None
    return _status_mb("VmRSS")


def give_memory_back() -> None:
    """Hand memory that is free but kept for later to the system."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _status_mb(name: str) -> float | None:
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in lines if line.startswith(f"{name}:")), None)
    return None if kilobytes is None else int(kilobytes) / 1000
