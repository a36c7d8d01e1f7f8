"""Region and guide in the panel: what they mean is told, and they reach the process."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import slicer
import vtk

from Testing.gui.driver import OpenPanel, PanelDriver
from Testing.gui.fakes import FakeWorker, catalog
from Testing.gui.standins.pythonqt import unwrap
from Testing.gui.volumes import add_head
from Testing.slicer.saving import sheared

SHAPE_KJI = (24, 40, 40)


@pytest.fixture
def panel(open_panel: OpenPanel, worker: FakeWorker) -> PanelDriver:
    from MedEnhanceSlicer.jobs import JobRunner

    import MedEnhance

    add_head(shape=SHAPE_KJI)
    return open_panel(MedEnhance.MedEnhanceLogic(JobRunner(worker), catalog()))


def add_region(center: Any = (20, 20, 12), size: Any = (20, 18, 8)) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Region")
    node.SetCenter(*center)
    node.SetSize(*size)
    return node


def test_only_the_region_reaches_the_process(panel: PanelDriver, worker: FakeWorker) -> None:
    assert not panel.ui.regionTextLabel.visible
    add_region()
    panel.choose("regionSelector", "Region")
    assert panel.ui.regionTextLabel.text == "Works on 21 x 19 x 9 of 40 x 40 x 24 voxels."
    panel.apply()
    assert worker.jobs[-1][0].voxels.shape == (9, 19, 21)
    worker.succeed()
    panel.wait_for_end()
    made = slicer.util.getNode("Head denoised (AI-processed)")
    assert slicer.util.arrayFromVolume(made).shape == (9, 19, 21)
    panel.choose("regionSelector", "Whole volume")
    assert not panel.ui.regionTextLabel.visible
    panel.apply()
    assert worker.jobs[-1][0].voxels.shape == SHAPE_KJI


def test_a_region_that_is_moved_is_judged_anew(panel: PanelDriver) -> None:
    region = add_region()
    panel.choose("regionSelector", "Region")
    assert panel.ui.applyButton.enabled
    region.SetCenter(500, 20, 12)
    panel.wait_until(lambda: not panel.ui.applyButton.enabled)
    assert "lies beside 'Head'" in panel.ui.suitabilityLabel.text
    assert not panel.ui.regionTextLabel.visible
    region.SetCenter(20, 20, 12)
    panel.wait_until(lambda: panel.ui.applyButton.enabled)
    slicer.mrmlScene.RemoveNode(region)
    panel.wait_until(lambda: panel.parameters.region is None)
    assert panel.ui.applyButton.enabled


def test_a_volume_that_is_moved_is_judged_anew(panel: PanelDriver) -> None:
    """As the banner advises: harden the transform."""
    head = slicer.util.getNode("Head")
    head.SetAndObserveTransformNodeID(bent().GetID())
    panel.wait_until(lambda: not panel.ui.applyButton.enabled)
    assert "under the non-linear transform 'Bent'" in panel.ui.suitabilityLabel.text
    head.HardenTransform()
    panel.wait_until(lambda: panel.ui.applyButton.enabled)
    head.SetSpacing(9, 9, 9)
    panel.wait_until(lambda: "9 x 9 x 9 mm lies outside" in panel.ui.suitabilityLabel.text)
    head.SetSpacing(1, 1, 1)
    panel.wait_until(lambda: "suits this volume" in panel.ui.suitabilityLabel.text)
    slicer.util.arrayFromVolume(head)[...] = 7
    slicer.util.arrayFromVolumeModified(head)
    panel.wait_until(lambda: "have the value 7" in panel.ui.suitabilityLabel.text)


def bent() -> Any:
    """A transform that is not linear, though it hardly moves anything."""
    spline = vtk.vtkThinPlateSplineTransform()
    points, moved = vtk.vtkPoints(), vtk.vtkPoints()
    for place in np.random.default_rng(0).uniform(0, 40, (8, 3)):
        points.InsertNextPoint(place)
        moved.InsertNextPoint(place + 0.1)
    moved.SetPoint(0, 1, 2, 3)
    spline.SetSourceLandmarks(points)
    spline.SetTargetLandmarks(moved)
    spline.SetBasisToR()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "Bent")
    node.SetAndObserveTransformToParent(spline)
    return node


def test_a_new_region_lies_over_the_middle_of_the_volume(panel: PanelDriver) -> None:
    region = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Region")
    selector = unwrap(panel.ui.regionSelector)
    selector.setCurrentNode(region)
    selector.nodeAddedByUser.emit(region)
    panel.wait_until(lambda: panel.ui.regionTextLabel.text.startswith("Works on 20 x 20 x 12"))
    center = [0.0, 0.0, 0.0]
    region.GetCenter(center)
    assert np.allclose(center, (19.5, 19.5, 11.5))


def test_the_target_grid_is_that_of_the_region(panel: PanelDriver) -> None:
    add_region()
    panel.choose("regionSelector", "Region")
    panel.choose_task("Super-resolution")
    panel.choose("resolutionComboBox", "Factor")
    panel.set_number("factorKSpinBox", 2)
    assert "21 x 19 x 18 voxels" in panel.ui.targetLabel.text


def test_a_guide_reaches_the_process(panel: PanelDriver, worker: FakeWorker) -> None:
    add_head("T1", shape=SHAPE_KJI)
    panel.choose("guideSelector", "T1")
    assert not panel.ui.regionTextLabel.visible
    panel.apply()
    worker.succeed()
    panel.wait_for_end()
    guide = worker.guides[-1]
    assert guide is not None and guide.voxels.shape == SHAPE_KJI
    panel.choose_task("Segment")
    assert not panel.ui.guideSelector.visible
    panel.apply()
    worker.succeed()
    panel.wait_for_end()
    assert worker.guides[-1] is None


def test_the_guide_is_never_the_output(panel: PanelDriver, worker: FakeWorker) -> None:
    add_head("T1", shape=SHAPE_KJI)
    panel.choose("guideSelector", "T1")
    panel.choose("outputVolumeSelector", "T1")
    panel.click("applyButton")
    assert "The output is the guide" in panel.status
    assert not worker.jobs


def test_a_guide_that_cannot_help_is_told(panel: PanelDriver) -> None:
    far = add_head("Far", shape=SHAPE_KJI)
    far.SetOrigin(300, 0, 0)
    panel.choose("guideSelector", "Far")
    assert "'Far' lies beside the volume" in panel.ui.regionTextLabel.text
    assert "#e69f00" in panel.ui.regionTextLabel.styleSheet
    panel.choose("guideSelector", "Head")
    assert "the volume itself" in panel.ui.regionTextLabel.text
    sheared(slicer.mrmlScene, far)
    panel.choose("guideSelector", "Far")
    assert "shear; register 'Far' rigidly" in panel.ui.regionTextLabel.text
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
    panel.choose("guideSelector", "Empty")
    assert "'Empty' holds no voxels" in panel.ui.regionTextLabel.text
    panel.choose("guideSelector", "None")
    assert not panel.ui.regionTextLabel.visible


def test_an_input_without_voxels_does_not_stop_the_panel(panel: PanelDriver) -> None:
    """As when a scene is loaded whose files were moved."""
    add_region()
    panel.choose("regionSelector", "Region")
    add_head("T1", shape=SHAPE_KJI)
    panel.choose("guideSelector", "T1")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
    panel.choose("inputSelector", "Empty")
    panel.leave()
    panel.enter()
    assert "'Empty' holds no voxels" in panel.ui.suitabilityLabel.text
    assert not panel.ui.applyButton.enabled
