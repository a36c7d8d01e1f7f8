"""Pictures of the panel in each state, in out/panel, to be looked at."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from PySide6 import QtGui, QtWidgets

from Testing.gui.driver import OpenPanel, PanelDriver
from Testing.gui.fakes import FakeWorker, catalog
from Testing.gui.standins.pythonqt import unwrap
from Testing.gui.volumes import add_head

WIDTH = 360


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker(obeys=False)


@pytest.fixture
def panel(open_panel: OpenPanel, worker: FakeWorker) -> PanelDriver:
    from MedEnhanceSlicer.jobs import JobRunner

    import MedEnhance

    return open_panel(MedEnhance.MedEnhanceLogic(JobRunner(worker), catalog()))


def assert_picture(panel: PanelDriver, name: str, width: int = WIDTH) -> None:
    """Write the picture; nothing in it may be wider than the panel, or cut off."""
    path = panel.picture(name, width)
    image = QtGui.QImage(str(path))
    assert image.width() == width
    colours = {image.pixel(x, y) for x in range(0, width, 3) for y in range(0, image.height(), 3)}
    assert len(colours) > 5
    top = unwrap(panel.parent)
    for child in top.findChildren(QtWidgets.QWidget):
        if child.isVisible():
            right = child.mapTo(top, child.rect().topRight()).x()
            assert right < width, f"{child.objectName() or child} ends at {right}"
        if isinstance(child, QtWidgets.QLabel) and child.isVisible() and child.wordWrap():
            needed = child.heightForWidth(child.width())
            assert child.height() >= needed, f"{child.objectName()} is cut off"


def test_empty_and_ready(panel: PanelDriver) -> None:
    assert_picture(panel, "1-empty")
    add_head()
    panel.breathe()
    assert_picture(panel, "2-ready")
    assert_picture(panel, "2-ready-narrow", 300)


def test_warned_and_refused(panel: PanelDriver) -> None:
    add_head("Coarse head", spacing=4.0)
    panel.breathe()
    assert_picture(panel, "3-warned")
    slicer.util.addVolumeFromArray(np.full((4, 8, 8), 7.0), name="Constant")
    panel.choose("inputSelector", "Constant")
    assert_picture(panel, "4-refused")


def test_settings_of_each_task(panel: PanelDriver) -> None:
    add_head()
    panel.breathe()
    panel.choose("noiseComboBox", "By hand")
    assert_picture(panel, "5-denoise-by-hand", 300)
    panel.choose_task("Super-resolution")
    panel.choose("resolutionComboBox", "Spacing")
    assert_picture(panel, "6-super-resolution", 300)
    panel.choose_task("Segment")
    panel.ui.setupCollapsibleButton.collapsed = False
    panel.breathe()
    assert_picture(panel, "7-segment-advanced", 300)


def test_running_cancelling_and_failed(panel: PanelDriver, worker: FakeWorker) -> None:
    add_head()
    panel.breathe()
    panel.apply()
    worker.report(0.37, "network", 48)
    panel.wait_until(lambda: panel.ui.progressBar.value == 370)
    assert_picture(panel, "8-running")
    panel.click("applyButton")
    assert_picture(panel, "9-cancelling")
    worker.succeed()
    panel.wait_for_end()
    panel.apply()
    worker.fail("The GPU ran out of memory (8.1 GB needed, 6 GB free); choose the CPU.")
    panel.wait_for_end()
    assert_picture(panel, "10-failed")


def test_done(panel: PanelDriver, worker: FakeWorker) -> None:
    add_head()
    panel.breathe()
    panel.apply()
    worker.succeed(("Structure was removed along edges; lower the strength.",))
    panel.wait_for_end()
    assert_picture(panel, "11-done-denoise")
    panel.choose_task("Segment")
    panel.apply()
    worker.succeed()
    panel.wait_for_end()
    assert_picture(panel, "12-done-segment")


def test_dark_theme(dark: None, panel: PanelDriver, worker: FakeWorker) -> None:
    add_head("Coarse head", spacing=4.0)
    panel.breathe()
    panel.apply()
    worker.succeed()
    panel.wait_for_end()
    assert_picture(panel, "13-dark")
