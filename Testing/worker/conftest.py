"""A worker with a fake model, in a folder for temporary files of its own."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.volume import Volume
from MedEnhanceLib.worker import Event, Worker

FAKE = [sys.executable, str(Path(__file__).with_name("fake_server.py"))]
MANY_POLLS = 2_000


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where private folders are made; whatever is in it afterwards was left behind."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker(command=FAKE) as worker:
        yield worker


@pytest.fixture
def volume() -> Volume:
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4) - 5
    axes = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0), (1.0, 0.0, 0.0))
    return Volume(voxels, Geometry((4, 3, 2), (0.5, 0.7, 3.0), (-9.1, 2.2, 30.3), axes), "CT", "HU")


def poll_until(worker: Worker, wanted: Callable[[Event], bool]) -> list[Event]:
    """All events up to the one that is wanted; fails when it does not come."""
    events: list[Event] = []
    for _ in range(MANY_POLLS):
        events += worker.poll(0.05)
        if any(wanted(event) for event in events):
            return events
    raise AssertionError(f"waited in vain; heard {[(e.kind, e.message) for e in events]}")


def last_event(worker: Worker) -> Event:
    return poll_until(worker, lambda event: event.is_last)[-1]
