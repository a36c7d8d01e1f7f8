"""Recipes and sequences, by clicks, over an inference process that a test controls."""

from __future__ import annotations

import json

import pytest
import slicer
from MedEnhanceSlicer import runLog
from PySide6 import QtWidgets

from MedEnhanceLib.task import Task
from Testing.gui.batch import (
    add_recipe,
    add_sequence,
    answer,
    select_step,
    steps,
    steps_of_results,
    volumes,
    with_batch,
)
from Testing.gui.driver import PanelDriver
from Testing.gui.fakes import FakeWorker
from Testing.gui.standins.pythonqt import unwrap
from Testing.gui.volumes import add_head
from Testing.slicer_scene import set_modality


@pytest.fixture
def panel(panel: PanelDriver) -> PanelDriver:
    return with_batch(panel)


def test_a_step_of_others_is_shown_as_it_is(panel: PanelDriver) -> None:
    QtWidgets.QApplication.clipboard().setText('[{"task": "denoise", "model": "<b>x</b>"}]')
    panel.click("pasteRecipeButton")
    assert "&lt;b&gt;x" in unwrap(panel.ui.recipeListWidget).item(0).toolTip()


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


def test_the_guide_goes_along_where_it_can(panel: PanelDriver, worker: FakeWorker) -> None:
    add_head("T1")
    panel.breathe()
    panel.choose("inputSelector", "Head")
    panel.choose("guideSelector", "T1")
    panel.click("addStepButton")
    panel.click("runRecipeButton")
    answer(panel, worker, 1)
    panel.wait_for_end()
    assert worker.guides[-1] is not None
    panel.click("tickAllButton")
    panel.click("runQueueButton")
    answer(panel, worker, 1)
    assert worker.guides[-1] is None
    assert "The guide is not used here" in panel.ui.batchLabel.text


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


def test_the_report_holds_no_names_of_frames(panel: PanelDriver) -> None:
    sequence = add_sequence(0)
    frame = slicer.vtkMRMLVectorVolumeNode()
    frame.SetName("Doe^Jane 1975")
    sequence.SetDataNodeAtValue(frame, "0")
    panel.choose("sequenceSelector", "Perfusion")
    panel.click("runSequenceButton")
    assert "'Doe^Jane 1975' is a colour" in panel.status
    panel.ui.logCollapsibleButton.collapsed = False
    panel.click("copyReportButton")
    copied = QtWidgets.QApplication.clipboard().text()
    assert "is a colour" in copied and "Doe" not in copied
    browser = slicer.vtkMRMLSequenceBrowserNode()
    browser.SetName("Roe^Jane")
    slicer.mrmlScene.AddNode(browser)
    assert "Roe^Jane" in runLog.nodeNames()


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


def test_nothing_is_installed_for_models_that_are_not_taken(
    panel: PanelDriver, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of this task a network is there, but the best fit for CT is a filter."""
    from MedEnhanceSlicer import dependencies

    asked: list[str] = []
    monkeypatch.setattr(dependencies, "missingPackages", lambda: ["torch"])
    monkeypatch.setattr(dependencies, "missingFor", lambda m: ["torch"] if m.is_trained else [])
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *a, **k: asked.append(a[0]))
    set_modality(panel.parameters.inputVolume, "CT")
    panel.choose_task("Super-resolution")
    panel.click("addStepButton")
    panel.click("runRecipeButton")
    panel.wait_until(lambda: worker.jobs)
    assert not asked
    worker.succeed()
    panel.wait_for_end()
    panel.choose_task("Denoise")
    set_modality(panel.parameters.inputVolume, "MR")
    panel.click("clearRecipeButton")
    panel.click("addStepButton")
    panel.click("runRecipeButton")
    assert len(asked) == 1 and "not installed, as you chose" in panel.status
    assert not panel.ui.batchLabel.visible
