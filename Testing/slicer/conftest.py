"""Tests on real MRML nodes: every test gets a scene of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
if str(REPOSITORY) not in sys.path:
    sys.path.insert(0, str(REPOSITORY))

from Testing.gui import standins  # noqa: E402
from Testing.slicer_scene import start_scene  # noqa: E402

standins.install()


@pytest.fixture
def scene() -> Iterator[Any]:
    """A fresh scene, set as `slicer.mrmlScene`."""
    fresh = start_scene()
    yield fresh
    fresh.Clear(1)
