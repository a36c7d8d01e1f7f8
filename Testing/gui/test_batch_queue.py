"""The queue, by clicks, over an inference process that a test controls."""

from __future__ import annotations

from typing import Any

import pytest
import slicer
from PySide6 import QtWidgets

from MedEnhanceLib.task import Task
from Testing.gui.batch import (
    add_recipe,
    answer,
    cases,
    steps,
    table,
    tick,
    ticked,
    tip,
    volumes,
    with_batch,
)
from Testing.gui.driver import PanelDriver
from Testing.gui.fakes import FakeWorker
from Testing.gui.volumes import add_head


@pytest.fixture
def panel(panel: PanelDriver) -> PanelDriver:
    return with_batch(panel)


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


def test_a_volume_that_is_renamed_is_listed_under_its_new_name(panel: PanelDriver) -> None:
    tick(panel, "Head")
    slicer.util.getNode("Head").SetName("Renamed")
    assert cases(panel) == {"Renamed": ""} and ticked(panel) == ["Renamed"]


def test_a_name_that_looks_like_html_is_shown_as_it_is(panel: PanelDriver) -> None:
    slicer.util.getNode("Head").SetName("<MPR Thick Range[1]>")
    item = table(panel).item(0, 0)
    assert item.text() == "<MPR Thick Range[1]>"
    assert item.toolTip() == "<qt>&lt;MPR Thick Range[1]&gt;</qt>"


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


def test_a_case_that_cannot_be_stored_does_not_stop_the_rest(
    panel: PanelDriver, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from MedEnhanceSlicer import jobs

    store, calls = jobs.storeResult, []

    def full(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 1:
            raise MemoryError
        return store(*arguments)

    monkeypatch.setattr(jobs, "storeResult", full)
    add_head("Second")
    panel.breathe()
    panel.click("tickAllButton")
    panel.click("runQueueButton")
    panel.wait_until(lambda: worker.busy)
    worker.succeed()
    answer(panel, worker, 2)
    panel.wait_for_end()
    assert panel.status == "Queue: 1 done, 1 failed; the list tells why."
    assert tip(panel, "Head").startswith("The run failed (MemoryError); ")


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


def test_a_volume_that_is_removed_is_told_and_not_resumed(
    panel: PanelDriver, worker: FakeWorker
) -> None:
    for name in ("Second", "Third"):
        add_head(name)
    panel.breathe()
    panel.click("tickAllButton")
    panel.click("runQueueButton")
    answer(panel, worker, 1)
    panel.wait_until(lambda: len(worker.jobs) == 2)
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("Third"))
    worker.fail("The device ran out of memory; use the CPU.")
    panel.wait_for_end()
    told = "Queue: 1 done, 1 removed from the scene"
    assert panel.status == f"{told}, 1 failed; the list tells why."
    panel.click("resumeQueueButton")
    answer(panel, worker, 3)
    panel.wait_for_end()
    assert panel.status == "Queue: 2 done, 1 removed from the scene."
    assert not panel.ui.resumeQueueButton.enabled


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
    assert "Queue: 1 done, 1 removed from the scene" in text and "is too large" in text
    for name in ("Doe", "Jane", "Head"):
        assert name not in text


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


def test_ticks_do_not_outlive_their_scene(panel: PanelDriver) -> None:
    """Another scene's volumes have the same IDs."""
    panel.click("tickAllButton")
    assert ticked(panel) == ["Head"]
    before = slicer.util.getNode("Head").GetID()
    panel.leave()
    slicer.mrmlScene.Clear(0)
    assert add_head("Other patient").GetID() == before
    panel.enter()
    panel.breathe()
    assert cases(panel) == {"Other patient": ""} and ticked(panel) == []
    assert not panel.ui.runQueueButton.enabled


def test_maps_beside_results_are_neither_ticked_nor_chosen(panel: PanelDriver) -> None:
    from MedEnhanceSlicer.resultMaps import addMap

    from MedEnhance import firstVolume

    addMap(slicer.util.getNode("Head"), "MedEnhance.Removed", "Head removed signal")
    panel.breathe()
    panel.click("tickAllButton")
    assert ticked(panel) == ["Head"]
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("Head"))
    assert firstVolume() is None
