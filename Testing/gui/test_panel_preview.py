"""Previews seen from the panel, over an inference process that a test controls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import slicer

from MedEnhanceLib.errors import TrustError
from Testing.gui.driver import PanelDriver
from Testing.gui.fakes import FakeModel, FakeWorker
from Testing.gui.results import composite, head, show
from Testing.gui.volumes import add_head
from Testing.slicer.results import denoised


def volumes() -> list[str]:
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [node.GetName() for node in nodes]


def test_a_preview_lies_over_the_slice_and_goes_again(
    panel: PanelDriver, worker: FakeWorker
) -> None:
    composite, view = slice_view()
    view.SetSliceOffset(4)
    composite.SetBackgroundVolumeID(slicer.util.getNode("Head").GetID())
    panel.click("previewButton")
    assert not panel.ui.previewButton.enabled
    sent, _task, _model, options = worker.jobs[-1]
    assert sent.voxels.shape[0] <= 2 * 7 + 1
    assert options.noise > 0
    worker.succeed()
    panel.wait_until(lambda: panel.ui.hidePreviewButton.enabled and panel.ui.previewButton.enabled)
    assert panel.ui.previewLabel.text == "Preview of slice 4."
    shown = slicer.mrmlScene.GetNodeByID(composite.GetForegroundVolumeID())
    assert shown.GetHideFromEditors() and not shown.GetSaveWithScene()
    assert panel.widget.panel.job is None and panel.ui.applyButton.enabled
    panel.click("hidePreviewButton")
    assert composite.GetForegroundVolumeID() is None
    assert volumes() == ["Head"]


def test_what_is_shown_again_is_what_was_shown_last(panel: PanelDriver, worker: FakeWorker) -> None:
    composite, _view = slice_view()
    composite.SetBackgroundVolumeID(slicer.util.getNode("Head").GetID())
    panel.click("previewButton")
    worker.fail("The graphics card has no memory left.")
    panel.wait_until(lambda: panel.ui.previewButton.enabled)
    neck = add_head("Neck")
    composite.SetBackgroundVolumeID(neck.GetID())
    panel.click("previewButton")
    worker.succeed()
    panel.wait_until(lambda: panel.ui.hidePreviewButton.enabled and panel.ui.previewButton.enabled)
    panel.click("hidePreviewButton")
    assert composite.GetBackgroundVolumeID() == neck.GetID()


def test_the_preview_follows_the_slice_when_asked(panel: PanelDriver, worker: FakeWorker) -> None:
    _composite, view = slice_view()
    panel.click("previewFollowCheckBox")
    panel.click("previewButton")
    worker.succeed()
    panel.wait_until(lambda: panel.ui.previewLabel.text.startswith("Preview of slice"))
    view.SetSliceOffset(view.GetSliceOffset() + 2)
    panel.wait_until(lambda: len(worker.jobs) == 2)
    worker.succeed()
    panel.wait_until(lambda: panel.ui.previewButton.enabled)
    panel.click("previewFollowCheckBox")
    view.SetSliceOffset(view.GetSliceOffset() + 2)
    panel.breathe()
    assert len(worker.jobs) == 2


def test_only_a_click_asks_for_trust(
    panel: PanelDriver, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(model: FakeModel) -> None:
        raise TrustError("Allow it if you trust its author.")

    _composite, view = slice_view()
    panel.choose_model("MR denoiser")
    panel.click("previewFollowCheckBox")
    panel.click("previewButton")
    worker.succeed()
    panel.wait_until(lambda: panel.ui.previewLabel.text.startswith("Preview of slice"))
    foreign = {"foreign": "runs code", "shipped": False, "trusted": False, "require_trust": refuse}
    for name, value in foreign.items():
        monkeypatch.setattr(FakeModel, name, value, raising=False)
    asked: list[str] = []
    monkeypatch.setattr(
        slicer.util, "confirmYesNoDisplay", lambda text, *_, **__: asked.append(text)
    )
    view.SetSliceOffset(view.GetSliceOffset() + 2)
    panel.wait_until(lambda: "trust its author" in panel.ui.previewLabel.text)
    assert not asked
    panel.click("previewButton")
    assert asked and len(worker.jobs) == 1


def test_apply_takes_the_place_of_a_preview(panel: PanelDriver, worker: FakeWorker) -> None:
    slice_view()
    panel.click("previewButton")
    panel.apply()
    panel.wait_until(lambda: len(worker.jobs) == 2)
    worker.succeed()
    panel.wait_for_end()
    assert panel.status.startswith("Done")


def test_apply_does_not_go_over_to_another_volume(panel: PanelDriver, worker: FakeWorker) -> None:
    slice_view()
    panel.click("previewButton")
    panel.ui.applyButton.click()
    slicer.mrmlScene.RemoveNode(panel.parameters.inputVolume)
    add_head("Second")
    panel.wait_until(lambda: "start it again" in panel.status)
    assert panel.parameters.inputVolume.GetName() == "Second"
    assert panel.widget.panel.job is None and len(worker.jobs) == 1
    assert panel.ui.applyButton.enabled


def test_apply_does_not_go_over_to_the_next_scene(panel: PanelDriver, worker: FakeWorker) -> None:
    slice_view()
    panel.click("previewButton")
    panel.ui.applyButton.click()
    slicer.mrmlScene.Clear(0)
    add_head("Second")
    panel.wait_until(lambda: not panel.widget.panel.isAtWork)
    assert len(worker.jobs) == 1 and not panel.status
    assert panel.ui.applyButton.enabled


def test_a_preview_says_that_it_has_no_guide(
    panel: PanelDriver, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeModel, "takes_guide", property(lambda model: True))
    slice_view()
    add_head("T1")
    panel.choose("guideSelector", "T1")
    panel.choose_model("MR denoiser")
    panel.click("previewButton")
    worker.succeed()
    panel.wait_until(lambda: panel.ui.previewLabel.text.startswith("Preview of slice"))
    assert "without the guide" in panel.ui.previewLabel.text


def test_the_slice_looked_at_is_on_the_screen(panel: PanelDriver, views: Any) -> None:
    from MedEnhanceSlicer.preview import shownSlice

    assert shownSlice().GetLayoutName() == "Red"
    views.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpYellowSliceView)
    assert shownSlice().GetLayoutName() == "Yellow"
    views.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUp3DView)
    assert shownSlice() is None
    panel.click("previewButton")
    assert "No slice view" in panel.ui.previewLabel.text


def test_a_preview_beside_its_input_leaves_the_input_seen(
    panel: PanelDriver, worker: FakeWorker, views: Any
) -> None:
    result = show(panel, denoised(head()))
    panel.click("compareButton")
    panel.click("previewButton")
    worker.succeed()
    panel.wait_until(lambda: panel.ui.hidePreviewButton.enabled and panel.ui.previewButton.enabled)
    left, right = composite("MedEnhanceBefore"), composite("MedEnhanceAfter")
    assert left.GetBackgroundVolumeID() == head().GetID() and not left.GetForegroundVolumeID()
    shown = slicer.mrmlScene.GetNodeByID(right.GetForegroundVolumeID())
    assert shown.GetName() == "MedEnhance preview"
    panel.click("hidePreviewButton")
    assert right.GetBackgroundVolumeID() == result.GetID() and not right.GetForegroundVolumeID()


def test_hiding_a_preview_leaves_another_comparison_as_it_is(
    panel: PanelDriver, worker: FakeWorker, views: Any
) -> None:
    show(panel, denoised(head()))
    panel.click("compareButton")
    panel.click("compareButton")
    other = add_head("Other patient")
    result = show(panel, denoised(other))
    panel.choose("inputSelector", "Other patient")
    panel.click("previewButton")
    worker.succeed()
    panel.wait_until(lambda: panel.ui.hidePreviewButton.enabled and panel.ui.previewButton.enabled)
    panel.click("compareButton")
    panel.click("hidePreviewButton")
    assert composite("MedEnhanceBefore").GetBackgroundVolumeID() == other.GetID()
    assert composite("MedEnhanceAfter").GetBackgroundVolumeID() == result.GetID()


def test_a_preview_is_told_the_noise_of_the_region(panel: PanelDriver, worker: FakeWorker) -> None:
    _composite, view = slice_view()
    view.SetSliceOffset(4)
    voxels = slicer.util.arrayFromVolume(head())
    voxels[:, :, 20:] += np.random.default_rng(1).normal(0, 200, voxels[:, :, 20:].shape)
    slicer.util.arrayFromVolumeModified(head())
    panel.choose_model("Median")
    told = []
    for extent in (100, 36):
        region = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", f"Region {extent}")
        region.SetSize(extent, 100, 100)
        panel.choose("regionSelector", region.GetName())
        panel.click("previewButton")
        told.append(worker.jobs[-1][3].noise)
        worker.succeed()
        panel.wait_until(lambda: panel.ui.previewButton.enabled)
    assert told[1] < told[0] / 2


def test_a_preview_whose_input_is_removed_says_nothing_more(
    panel: PanelDriver, worker: FakeWorker
) -> None:
    slice_view()
    panel.click("previewButton")
    assert panel.ui.previewLabel.text == "Looking..."
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("Head"))
    panel.wait_until(lambda: not worker.busy)
    assert panel.ui.previewLabel.text == "" and not panel.ui.previewLabel.visible


def test_a_preview_goes_with_its_volume(panel: PanelDriver, worker: FakeWorker) -> None:
    composite, _view = slice_view()
    shown_before = add_head("Shown before")
    composite.SetBackgroundVolumeID(shown_before.GetID())
    composite.SetForegroundVolumeID(head().GetID())
    panel.click("previewButton")
    worker.succeed()
    panel.wait_until(lambda: panel.ui.hidePreviewButton.enabled and panel.ui.previewButton.enabled)
    slicer.mrmlScene.RemoveNode(head())
    assert not panel.ui.previewLabel.visible and not panel.ui.hidePreviewButton.enabled
    assert composite.GetBackgroundVolumeID() == shown_before.GetID()
    assert composite.GetForegroundVolumeID() is None
    assert volumes() == ["Shown before"]


def test_leaving_before_the_run_has_begun(panel: PanelDriver, worker: FakeWorker) -> None:
    slice_view()
    panel.click("previewButton")
    worker.obeys = False
    panel.click("applyButton")
    assert panel.status == "Starting..." and not panel.ui.applyButton.enabled
    panel.leave()
    worker.obeys = True
    worker.cancel()
    panel.wait_until(lambda: not worker.busy)
    panel.enter()
    assert panel.status == "The module was left before the run began; start it again."
    assert len(worker.jobs) == 1
    assert panel.ui.applyButton.enabled and not panel.ui.progressBar.visible


def test_a_preview_without_slices_says_so(panel: PanelDriver) -> None:
    panel.click("previewButton")
    assert "No slice view" in panel.ui.previewLabel.text


def test_leaving_during_a_preview_leaves_nothing(panel: PanelDriver, worker: FakeWorker) -> None:
    composite, _view = slice_view()
    panel.click("previewButton")
    panel.leave()
    panel.wait_until(lambda: not worker.busy)
    assert composite.GetForegroundVolumeID() is None
    assert volumes() == ["Head"]


def slice_view() -> tuple[Any, Any]:
    """A red slice view through the middle of the head: its layers and its plane."""
    bounds = np.zeros(6)
    slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")[0].GetRASBounds(bounds)
    scene = slicer.mrmlScene
    view = scene.AddNewNodeByClass("vtkMRMLSliceNode", "Red")
    view.SetLayoutName("Red")
    view.SetOrientation("Axial")
    view.SetSliceOffset((bounds[4] + bounds[5]) / 2)
    return scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode", "Red"), view
