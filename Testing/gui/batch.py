"""For tests of the part for more than one: what a user does there, and sees."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
from PySide6 import QtCore, QtWidgets

from Testing.gui.driver import PanelDriver
from Testing.gui.fakes import FakeWorker
from Testing.gui.standins.pythonqt import unwrap


def with_batch(panel: PanelDriver) -> PanelDriver:
    """The panel with all parts for more than one open."""
    for name in ("batch", "sequence", "recipe", "queue"):
        getattr(panel.ui, name + "CollapsibleButton").collapsed = False
    panel.breathe()
    return panel


def volumes() -> list[str]:
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [node.GetName() for node in nodes]


def steps(panel: PanelDriver) -> list[str]:
    listed = unwrap(panel.ui.recipeListWidget)
    return [listed.item(row).text() for row in range(listed.count())]


def select_step(panel: PanelDriver, row: int) -> None:
    unwrap(panel.ui.recipeListWidget).setCurrentRow(row)
    panel.breathe()


def add_recipe(panel: PanelDriver) -> None:
    """Denoise with the median, then segment with the best model."""
    panel.choose_model("Median")
    panel.click("addStepButton")
    panel.choose_task("Segment")
    panel.click("addStepButton")


def table(panel: PanelDriver) -> QtWidgets.QTableWidget:
    widget = unwrap(panel.ui.queueTableWidget)
    assert isinstance(widget, QtWidgets.QTableWidget)
    return widget


def cases(panel: PanelDriver) -> dict[str, str]:
    """Status of each volume, as the table shows it."""
    shown = table(panel)
    return {shown.item(r, 0).text(): shown.item(r, 1).text() for r in range(shown.rowCount())}


def tip(panel: PanelDriver, name: str) -> str:
    shown = table(panel)
    rows = [r for r in range(shown.rowCount()) if shown.item(r, 0).text() == name]
    return shown.item(rows[0], 1).toolTip()


def ticked(panel: PanelDriver) -> list[str]:
    shown = table(panel)
    checked = QtCore.Qt.CheckState.Checked
    rows = range(shown.rowCount())
    return [shown.item(r, 0).text() for r in rows if shown.item(r, 0).checkState() == checked]


def tick(panel: PanelDriver, name: str) -> None:
    """Click the check box of a volume."""
    shown = table(panel)
    row = next(r for r in range(shown.rowCount()) if shown.item(r, 0).text() == name)
    shown.item(row, 0).setCheckState(QtCore.Qt.CheckState.Checked)
    panel.breathe()


def answer(panel: PanelDriver, worker: FakeWorker, count: int) -> None:
    """Let the process finish its jobs, up to that many in all."""
    while len(worker.jobs) < count or worker.busy:
        panel.wait_until(lambda: worker.busy)
        worker.succeed()
        panel.wait_until(lambda: not worker.busy)
        if len(worker.jobs) == count:
            return


def steps_of_results(panel: PanelDriver) -> list[str]:
    """All texts that the results show."""
    results = unwrap(panel.ui.resultsCollapsibleButton)
    tables = results.findChildren(QtWidgets.QTableWidget)
    items = [
        t.item(r, c) for t in tables for r in range(t.rowCount()) for c in range(t.columnCount())
    ]
    return [item.text() for item in items if item is not None]


def add_sequence(count: int = 2) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "Perfusion")
    for index in range(count):
        frame = slicer.vtkMRMLScalarVolumeNode()
        voxels = np.random.default_rng(index).normal(100, 5, (8, 24, 24))
        slicer.util.updateVolumeFromArray(frame, voxels.astype(np.float32))
        node.SetDataNodeAtValue(frame, str(index))
    return node
