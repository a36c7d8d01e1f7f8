"""The results section, driven by clicks over a run whose answer is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer

from Testing.gui.driver import PanelDriver
from Testing.gui.fakes import FakeWorker, catalog
from Testing.gui.standins import layout
from Testing.gui.standins.pythonqt import unwrap
from Testing.gui.test_panel_pictures import assert_picture
from Testing.gui.volumes import add_head
from Testing.slicer.results import denoised, segmented, super_resolved
from Testing.slicer.saving import through_bundle

OpenPanel = Callable[..., PanelDriver]


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def window(scene: Any) -> Iterator[layout.LayoutManager]:
    yield layout.open_window()
    layout.close_window()


@pytest.fixture
def panel(open_panel: OpenPanel, worker: FakeWorker, window: Any) -> PanelDriver:
    """A panel of an application with views, and a head that was made brighter by a known noise."""
    from MedEnhanceSlicer.jobs import JobRunner

    import MedEnhance

    add_head()
    return open_panel(MedEnhance.MedEnhanceLogic(JobRunner(worker), catalog()))


def head() -> Any:
    return slicer.util.getNode("Head")


def composite(name: str = "Red") -> Any:
    return slicer.app.layoutManager().sliceWidget(name).sliceLogic().GetSliceCompositeNode()


def show(panel: PanelDriver, node: Any) -> Any:
    """Let the panel find a result that was made elsewhere."""
    panel.leave()
    panel.enter()
    panel.breathe()
    if panel.ui.resultSelector.currentNode() is not node:
        panel.ui.resultSelector.setCurrentNode(node)
        panel.breathe()
    assert panel.ui.resultSelector.currentNode() is node
    return node


def row_of(table: Any, row: int) -> list[str]:
    native = unwrap(table)
    return [native.item(row, c).text() for c in range(3)]


def click_row(panel: PanelDriver, table: Any, row: int) -> None:
    unwrap(table).cellClicked.emit(row, 1)
    panel.breathe()


def test_nothing_is_shown_before_there_is_a_result(panel: PanelDriver) -> None:
    for name in ("results", "evidence", "report"):
        assert not getattr(panel.ui, name + "CollapsibleButton").visible


def test_a_run_is_shown_with_its_evidence(panel: PanelDriver, worker: FakeWorker) -> None:
    panel.apply()
    worker.succeed()
    panel.wait_for_end()
    ui = panel.ui
    assert ui.resultsCollapsibleButton.visible and ui.evidenceCollapsibleButton.visible
    assert ui.resultSelector.currentNode().GetName() == "Head denoised (AI-processed)"
    assert row_of(ui.evidenceTable, 0) == ["Noise", "21.3", "6.1"]
    assert "higher is better" in unwrap(ui.evidenceTable).item(2, 0).toolTip()
    assert not ui.segmentsWidget.visible
    assert ui.blendWidget.visible
    assert "Model" in ui.howMadeLabel.text


def test_compare_side_by_side_and_back(panel: PanelDriver, window: Any) -> None:
    node = show(panel, denoised(head()))
    before = window.layout
    assert panel.ui.compareButton.text == "Compare side by side"
    panel.click("compareButton")
    assert window.sliceViewNames() == ("MedEnhanceBefore", "MedEnhanceAfter")
    assert composite("MedEnhanceBefore").GetBackgroundVolumeID() == head().GetID()
    assert composite("MedEnhanceAfter").GetBackgroundVolumeID() == node.GetID()
    assert panel.ui.compareButton.text == "Back to the usual views"
    panel.click("compareButton")
    assert window.layout == before and not panel.ui.compareButton.checked


def test_the_button_follows_slicers_own_layout_menu(panel: PanelDriver, window: Any) -> None:
    show(panel, denoised(head()))
    panel.click("compareButton")
    window.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    assert not panel.ui.compareButton.checked
    panel.click("compareButton")
    panel.click("compareButton")
    assert window.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView


def test_without_a_window_there_is_no_comparing(open_panel: OpenPanel) -> None:
    add_head()
    output = denoised(head())
    panel = open_panel()
    assert panel.ui.resultSelector.currentNode() is output
    assert not panel.ui.compareButton.enabled
    panel.set_number("fadeSlider", 0.4)


def test_fading(panel: PanelDriver) -> None:
    node = show(panel, denoised(head()))
    panel.set_number("fadeSlider", 0.25)
    assert composite().GetBackgroundVolumeID() == head().GetID()
    assert composite().GetForegroundVolumeID() == node.GetID()
    assert composite().GetForegroundOpacity() == pytest.approx(0.25)


def test_flicker_turns_and_ends(panel: PanelDriver) -> None:
    show(panel, denoised(head()))
    panel.set_number("fadeSlider", 0.5)
    seen: set[float] = set()
    panel.click("flickerCheckBox")

    def both() -> bool:
        seen.add(composite().GetForegroundOpacity())
        return {0.0, 1.0} <= seen

    panel.wait_until(both)
    panel.click("flickerCheckBox")
    assert composite().GetForegroundOpacity() == pytest.approx(0.5)


def test_flicker_ends_with_a_run_with_leaving_and_with_the_scene(
    panel: PanelDriver, worker: FakeWorker
) -> None:
    flicker = panel.ui.flickerCheckBox
    show(panel, denoised(head()))
    panel.click("flickerCheckBox")
    panel.apply()
    assert not flicker.checked
    worker.succeed()
    panel.wait_for_end()
    panel.click("flickerCheckBox")
    panel.leave()
    assert not flicker.checked
    panel.enter()
    panel.click("flickerCheckBox")
    slicer.mrmlScene.Clear(0)
    panel.breathe()
    assert not flicker.checked
    assert not panel.ui.resultsCollapsibleButton.visible


def test_input_deleted_while_flickering(panel: PanelDriver) -> None:
    show(panel, denoised(head()))
    panel.click("flickerCheckBox")
    slicer.mrmlScene.RemoveNode(head())
    panel.breathe()
    ui = panel.ui
    assert not ui.flickerCheckBox.checked
    assert "no longer in the scene" in ui.resultNoteLabel.text and ui.resultNoteLabel.visible
    for name in ("compareButton", "flickerCheckBox", "fadeSlider"):
        assert not getattr(ui, name).enabled
    assert not ui.blendWidget.visible
    assert ui.evidenceTable.rowCount == 1


def test_result_deleted(panel: PanelDriver) -> None:
    first = denoised(head())
    second = show(panel, denoised(head()))
    panel.click("flickerCheckBox")
    slicer.mrmlScene.RemoveNode(second)
    panel.breathe()
    assert panel.ui.resultSelector.currentNode() is first
    slicer.mrmlScene.RemoveNode(first)
    panel.breathe()
    assert not panel.ui.resultsCollapsibleButton.visible


def test_the_removed_signal_is_made_on_request_and_its_slices_are_shown(
    panel: PanelDriver,
) -> None:
    node = show(panel, denoised(head()))
    assert node.GetNodeReference("MedEnhance.Removed") is None
    panel.choose("fadeComboBox", "Removed signal")
    removed = node.GetNodeReference("MedEnhance.Removed")
    assert composite().GetBackgroundVolumeID() == node.GetID()
    assert composite().GetForegroundVolumeID() == removed.GetID()
    assert panel.ui.spotsListWidget.visible and panel.ui.spotsListWidget.count > 1
    spots = unwrap(panel.ui.spotsListWidget)
    spots.setCurrentRow(0)
    spots.itemClicked.emit(spots.item(0))
    panel.breathe()
    slice_number = int(spots.item(0).text().split()[1].rstrip(":"))
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed").GetSliceToRAS()
    assert red.GetElement(2, 3) == pytest.approx(slice_number)
    panel.choose("fadeComboBox", "Before and after")
    assert not panel.ui.spotsListWidget.visible
    assert composite().GetForegroundVolumeID() == node.GetID()


def test_the_uncertainty_is_offered_when_there_is_one(panel: PanelDriver) -> None:
    node = show(panel, super_resolved(head()))
    entries = [panel.ui.fadeComboBox.itemText(i) for i in range(panel.ui.fadeComboBox.count)]
    assert entries == ["Before and after", "Uncertainty"]
    panel.choose("fadeComboBox", "Uncertainty")
    unsure = node.GetNodeReference("MedEnhance.Uncertainty")
    assert composite().GetForegroundVolumeID() == unsure.GetID()
    assert not panel.ui.blendWidget.visible


def blend(panel: PanelDriver, strength: float) -> None:
    panel.set_number("blendSlider", strength)
    result = panel.ui.resultSelector.currentNode()
    panel.wait_until(lambda: result.GetAttribute("MedEnhance.Strength") == repr(strength))


def test_strength_is_changed_kept_and_reset(panel: PanelDriver) -> None:
    before = slicer.util.arrayFromVolume(head()).copy()
    node = show(panel, denoised(head()))
    panel.choose("fadeComboBox", "Removed signal")
    removed = node.GetNodeReference("MedEnhance.Removed")
    assert not panel.ui.keepButton.enabled
    blend(panel, 0.4)
    assert np.allclose(slicer.util.arrayFromVolume(node), before * 0.8, atol=1e-3)
    assert np.allclose(slicer.util.arrayFromVolume(removed), before * 0.2, atol=1e-3)
    assert "shown at strength 0.4" in panel.ui.evidenceNoteLabel.text
    assert "0.4" in panel.ui.howMadeLabel.text
    panel.click("resetButton")
    assert np.allclose(slicer.util.arrayFromVolume(node), before * 0.5, atol=1e-3)
    assert not panel.ui.evidenceNoteLabel.visible
    blend(panel, 0.4)
    panel.click("keepButton")
    assert not panel.ui.resetButton.enabled
    blend(panel, 0.9)
    panel.click("resetButton")
    assert panel.ui.blendSlider.value == pytest.approx(0.4)
    assert np.array_equal(slicer.util.arrayFromVolume(head()), before)


def test_a_node_filled_again_starts_anew(panel: PanelDriver, worker: FakeWorker) -> None:
    target = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Target")
    panel.choose("outputVolumeSelector", "Target")
    panel.apply()
    worker.succeed()
    panel.wait_for_end()
    assert panel.ui.resultSelector.currentNode() is target
    panel.choose("fadeComboBox", "Removed signal")
    removed = target.GetNodeReference("MedEnhance.Removed")
    blend(panel, 0.3)
    slicer.util.arrayFromVolume(head())[...] += 100
    panel.apply()
    worker.succeed()
    panel.wait_for_end()
    assert panel.status.startswith("Done")
    assert target.GetAttribute("MedEnhance.Strength") is None
    assert panel.ui.blendSlider.value == 1.0
    slicer.util.arrayFromVolume(target)[...] *= 0.5
    blend(panel, 0.5)
    before = slicer.util.arrayFromVolume(head())
    assert np.allclose(slicer.util.arrayFromVolume(target), before * 0.75, atol=1e-3)
    assert np.allclose(slicer.util.arrayFromVolume(removed), before * 0.25, atol=1e-3)


def test_a_changed_input_stops_the_strength(panel: PanelDriver, worker: FakeWorker) -> None:
    node = denoised(head())
    node.SetAttribute("MedEnhance.Provenance", '{"input_sha256": "another"}')
    show(panel, node)
    voxels = slicer.util.arrayFromVolume(node).copy()
    panel.set_number("blendSlider", 0.4)
    panel.wait_until(lambda: panel.ui.blendLabel.text == "Input changed")
    assert not panel.ui.blendSlider.enabled
    assert np.array_equal(slicer.util.arrayFromVolume(node), voxels)


def test_segments_are_listed_and_found(panel: PanelDriver) -> None:
    node = show(panel, segmented(head()))
    table = panel.ui.segmentsTable
    assert row_of(table, 0)[1:] == ["Anterior hippocampus", "0.018 ml"]
    click_row(panel, table, 1)
    segment = node.GetSegmentation().GetNthSegmentID(1)
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed").GetSliceToRAS()
    centre = [red.GetElement(i, 3) for i in range(3)]
    assert centre == pytest.approx(node.GetSegmentCenterRAS(segment))
    assert panel.ui.surfaceCheckBox.checked
    panel.click("surfaceCheckBox")
    assert not node.GetDisplayNode().GetVisibility3D()
    panel.click("surfaceCheckBox")
    assert node.GetDisplayNode().GetVisibility3D()


def test_nothing_found_is_said(panel: PanelDriver) -> None:
    show(panel, segmented(head(), np.zeros((12, 24, 24), np.uint8)))
    assert unwrap(panel.ui.segmentsTable).item(0, 0).text() == "Nothing was found."
    assert not panel.ui.surfaceCheckBox.enabled
    click_row(panel, panel.ui.segmentsTable, 0)


def measured(panel: PanelDriver) -> str:
    panel.click("measureButton")
    panel.wait_until(lambda: panel.ui.measureButton.text == "Measure")
    return str(panel.ui.referenceNoteLabel.text)


def test_measuring_against_a_reference_volume(panel: PanelDriver) -> None:
    show(panel, denoised(head()))
    assert not panel.ui.measureButton.enabled
    other = add_head("Other grid", spacing=2.0)
    panel.choose("referenceSelector", "Other grid")
    assert "not on the grid" in measured(panel)
    slicer.mrmlScene.RemoveNode(other)
    truth = add_head("Truth")
    slicer.util.arrayFromVolume(truth)[...] *= 0.6
    panel.choose("referenceSelector", "Truth")
    assert measured(panel).startswith("Measured")
    table = unwrap(panel.ui.evidenceTable)
    names = [table.item(r, 0).text() for r in range(table.rowCount())]
    assert names == ["Noise"] + [f"{n} against the reference" for n in ("PSNR", "SSIM", "RMSE")]
    before, after = (float(table.item(1, c).text().split()[0]) for c in (1, 2))
    assert after > before


def test_measuring_against_reference_segments(panel: PanelDriver) -> None:
    found = segmented(head())
    show(panel, found)
    expert = segmented(head())
    panel.choose("referenceSelector", expert.GetName())
    assert measured(panel).startswith("Measured")
    table = unwrap(panel.ui.evidenceTable)
    values = {table.item(r, 0).text(): table.item(r, 2).text() for r in range(table.rowCount())}
    assert values["Dice of Anterior hippocampus"] == "1"
    assert values["HD95 of Posterior hippocampus"] == "0 mm"


def test_measuring_can_be_stopped(panel: PanelDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    from MedEnhanceLib.quality import comparison

    monkeypatch.setattr(comparison, "TILE", 4)
    show(panel, denoised(head()))
    add_head("Truth")
    panel.choose("referenceSelector", "Truth")
    unwrap(panel.ui.measureButton).click()
    assert panel.ui.measureButton.text == "Stop"
    panel.click("measureButton")
    assert "stopped" in panel.ui.referenceNoteLabel.text
    unwrap(panel.ui.measureButton).click()
    slicer.mrmlScene.Clear(0)
    panel.breathe()


def test_the_table_becomes_a_node(panel: PanelDriver) -> None:
    show(panel, denoised(head()))
    panel.click("storeTableButton")
    (table,) = slicer.util.getNodesByClass("vtkMRMLTableNode")
    assert table.GetNumberOfRows() == 1
    assert table.GetName() in panel.ui.referenceNoteLabel.text


@pytest.mark.parametrize("name", ["report.html", "report.pdf", "report"])
def test_a_report_is_saved(
    panel: PanelDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    from MedEnhanceSlicer import reportPart

    head().SetName("Doe Jane 1970")
    show(panel, denoised(head_named("Doe Jane 1970")))
    monkeypatch.setattr(reportPart, "askForFile", lambda parent: str(tmp_path / name))
    panel.click("saveReportButton")
    (path,) = tmp_path.iterdir()
    assert path.name in panel.ui.reportNoteLabel.text
    content = path.read_bytes()
    assert content.startswith(b"%PDF" if name.endswith("pdf") else b"<!DOCTYPE html>")
    assert b"Doe" not in content and b"1970" not in content
    if not name.endswith("pdf"):
        assert b"data:image/png" in content and b"Research use only" in content


def head_named(name: str) -> Any:
    return slicer.util.getNode(name)


def test_a_report_that_cannot_be_written_says_so(
    panel: PanelDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from MedEnhanceSlicer import reportPart

    show(panel, segmented(head()))
    nowhere = str(tmp_path / "nowhere" / "report.html")
    monkeypatch.setattr(reportPart, "askForFile", lambda parent: nowhere)
    panel.click("saveReportButton")
    assert "choose another folder" in panel.ui.reportNoteLabel.text
    monkeypatch.setattr(reportPart, "askForFile", lambda parent: "")
    panel.click("saveReportButton")


def test_everything_works_after_loading_the_scene(panel: PanelDriver, tmp_path: Path) -> None:
    denoised(head(), strength=0.5)
    through_bundle(slicer.mrmlScene, tmp_path)
    panel.breathe()
    node = slicer.util.getNode("Head denoised")
    assert panel.ui.resultSelector.currentNode() is node
    assert panel.ui.blendSlider.value == pytest.approx(0.5)
    blend(panel, 1.0)
    before = slicer.util.arrayFromVolume(head())
    assert np.allclose(slicer.util.arrayFromVolume(node), before * 0.5, atol=1e-3)
    panel.choose("fadeComboBox", "Removed signal")
    assert node.GetNodeReference("MedEnhance.Removed") is not None
    panel.click("compareButton")


def test_earlier_results_can_be_chosen(panel: PanelDriver) -> None:
    first = denoised(head())
    show(panel, segmented(head()))
    slicer.util.addVolumeFromArray(np.zeros((2, 2, 2)), name="No result")
    assert panel.ui.resultSelector.nodeCount() == 2
    panel.choose("resultSelector", first.GetName())
    assert panel.ui.blendWidget.visible and not panel.ui.segmentsWidget.visible


def test_pictures(panel: PanelDriver) -> None:
    show(panel, denoised(head()))
    panel.choose("fadeComboBox", "Removed signal")
    blend(panel, 0.7)
    panel.ui.howMadeCollapsibleButton.collapsed = False
    assert_picture(panel, "30-results-denoise")
    assert_picture(panel, "30-results-denoise-narrow", 320)
    show(panel, super_resolved(head()))
    assert_picture(panel, "31-results-super-resolution")
    show(panel, segmented(head()))
    assert_picture(panel, "32-results-segment", 320)
    slicer.mrmlScene.RemoveNode(head())
    panel.breathe()
    assert_picture(panel, "33-results-without-input", 320)
