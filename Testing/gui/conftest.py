"""Tests of the panel: the real .ui file and MRML nodes, over the stand-ins."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest

if all(importlib.util.find_spec(name) for name in ("slicer", "PySide6")):
    from Testing.gui import standins

    standins.install()
    from Testing.gui.driver import OpenPanel, PanelDriver, close_panels
    from Testing.gui.fakes import FakeWorker, catalog
    from Testing.gui.standins import layout, pythonqt
    from Testing.gui.volumes import add_head
    from Testing.slicer_scene import start_scene
else:
    # slicer-core has no wheels for the newest Pythons.
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def scene() -> Iterator[Any]:
    """A fresh scene; fails the test when an exception escaped from a slot."""
    import slicer

    fresh = start_scene()
    slicer.app.userSettings().clear()
    pythonqt.slot_errors.clear()
    yield fresh
    close_panels()
    fresh.Clear(1)
    assert not pythonqt.slot_errors, pythonqt.slot_errors[0]


@pytest.fixture
def open_panel(scene: Any) -> OpenPanel:
    """Opens the module's panel as the application does."""
    return PanelDriver


@pytest.fixture
def worker() -> FakeWorker:
    """An inference process that says what the test wants."""
    return FakeWorker()


@pytest.fixture
def views(scene: Any) -> Iterator[Any]:
    """The layout manager of an application with slice views."""
    yield layout.open_window()
    layout.close_window()


@pytest.fixture
def panel(open_panel: OpenPanel, worker: FakeWorker) -> PanelDriver:
    """A panel over the worker, with a head loaded."""
    from MedEnhanceSlicer.jobs import JobRunner

    import MedEnhance

    add_head()
    return open_panel(MedEnhance.MedEnhanceLogic(JobRunner(worker), catalog()))


@pytest.fixture
def dark() -> Iterator[None]:
    """A dark theme."""
    from PySide6 import QtGui, QtWidgets

    application = QtWidgets.QApplication.instance()
    assert isinstance(application, QtWidgets.QApplication)
    before = application.palette()
    palette = QtGui.QPalette(QtGui.QColor(60, 60, 60), QtGui.QColor(45, 45, 45))
    application.setPalette(palette)
    yield
    application.setPalette(before)
