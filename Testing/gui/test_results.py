"""The results section, driven by clicks: seeing the difference."""

from __future__ import annotations

from typing import Any

import pytest
import slicer

from Testing.gui.driver import OpenPanel, PanelDriver
from Testing.gui.fakes import FakeWorker
from Testing.gui.results import composite, head, show
from Testing.gui.standins.pythonqt import unwrap
from Testing.gui.volumes import add_head
from Testing.slicer.results import denoised, segmented, super_resolved
from Testing.slicer.saving import sheared


@pytest.fixture
def panel(views: Any, panel: PanelDriver) -> PanelDriver:
    """In an application with views."""
    return panel


def test_nothing_is_shown_before_there_is_a_result(panel: PanelDriver) -> None:
    for name in ("results", "evidence", "report"):
        assert not getattr(panel.ui, name + "CollapsibleButton").visible


def test_compare_side_by_side_and_back(panel: PanelDriver, views: Any) -> None:
    node = show(panel, denoised(head()))
    before = views.layout
    assert panel.ui.compareButton.text == "Compare side by side"
    panel.click("compareButton")
    assert views.sliceViewNames() == ("MedEnhanceBefore", "MedEnhanceAfter")
    assert composite("MedEnhanceBefore").GetBackgroundVolumeID() == head().GetID()
    assert composite("MedEnhanceAfter").GetBackgroundVolumeID() == node.GetID()
    assert panel.ui.compareButton.text == "Back to the usual views"
    panel.click("compareButton")
    assert views.layout == before and not panel.ui.compareButton.checked


def test_maps_are_shown_on_the_right(panel: PanelDriver) -> None:
    node = show(panel, denoised(head()))
    panel.click("compareButton")
    assert not panel.ui.fadeSlider.enabled and not panel.ui.flickerCheckBox.enabled
    panel.choose("fadeComboBox", "Removed signal")
    panel.set_number("fadeSlider", 0.6)
    right = composite("MedEnhanceAfter")
    assert right.GetForegroundVolumeID() == node.GetNodeReferenceID("MedEnhance.Removed")
    assert right.GetForegroundOpacity() == pytest.approx(0.6)
    assert composite("MedEnhanceBefore").GetForegroundVolumeID() is None
    panel.choose("fadeComboBox", "Before and after")
    assert right.GetForegroundVolumeID() is None


def test_the_button_follows_slicers_own_layout_menu(panel: PanelDriver, views: Any) -> None:
    show(panel, denoised(head()))
    panel.click("compareButton")
    views.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    assert not panel.ui.compareButton.checked
    panel.click("compareButton")
    panel.click("compareButton")
    assert views.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView


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


def test_the_fade_is_found_again(panel: PanelDriver) -> None:
    show(panel, denoised(head()))
    panel.set_number("fadeSlider", 0.25)
    panel.leave()
    panel.enter()
    assert panel.ui.fadeSlider.value == 0.25


def test_segments_that_were_faded_are_seen_in_other_modules(panel: PanelDriver) -> None:
    node = show(panel, segmented(head()))
    panel.set_number("fadeSlider", 0.0)
    assert node.GetDisplayNode().GetOpacity() == 0.0
    panel.leave()
    assert node.GetDisplayNode().GetOpacity() == 1.0
    panel.enter()
    assert panel.ui.fadeSlider.value == 1.0
    panel.set_number("fadeSlider", 0.0)
    show(panel, denoised(head()))
    assert node.GetDisplayNode().GetOpacity() == 1.0


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


@pytest.mark.parametrize("isClosed", [False, True])
def test_the_usual_views_come_back_when_nothing_is_left_to_compare(
    panel: PanelDriver, views: Any, isClosed: bool
) -> None:
    node = show(panel, denoised(head()))
    before = views.layout
    panel.click("compareButton")
    if isClosed:
        slicer.mrmlScene.Clear(0)
    else:
        slicer.mrmlScene.RemoveNode(node)
    panel.breathe()
    assert views.layout == before


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


def test_side_by_side_restricts_a_segmentation_only_while_the_panel_is_open(
    panel: PanelDriver,
) -> None:
    node = show(panel, segmented(head()))
    panel.click("compareButton")
    before = slicer.mrmlScene.GetSingletonNode("MedEnhanceBefore", "vtkMRMLSliceNode").GetID()
    assert not node.GetDisplayNode().IsDisplayableInView(before)
    panel.leave()
    assert node.GetDisplayNode().GetNumberOfViewNodeIDs() == 0
    panel.enter()
    assert not node.GetDisplayNode().IsDisplayableInView(before)
    panel.click("compareButton")
    assert node.GetDisplayNode().GetNumberOfViewNodeIDs() == 0


def test_the_removed_signal_goes_with_its_result(panel: PanelDriver) -> None:
    node = show(panel, denoised(head()))
    panel.choose("fadeComboBox", "Removed signal")
    slicer.mrmlScene.RemoveNode(node)
    panel.breathe()
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    assert [node.GetName() for node in nodes] == ["Head"]


def test_the_uncertainty_is_offered_when_there_is_one(panel: PanelDriver) -> None:
    node = show(panel, super_resolved(head()))
    entries = [panel.ui.fadeComboBox.itemText(i) for i in range(panel.ui.fadeComboBox.count)]
    assert entries == ["Before and after", "Uncertainty"]
    panel.choose("fadeComboBox", "Uncertainty")
    unsure = node.GetNodeReference("MedEnhance.Uncertainty")
    assert composite().GetForegroundVolumeID() == unsure.GetID()
    assert not panel.ui.blendWidget.visible


def test_an_uncertainty_without_voxels_is_not_offered(panel: PanelDriver) -> None:
    node = super_resolved(head())
    node.GetNodeReference("MedEnhance.Uncertainty").SetAndObserveImageData(None)
    show(panel, node)
    assert panel.ui.fadeComboBox.count == 1


def test_a_result_under_a_hardened_shear_does_not_stop_the_panel(panel: PanelDriver) -> None:
    node = show(panel, denoised(head()))
    sheared(slicer.mrmlScene, node)
    node.HardenTransform()
    panel.breathe()
    panel.leave()
    panel.enter()
    assert not panel.ui.blendWidget.visible and panel.ui.resultNoteLabel.visible


def test_the_views_stay_when_a_queue_goes_on_without_the_panel(
    panel: PanelDriver, worker: FakeWorker
) -> None:
    first = show(panel, segmented(head()))
    panel.click("compareButton")
    panel.choose_task("Segment")
    panel.widget.logic.queue([add_head("Other")], "segment", wait=False)
    chain = panel.widget.logic.runner.chain
    chain.onEvent = panel.widget.panel.onJobEvent
    panel.leave()
    panel.wait_until(lambda: worker.busy)
    worker.succeed()
    panel.wait_until(lambda: chain.finished)
    assert composite("MedEnhanceBefore").GetBackgroundVolumeID() == head().GetID()
    segmentations = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    assert len(segmentations) == 2 and first in segmentations
    assert not any(node.GetDisplayNode().GetNumberOfViewNodeIDs() for node in segmentations)


def test_the_removed_signal_of_an_input_that_was_moved_is_not_shown(panel: PanelDriver) -> None:
    node = show(panel, denoised(head()))
    head().SetOrigin(10, 0, 0)
    unwrap(panel.ui.fadeComboBox).setCurrentIndex(1)
    assert node.GetNodeReference("MedEnhance.Removed") is None
