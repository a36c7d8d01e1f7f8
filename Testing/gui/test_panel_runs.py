"""Runs seen from the panel, over an inference process that a test controls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import slicer

from Testing.gui.driver import OpenPanel, PanelDriver
from Testing.gui.fakes import FakeWorker
from Testing.gui.results import composite
from Testing.gui.standins.pythonqt import unwrap
from Testing.gui.volumes import add_head


def volumes() -> list[str]:
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [node.GetName() for node in nodes]


def evidence(panel: PanelDriver) -> list[str]:
    """Names of what was measured."""
    table = unwrap(panel.ui.evidenceTable)
    return [table.item(row, 0).text() for row in range(table.rowCount())]


def test_apply_becomes_cancel_with_progress_and_back(
    panel: PanelDriver, worker: FakeWorker
) -> None:
    ui = panel.ui
    job = panel.apply()
    assert ui.applyButton.text == "Cancel"
    assert ui.progressBar.visible and ui.progressBar.maximum == 0
    assert not ui.settingsCollapsibleButton.enabled
    worker.report(0.42, "network", 65)
    panel.wait_until(lambda: ui.progressBar.value == 420)
    assert str(job) == "<Job 'Head': running, 42%, network>"
    assert panel.status == "Network, about 1 min 5 s left"
    worker.succeed(("The noise was estimated high.",))
    panel.wait_for_end()
    assert ui.applyButton.text == "Apply" and ui.applyButton.enabled
    assert not ui.progressBar.visible
    assert ui.settingsCollapsibleButton.enabled
    assert panel.status == "Done: Head denoised (AI-processed). The noise was estimated high."
    assert "Signal to noise (dB)" in evidence(panel)
    assert volumes() == ["Head", "Head denoised (AI-processed)"]


def test_filters_are_not_called_ai(panel: PanelDriver, worker: FakeWorker) -> None:
    panel.choose_model("Median")
    panel.apply()
    worker.succeed()
    panel.wait_for_end()
    assert volumes()[-1] == "Head denoised (filtered)"


def test_what_was_not_changed_is_not_called_ai(panel: PanelDriver, worker: FakeWorker) -> None:
    panel.apply()
    worker.succeed(unchanged=True)
    panel.wait_for_end()
    assert volumes()[-1] == "Head denoised (unchanged)"


def test_cancel_leaves_no_node(panel: PanelDriver, worker: FakeWorker) -> None:
    worker.obeys = False
    job = panel.apply()
    panel.click("applyButton")
    assert panel.ui.applyButton.text == "Cancelling..."
    assert not panel.ui.applyButton.enabled
    worker.succeed()
    panel.wait_for_end()
    assert job.state == "cancelled"
    assert volumes() == ["Head"]
    assert "cancelled" in panel.status
    assert panel.ui.applyButton.text == "Apply" and panel.ui.applyButton.enabled


def test_a_failure_is_one_sentence_and_the_next_run_works(
    panel: PanelDriver, worker: FakeWorker
) -> None:
    job = panel.apply()
    worker.fail("The device ran out of memory; use the CPU.")
    panel.wait_for_end()
    assert panel.status == "The device ran out of memory; use the CPU."
    assert type(job.error).__name__ == "DeviceError" and job.details == "trace"
    panel.apply()
    worker.succeed()
    panel.wait_for_end()
    assert panel.status.startswith("Done")


def test_two_runs_make_two_nodes(panel: PanelDriver, worker: FakeWorker) -> None:
    for _ in range(2):
        panel.apply()
        worker.succeed()
        panel.wait_for_end()
    assert len(set(volumes())) == 3


def test_a_chosen_output_is_filled_each_time(panel: PanelDriver, worker: FakeWorker) -> None:
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Target")
    panel.choose("outputVolumeSelector", "Target")
    for _ in range(2):
        panel.apply()
        worker.succeed()
        panel.wait_for_end()
    assert volumes() == ["Head", "Target"]


def test_the_input_is_never_the_output(panel: PanelDriver, worker: FakeWorker) -> None:
    before = slicer.util.arrayFromVolume(panel.parameters.inputVolume).copy()
    panel.choose("outputVolumeSelector", "Head")
    panel.click("applyButton")
    assert "never overwritten" in panel.status
    assert not worker.jobs
    assert np.array_equal(slicer.util.arrayFromVolume(panel.parameters.inputVolume), before)


def test_segments_are_measured(panel: PanelDriver, worker: FakeWorker) -> None:
    panel.choose_task("Segment")
    panel.apply()
    worker.succeed()
    panel.wait_for_end()
    assert "Volume of Anterior hippocampus (ml)" in evidence(panel)
    assert slicer.mrmlScene.GetFirstNodeByName("Head segmentation (AI-processed)") is not None


def test_scene_closed_during_a_run(panel: PanelDriver, worker: FakeWorker) -> None:
    worker.obeys = False
    job = panel.apply()
    slicer.mrmlScene.Clear(0)
    panel.wait_until(lambda: worker.cancelled)
    worker.succeed()
    panel.wait_for_end()
    assert job.state == "cancelled" and "removed from the scene" in panel.status
    assert volumes() == []
    add_head("Another")
    panel.breathe()
    panel.apply()
    worker.succeed()
    panel.wait_for_end()
    assert volumes() == ["Another", "Another denoised (AI-processed)"]


def test_input_deleted_during_a_run(panel: PanelDriver, worker: FakeWorker) -> None:
    job = panel.apply()
    slicer.mrmlScene.RemoveNode(panel.parameters.inputVolume)
    panel.wait_for_end()
    assert job.state == "cancelled" and "removed from the scene" in panel.status
    assert volumes() == []
    assert not panel.ui.applyButton.enabled


def test_input_moved_during_a_run_takes_the_result_along_or_is_told(
    panel: PanelDriver, worker: FakeWorker
) -> None:
    head = slicer.util.getNode("Head")
    moved = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Moved")
    shift = np.eye(4)
    shift[:3, 3] = (30, 40, 50)
    moved.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(shift))
    job = panel.apply()
    head.SetAndObserveTransformNodeID(moved.GetID())
    worker.succeed()
    panel.wait_for_end()
    assert job.node.GetParentTransformNode() is moved
    job = panel.apply()
    head.HardenTransform()
    worker.succeed()
    panel.wait_for_end()
    assert job.state == "failed" and "'Head' was hardened, moved or resampled" in panel.status
    assert volumes() == ["Head", "Head denoised (AI-processed)"]


def test_output_deleted_during_a_run_is_made_anew(panel: PanelDriver, worker: FakeWorker) -> None:
    target = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Target")
    panel.choose("outputVolumeSelector", "Target")
    panel.apply()
    slicer.mrmlScene.RemoveNode(target)
    worker.succeed()
    panel.wait_for_end()
    assert volumes() == ["Head", "Head denoised (AI-processed)"]


def test_the_module_can_be_left_during_a_run(panel: PanelDriver, worker: FakeWorker) -> None:
    panel.apply()
    panel.leave()
    worker.report(0.5, "network")
    panel.wait_until(lambda: not worker.events)
    worker.succeed()
    panel.wait_for_end()
    assert volumes()[-1] == "Head denoised (AI-processed)"
    panel.enter()
    assert panel.ui.applyButton.enabled


def test_a_run_that_ends_without_the_panel_leaves_the_views_alone(
    panel: PanelDriver, worker: FakeWorker, views: Any
) -> None:
    other = add_head("Other")
    panel.apply()
    panel.leave()
    composite().SetBackgroundVolumeID(other.GetID())
    worker.succeed()
    panel.wait_for_end()
    assert composite().GetBackgroundVolumeID() == other.GetID()


def test_settings_can_change_from_outside_during_a_run(
    panel: PanelDriver, worker: FakeWorker
) -> None:
    panel.apply()
    panel.parameters.strength = 0.1
    slicer.util.addVolumeFromArray(np.zeros((2, 2, 2)), name="Later")
    assert panel.ui.applyButton.text == "Cancel"
    worker.succeed()
    panel.wait_for_end()
    assert "Head denoised (AI-processed)" in volumes()


def test_a_second_run_at_once_is_refused_from_the_console(
    panel: PanelDriver, worker: FakeWorker
) -> None:
    from MedEnhanceLib.errors import WorkerError

    panel.apply()
    logic: Any = panel.widget.logic
    with pytest.raises(WorkerError, match="still working on 'Head'"):
        logic.process(panel.parameters.inputVolume, "denoise")
    assert panel.ui.applyButton.text == "Cancel"


def test_closing_the_module_ends_the_process(panel: PanelDriver, worker: FakeWorker) -> None:
    job = panel.apply()
    panel.widget.logic.close()
    assert worker.closed and job.state == "cancelled"
    assert "closed" in panel.status


def test_a_panel_ends_no_run_but_its_own(
    panel: PanelDriver, worker: FakeWorker, open_panel: OpenPanel
) -> None:
    other = open_panel(panel.widget.logic)
    job = panel.apply()
    other.widget.cleanup()
    assert not worker.closed and job.state == "running"
    worker.succeed()
    panel.wait_for_end()
    assert panel.status.startswith("Done")
    job = panel.apply()
    panel.widget.cleanup()
    assert worker.closed and job.state == "cancelled"


def test_the_log_and_the_report_hold_no_name(panel: PanelDriver, worker: FakeWorker) -> None:
    from PySide6 import QtWidgets

    slicer.util.getNode("Head").SetName("Doe^Jane")
    panel.apply()
    worker.report(0.4, "Removing noise")
    panel.breathe()
    worker.fail("'Doe^Jane' made the GPU stop; use the CPU.")
    panel.wait_for_end()
    assert not panel.ui.logCollapsibleButton.collapsed
    assert "Removing noise" in panel.ui.logTextEdit.plainText
    panel.click("copyReportButton")
    copied = QtWidgets.QApplication.clipboard().text()
    assert "fake-denoise" in copied and "trace" in copied and "made the GPU stop" in copied
    assert "Doe" not in copied


def test_names_of_nodes_are_taken_from_whole_words_only() -> None:
    from MedEnhanceSlicer.runLog import withoutNames

    text = "CUDA ran out of memory; For MR use R. 'Doe' in Doe_T1.nii and a name, Doe denoised"
    told = (
        "CUDA ran out of memory; For MR use <name>. '<name>' in <name>_T1.nii and a <name>, <name>"
    )
    names = {"R", "F", "Doe", "Doe denoised", "name", ""}
    assert withoutNames(text, names) == told
    assert withoutNames(text, set()) == text


def test_a_closed_scene_leaves_nothing_in_memory_and_no_name(
    panel: PanelDriver, worker: FakeWorker
) -> None:
    import gc

    panel.apply()
    worker.succeed()
    panel.wait_for_end()
    gone: list[str] = []
    for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
        name = node.GetName()
        node.GetImageData().AddObserver("DeleteEvent", lambda *_, name=name: gone.append(name))
    worker.jobs.clear()
    worker.guides.clear()
    assert "Head" in panel.status and "Head" in panel.ui.logTextEdit.plainText
    slicer.mrmlScene.Clear(0)
    assert panel.status == "" and panel.ui.logTextEdit.plainText == ""
    del node
    panel.breathe()
    gc.collect()
    assert sorted(gone) == ["Head", "Head denoised (AI-processed)"]
    assert panel.ui.copyReportButton.enabled


def test_the_report_holds_no_folders() -> None:
    from pathlib import Path

    from MedEnhanceSlicer.runLog import withoutFolders

    for path in (
        str(Path.home() / "Doe" / "model.zip"),
        "/data/Doe^Jane/model.zip",
        "~/Doe/model.zip",
        r"C:\Users\Doe\model.zip",
        repr(r"C:\Users\Doe\model.zip"),
        r"\\server\Doe\model.zip",
    ):
        left = withoutFolders(f"File {path}, line 3")
        assert left.replace("'", "") == "File model.zip, line 3"
    for told in (
        "'/data/Jane Miller  1950/scan.nii' cannot be read",
        "/data/Jane van Miller/1950/scan.nii cannot be read",
        "File /data/Jane O'Brien/scan.nii cannot be read",
        "'/data/Jane O'Brien/scan.nii' cannot be read",
        r"'D:\Patients\Jane Miller\scan.nii' cannot be read",
        repr(r"D:\Patients\Jane O'Brien\scan.nii") + " cannot be read",
    ):
        left = withoutFolders(told).replace("'", "").replace('"', "").removeprefix("File ")
        assert left == "scan.nii cannot be read"
    for harmless in ("torch 2.6.0/cpu, 0.7 mm/voxel", "noise / signal", "3/4 done"):
        assert withoutFolders(harmless) == harmless


def test_nothing_else_begins_during_an_installation(
    panel: PanelDriver, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slicer handles clicks while pip is at work."""
    from MedEnhanceSlicer import dependencies

    told: list[str] = []

    def install(_model: Any, tell: Any) -> str:
        tell("Installing torch; that takes minutes.")
        panel.breathe()
        told.append(panel.status)
        assert not panel.ui.applyButton.enabled and panel.ui.progressBar.visible
        assert not panel.ui.settingsCollapsibleButton.enabled
        assert not panel.ui.runQueueButton.enabled and not panel.ui.addStepButton.enabled
        panel.widget.panel.onApply()
        return ""

    monkeypatch.setattr(dependencies, "ensureFor", install)
    panel.apply()
    assert told == ["Installing torch; that takes minutes."]
    worker.succeed()
    panel.wait_for_end()
    assert panel.status.startswith("Done") and len(worker.jobs) == 1


def test_a_result_whose_node_can_no_longer_take_it_gets_one_of_its_own(
    panel: PanelDriver, worker: FakeWorker
) -> None:
    panel.choose_task("Segment")
    mine = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mine")
    panel.parameters.outputSegmentation = mine
    panel.breathe()
    job = panel.apply()
    mine.GetSegmentation().AddEmptySegment("tumour", "tumour")
    worker.succeed()
    panel.wait_for_end()
    assert job.error is None and job.node is not mine
    assert "'Mine' has segments that MedEnhance did not make" in " ".join(job.warnings)


def test_a_long_name_does_not_widen_the_panel(panel: PanelDriver, worker: FakeWorker) -> None:
    before = unwrap(panel.parent).minimumSizeHint().width()
    add_head("ProjectX_" + 20 * "Subject0001_")
    panel.choose("inputSelector", "ProjectX_" + 20 * "Subject0001_")
    panel.apply()
    worker.succeed()
    panel.wait_for_end()
    assert "ProjectX_" in panel.status
    panel.breathe()
    assert unwrap(panel.parent).minimumSizeHint().width() <= before


def test_a_preview_can_be_asked_for_after_a_run_of_a_script(
    panel: PanelDriver, worker: FakeWorker
) -> None:
    job = panel.widget.logic.process(panel.parameters.inputVolume, "denoise", wait=False)
    panel.choose_task("Segment")
    worker.succeed()
    panel.wait_until(lambda: job.finished)
    assert panel.ui.previewButton.enabled
