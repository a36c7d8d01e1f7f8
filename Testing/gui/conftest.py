"""Tests of the panel: the real .ui file and MRML nodes, over the stand-ins."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import pytest

if all(importlib.util.find_spec(name) for name in ("slicer", "PySide6")):
    from Testing.gui import standins

    standins.install()
    from Testing.gui.driver import PanelDriver, close_panels
    from Testing.gui.standins import pythonqt
    from Testing.slicer_scene import start_scene
else:
    # slicer-core has no wheels for the newest Pythons.
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def scene() -> Iterator[Any]:
    """A fresh scene; fails the test when an exception escaped from a slot."""
    fresh = start_scene()
    pythonqt.slot_errors.clear()
    yield fresh
    close_panels()
    fresh.Clear(1)
    assert not pythonqt.slot_errors, pythonqt.slot_errors[0]


@pytest.fixture
def open_panel(scene: Any) -> Callable[..., PanelDriver]:
    """Opens the module's panel as the application does."""
    return PanelDriver
