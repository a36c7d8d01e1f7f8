"""The results section, driven by clicks: segments, evidence and reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer

from Testing.gui.driver import PanelDriver
from Testing.gui.fakes import FakeWorker
from Testing.gui.results import blend, click_row, head, row_of, show
from Testing.gui.standins.pythonqt import slot_errors, unwrap
from Testing.gui.test_panel_pictures import assert_picture
from Testing.gui.volumes import add_head
from Testing.slicer.results import denoised, segmented, super_resolved
from Testing.slicer.saving import through_bundle


@pytest.fixture
def panel(views: Any, panel: PanelDriver) -> PanelDriver:
    """In an application with views."""
    return panel


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


def test_a_segment_that_is_gone_cannot_be_found(panel: PanelDriver) -> None:
    node = show(panel, segmented(head()))
    segmentation = node.GetSegmentation()
    segmentation.RemoveSegment(segmentation.GetNthSegmentID(1))
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    before = red.GetSliceOffset()
    click_row(panel, panel.ui.segmentsTable, 1)
    assert red.GetSliceOffset() == before and not slot_errors


def test_a_segmentation_that_lost_its_display_is_shown_again(panel: PanelDriver) -> None:
    node = segmented(head())

    def lose_display() -> None:
        slicer.mrmlScene.RemoveNode(node.GetDisplayNode())
        assert node.GetDisplayNode() is None

    lose_display()
    show(panel, node)
    assert not panel.ui.surfaceCheckBox.checked
    panel.click("surfaceCheckBox")
    assert node.GetDisplayNode().GetVisibility3D()
    lose_display()
    panel.set_number("fadeSlider", 0.3)
    assert node.GetDisplayNode().GetOpacity() == pytest.approx(0.3)
    lose_display()
    panel.click("compareButton")
    before = slicer.mrmlScene.GetSingletonNode("MedEnhanceBefore", "vtkMRMLSliceNode")
    assert not node.GetDisplayNode().IsDisplayableInView(before.GetID())


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
    result = show(panel, denoised(head()))
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
    against = " against the reference"
    assert names == ["Noise", f"PSNR{against} (dB)", f"SSIM{against}", f"RMSE{against}"]
    before, after = (float(table.item(1, c).text().split()[0]) for c in (1, 2))
    assert after > before
    slicer.util.arrayFromVolume(result)[0, 0, 0] += 1
    slicer.util.arrayFromVolumeModified(result)
    panel.breathe()
    assert table.rowCount() == 1 and not panel.ui.referenceNoteLabel.visible


def test_removing_an_earlier_result_disturbs_neither_flicker_nor_measures(
    panel: PanelDriver,
) -> None:
    earlier = denoised(head())
    show(panel, denoised(head()))
    add_head("Truth")
    panel.choose("referenceSelector", "Truth")
    note = measured(panel)
    panel.click("flickerCheckBox")
    slicer.mrmlScene.RemoveNode(earlier)
    assert panel.ui.flickerCheckBox.checked
    assert panel.ui.referenceNoteLabel.text == note


def test_a_scene_that_is_added_leaves_the_reference(panel: PanelDriver, tmp_path: Path) -> None:
    show(panel, denoised(head()))
    truth = add_head("Truth")
    panel.choose("referenceSelector", "Truth")
    added = tmp_path / "added.mrml"
    added.write_text(
        '<MRML><LinearTransform id="vtkMRMLLinearTransformNode9" name="Extra"/></MRML>'
    )
    slicer.mrmlScene.SetURL(str(added))
    assert slicer.mrmlScene.Import()
    panel.breathe()
    assert slicer.mrmlScene.GetFirstNodeByName("Extra")
    assert panel.ui.referenceSelector.currentNode() is truth
    assert panel.ui.measureButton.enabled
    panel.choose("referenceSelector", "None")
    assert not panel.ui.measureButton.enabled


def test_measures_against_a_reference_are_those_of_the_strength_that_is_shown(
    panel: PanelDriver,
) -> None:
    show(panel, denoised(head()))
    add_head("Truth")
    panel.choose("referenceSelector", "Truth")
    blend(panel, 0.3)
    measured(panel)
    assert "against the reference at strength 0.3" in panel.ui.evidenceNoteLabel.text
    assert panel.ui.evidenceTable.rowCount == 4
    unwrap(panel.ui.measureButton).click()
    blend(panel, 1.0)
    assert panel.ui.measureButton.text == "Measure" and not panel.ui.referenceNoteLabel.visible
    assert panel.ui.evidenceTable.rowCount == 1
    assert not panel.ui.evidenceNoteLabel.visible


def test_measuring_against_reference_segments(panel: PanelDriver) -> None:
    found = segmented(head())
    show(panel, found)
    expert = segmented(head())
    panel.choose("referenceSelector", expert.GetName())
    assert measured(panel).startswith("Measured")
    table = unwrap(panel.ui.evidenceTable)
    values = {table.item(r, 0).text(): table.item(r, 2).text() for r in range(table.rowCount())}
    assert values["Dice of Anterior hippocampus"] == "1"
    assert values["HD95 of Posterior hippocampus (mm)"] == "0"


def test_what_was_measured_of_segments_goes_when_they_are_edited(panel: PanelDriver) -> None:
    node = show(panel, segmented(head()))
    panel.choose("referenceSelector", segmented(head()).GetName())
    measured(panel)
    assert panel.ui.evidenceTable.rowCount > 2 and not panel.ui.evidenceNoteLabel.visible
    node.GetSegmentation().RemoveSegment(node.GetSegmentation().GetNthSegmentID(1))
    show(panel, node)
    assert panel.ui.evidenceTable.rowCount == 2
    assert "was changed since the run" in panel.ui.evidenceNoteLabel.text


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


def test_what_another_version_wrote_does_not_stop_the_panel(panel: PanelDriver) -> None:
    names = ("Evidence", "Provenance", "Warnings", "Steps", "Strength", "Region")
    texts = ('{"x": 1}', "[[1]]", "no JSON", '[{"name": 5, "before": "a", "after": {}}]', "null")
    node = denoised(head())
    for text in texts:
        for name in names:
            node.SetAttribute(f"MedEnhance.{name}", text)
        show(panel, node)
        assert panel.ui.evidenceTable.rowCount == 0
    node.SetAttribute("MedEnhance.Task", "segment")
    panel.breathe()
    assert not panel.ui.resultsCollapsibleButton.visible
    show_nothing(panel)
    node.SetAttribute("MedEnhance.Task", "registration")
    show_nothing(panel)


def show_nothing(panel: PanelDriver) -> None:
    """There is no result that the panel could show."""
    panel.leave()
    panel.enter()
    assert not panel.ui.resultsCollapsibleButton.visible


def test_earlier_steps_are_told(panel: PanelDriver) -> None:
    node = denoised(head())
    node.SetAttribute("MedEnhance.Steps", '[{"model": "filter-median"}, {"model": "other"}]')
    show(panel, node)
    assert "Earlier steps</b>: filter-median, other" in panel.ui.howMadeLabel.text


def test_a_result_of_a_script_is_found(panel: PanelDriver) -> None:
    assert not panel.ui.resultsCollapsibleButton.visible
    node = denoised(head())
    panel.wait_until(lambda: panel.ui.resultSelector.currentNode() is node)
    assert panel.ui.blendWidget.visible and not panel.ui.resultNoteLabel.visible


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
