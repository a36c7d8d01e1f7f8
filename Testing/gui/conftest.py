"""Tests of the panel: the real .ui file and MRML nodes, over the stand-ins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from Testing.gui import standins

standins.install()

from Testing.gui.driver import PanelDriver, close_panels  # noqa: E402
from Testing.gui.standins import pythonqt  # noqa: E402
from Testing.slicer_scene import start_scene  # noqa: E402


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
