"""Sequences, recipes and the queue, by clicks, over an inference process that a test controls."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import slicer
from PySide6 import QtCore, QtWidgets

from MedEnhanceLib.task import Task
from Testing.gui.driver import PanelDriver
from Testing.gui.fakes import FakeWorker, catalog
from Testing.gui.standins.pythonqt import unwrap
from Testing.gui.volumes import add_head

OpenPanel = Callable[..., PanelDriver]


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def panel(open_panel: OpenPanel, worker: FakeWorker) -> PanelDriver:
    """A panel with one volume and all parts for more than one open."""
    from MedEnhanceSlicer.jobs import JobRunner

    import MedEnhance

    add_head()
    panel = open_panel(MedEnhance.MedEnhanceLogic(JobRunner(worker), catalog()))
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


def test_steps_are_added_moved_and_removed(panel: PanelDriver) -> None:
    assert not panel.ui.runRecipeButton.enabled and not panel.ui.copyRecipeButton.enabled
    panel.set_number("strengthSlider", 0.5)
    add_recipe(panel)
    assert steps(panel) == ["1. Denoise: Median 3x3x3", "2. Segment: best fit"]
    assert json.loads(panel.parameters.recipe)[0]["options"]["strength"] == 0.5
    panel.click("stepUpButton")
    assert steps(panel) == ["1. Segment: best fit", "2. Denoise: Median 3x3x3"]
    assert not panel.ui.stepUpButton.enabled and panel.ui.stepDownButton.enabled
    panel.click("stepDownButton")
    assert steps(panel)[0].startswith("1. Denoise")
    select_step(panel, 0)
    panel.click("removeStepButton")
    assert steps(panel) == ["1. Segment: best fit"]
    panel.click("clearRecipeButton")
    assert steps(panel) == [] and panel.parameters.recipe == ""
    assert not panel.ui.clearRecipeButton.enabled


def test_a_recipe_is_copied_and_pasted_as_text(panel: PanelDriver) -> None:
    add_recipe(panel)
    before = steps(panel)
    panel.click("copyRecipeButton")
    text = QtWidgets.QApplication.clipboard().text()
    assert [step["task"] for step in json.loads(text)] == ["denoise", "segment"]
    panel.click("clearRecipeButton")
    panel.click("pasteRecipeButton")
    assert steps(panel) == before
    QtWidgets.QApplication.clipboard().setText("see attachment")
    panel.click("pasteRecipeButton")
    assert "is no recipe" in panel.ui.batchLabel.text and steps(panel) == before
    select_step(panel, 0)
    panel.click("removeStepButton")
    assert not panel.ui.batchLabel.visible


def test_a_recipe_runs_on_the_volume(panel: PanelDriver, worker: FakeWorker) -> None:
    add_recipe(panel)
    panel.click("runRecipeButton")
    panel.wait_until(lambda: worker.jobs)
    worker.report(0.5, "network")
    panel.wait_until(lambda: panel.ui.progressBar.value == 250)
    assert panel.status.startswith("Step 1 of 2 (denoise): network")
    assert panel.ui.applyButton.text == "Cancel"
    changing = ("addStep", "removeStep", "stepUp", "clearRecipe", "pasteRecipe")
    for name in (*changing, "runRecipe", "runQueue", "runSequence"):
        assert not getattr(panel.ui, name + "Button").enabled
    answer(panel, worker, 2)
    panel.wait_for_end()
    assert panel.status == "Done: Head denoised segmentation (AI-processed)."
    assert volumes() == ["Head", "Head denoised (filtered)"]
    assert [job[1] for job in worker.jobs] == [Task.DENOISE, Task.SEGMENT]
    assert "Anterior hippocampus" in "".join(steps_of_results(panel))


def steps_of_results(panel: PanelDriver) -> list[str]:
    """All texts that the results show."""
    results = unwrap(panel.ui.resultsCollapsibleButton)
    tables = results.findChildren(QtWidgets.QTableWidget)
    items = [
        t.item(r, c) for t in tables for r in range(t.rowCount()) for c in range(t.columnCount())
    ]
    return [item.text() for item in items if item is not None]


def test_intermediate_results_are_kept_when_ticked(panel: PanelDriver, worker: FakeWorker) -> None:
    panel.click("addStepButton")
    panel.click("addStepButton")
    panel.click("keepIntermediateCheckBox")
    panel.click("runRecipeButton")
    answer(panel, worker, 2)
    panel.wait_for_end()
    assert volumes() == [
        "Head",
        "Head denoised (AI-processed)",
        "Head denoised denoised (AI-processed)",
    ]


def test_a_failing_step_is_named(panel: PanelDriver, worker: FakeWorker) -> None:
    add_recipe(panel)
    panel.click("runRecipeButton")
    answer(panel, worker, 1)
    panel.wait_until(lambda: len(worker.jobs) == 2)
    worker.fail("The device ran out of memory; use the CPU.")
    panel.wait_for_end()
    assert panel.status == "Step 2 of 2 (segment): The device ran out of memory; use the CPU."
    assert volumes() == ["Head"]


def test_a_recipe_in_the_wrong_order_is_refused(panel: PanelDriver, worker: FakeWorker) -> None:
    add_recipe(panel)
    panel.click("stepUpButton")
    panel.click("runRecipeButton")
    assert "Step 1 is a segmentation" in panel.status
    assert not worker.jobs and panel.ui.applyButton.text == "Apply"


def test_apply_cancels_a_recipe(panel: PanelDriver, worker: FakeWorker) -> None:
    add_recipe(panel)
    panel.click("runRecipeButton")
    answer(panel, worker, 1)
    panel.wait_until(lambda: len(worker.jobs) == 2)
    panel.click("applyButton")
    panel.wait_for_end()
    assert panel.status == "The run was cancelled."
    assert volumes() == ["Head"]
    panel.choose_task("Denoise")
    panel.apply()
    worker.succeed()
    panel.wait_for_end()
    assert panel.status.startswith("Done")


def test_the_queue_lists_ticks_and_runs(panel: PanelDriver, worker: FakeWorker) -> None:
    add_head("Second")
    panel.breathe()
    assert cases(panel) == {"Head": "", "Second": ""}
    assert not panel.ui.runQueueButton.enabled
    panel.click("tickAllButton")
    assert ticked(panel) == ["Head", "Second"]
    panel.click("tickNoneButton")
    assert ticked(panel) == []
    tick(panel, "Second")
    panel.click("runQueueButton")
    answer(panel, worker, 1)
    panel.wait_for_end()
    assert panel.status == "Queue: 1 done."
    assert cases(panel) == {"Head": "", "Second": "done", "Second denoised (AI-processed)": ""}
    panel.click("tickAllButton")
    assert ticked(panel) == ["Head", "Second"]


def test_a_failed_case_is_told_and_resumed(panel: PanelDriver, worker: FakeWorker) -> None:
    add_head("Second")
    panel.breathe()
    panel.click("tickAllButton")
    panel.click("runQueueButton")
    panel.wait_until(lambda: worker.busy)
    assert cases(panel) == {"Head": "running", "Second": "waiting"}
    worker.fail("The device ran out of memory; use the CPU.")
    answer(panel, worker, 2)
    panel.wait_for_end()
    assert panel.status == "Queue: 1 done, 1 failed; the list tells why."
    assert cases(panel)["Head"] == "failed" and cases(panel)["Second"] == "done"
    assert tip(panel, "Head") == "The device ran out of memory; use the CPU."
    panel.click("resumeQueueButton")
    answer(panel, worker, 3)
    panel.wait_for_end()
    assert cases(panel)["Head"] == "done" and tip(panel, "Head") == ""
    assert not panel.ui.resumeQueueButton.enabled


def test_cancel_and_resume(panel: PanelDriver, worker: FakeWorker) -> None:
    for name in ("Second", "Third"):
        add_head(name)
    panel.breathe()
    panel.set_number("strengthSlider", 0.3)
    panel.click("tickAllButton")
    panel.click("runQueueButton")
    answer(panel, worker, 1)
    panel.wait_until(lambda: len(worker.jobs) == 2)
    panel.click("cancelQueueButton")
    panel.wait_for_end()
    assert [cases(panel)[name] for name in ("Head", "Second", "Third")] == [
        "done",
        "cancelled",
        "waiting",
    ]
    assert not panel.ui.cancelQueueButton.enabled
    panel.set_number("strengthSlider", 0.9)
    panel.click("resumeQueueButton")
    answer(panel, worker, 4)
    panel.wait_for_end()
    assert {job[3].strength for job in worker.jobs} == {0.3}, "resumed as it was begun"
    assert volumes().count("Head denoised (AI-processed)") == 1


def test_the_queue_runs_the_recipe(panel: PanelDriver, worker: FakeWorker) -> None:
    add_head("Second")
    panel.breathe()
    panel.click("queueRecipeCheckBox")
    panel.click("tickAllButton")
    assert not panel.ui.runQueueButton.enabled, "there is no recipe yet"
    add_recipe(panel)
    panel.click("runQueueButton")
    answer(panel, worker, 4)
    panel.wait_for_end()
    assert [job[1] for job in worker.jobs] == [Task.DENOISE, Task.SEGMENT] * 2


def test_the_scene_closed_while_the_queue_runs(panel: PanelDriver, worker: FakeWorker) -> None:
    panel.click("tickAllButton")
    panel.click("runQueueButton")
    panel.wait_until(lambda: worker.busy)
    slicer.mrmlScene.Clear(0)
    panel.wait_for_end()
    panel.breathe()
    assert cases(panel) == {} and not panel.ui.resumeQueueButton.enabled
    assert not panel.ui.cancelQueueButton.enabled


def test_the_module_left_while_the_queue_runs(panel: PanelDriver, worker: FakeWorker) -> None:
    panel.click("tickAllButton")
    panel.click("runQueueButton")
    panel.wait_until(lambda: worker.busy)
    panel.leave()
    worker.succeed()
    panel.wait_for_end()
    panel.enter()
    assert cases(panel)["Head"] == "done"


def add_sequence(count: int = 2) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "Perfusion")
    for index in range(count):
        frame = slicer.vtkMRMLScalarVolumeNode()
        voxels = np.random.default_rng(index).normal(100, 5, (8, 24, 24))
        slicer.util.updateVolumeFromArray(frame, voxels.astype(np.float32))
        node.SetDataNodeAtValue(frame, str(index))
    return node


def test_a_sequence_runs_frame_by_frame(panel: PanelDriver, worker: FakeWorker) -> None:
    assert not panel.ui.runSequenceButton.enabled
    add_sequence()
    panel.choose("sequenceSelector", "Perfusion")
    panel.choose_model("Median")
    panel.click("runSequenceButton")
    answer(panel, worker, 1)
    panel.wait_until(lambda: panel.status.startswith("Frame 2 of 2"))
    answer(panel, worker, 2)
    panel.wait_for_end()
    assert panel.status == "Done: Perfusion denoised (filtered)."
    made = slicer.util.getNode("Perfusion denoised (filtered)")
    assert made.GetNumberOfDataNodes() == 2


def test_recipe_and_queue_survive_saving_the_scene(
    panel: PanelDriver, worker: FakeWorker, tmp_path: Any
) -> None:
    add_recipe(panel)
    panel.click("queueRecipeCheckBox")
    panel.click("keepIntermediateCheckBox")
    panel.click("tickAllButton")
    panel.click("runQueueButton")
    panel.wait_until(lambda: worker.busy)
    scene = slicer.mrmlScene
    scene.GetFirstNodeByName("Head").AddDefaultStorageNode()
    bundle = str(tmp_path / "scene.mrb")
    assert scene.WriteToMRB(bundle)
    scene.Clear(0)
    panel.wait_for_end()
    panel.leave()
    assert scene.ReadFromMRB(bundle)
    panel.enter()
    panel.breathe()
    assert steps(panel) == ["1. Denoise: Median 3x3x3", "2. Segment: best fit"]
    assert panel.ui.queueRecipeCheckBox.checked and panel.ui.keepIntermediateCheckBox.checked
    assert cases(panel) == {"Head": "waiting"} and ticked(panel) == ["Head"]
    panel.click("resumeQueueButton")
    answer(panel, worker, 3)
    panel.wait_for_end()
    assert cases(panel)["Head"] == "done"


def test_the_report_holds_no_names(panel: PanelDriver, worker: FakeWorker) -> None:
    """Neither of volumes nor of what is long gone when the report is copied."""
    add_head("Doe^Jane 1975")
    panel.breathe()
    add_recipe(panel)
    panel.click("queueRecipeCheckBox")
    panel.click("tickAllButton")
    panel.click("runQueueButton")
    panel.wait_until(lambda: worker.busy)
    worker.report(0.5, "network")
    answer(panel, worker, 3)
    panel.wait_until(lambda: len(worker.jobs) == 4)
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("Doe^Jane 1975"))
    worker.fail("'Doe^Jane 1975' is too large.")
    panel.wait_for_end()
    panel.ui.logCollapsibleButton.collapsed = False
    panel.click("copyReportButton")
    text = QtWidgets.QApplication.clipboard().text()
    assert "Queue: 1 done, 1 failed" in text and "is too large" in text
    for name in ("Doe", "Jane", "Head"):
        assert name not in text
