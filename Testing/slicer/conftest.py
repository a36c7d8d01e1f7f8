"""Tests on real MRML nodes: every test gets a scene of its own."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
if str(REPOSITORY) not in sys.path:
    sys.path.insert(0, str(REPOSITORY))

if all(importlib.util.find_spec(name) for name in ("slicer", "vtk")):
    from Testing.gui import standins
    from Testing.slicer_scene import start_scene

    standins.install()
else:
    # slicer-core has no wheels for the newest Pythons.
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def scene() -> Iterator[Any]:
    """A fresh scene, set as `slicer.mrmlScene`."""
    fresh = start_scene()
    yield fresh
    fresh.Clear(1)


@pytest.fixture(scope="module")
def logic() -> Iterator[Any]:
    """The module's logic, and one inference process for the tests of a file."""
    from MedEnhanceSlicer.jobs import JobRunner

    import MedEnhance

    made = MedEnhance.MedEnhanceLogic(JobRunner())
    yield made
    made.close()
