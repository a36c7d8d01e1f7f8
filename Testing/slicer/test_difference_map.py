"""Maps of the removed signal and of the uncertainty, as nodes beside the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from MedEnhanceSlicer import differenceMap, resultMaps
from MedEnhanceSlicer.resultNode import ResultNode, worldPoint

from MedEnhanceLib.errors import VolumeError
from Testing.slicer.grids import add_volume, world_point
from Testing.slicer.results import cloned, denoised, segmented, super_resolved
from Testing.slicer.saving import through_bundle, turned
from Testing.slicer_scene import subject_hierarchy


def test_the_removed_signal_is_input_minus_output(scene: Any) -> None:
    node = add_volume()
    result = ResultNode(denoised(node))
    removed = differenceMap.showRemovedSignal(result)
    expected = slicer.util.arrayFromVolume(node) - slicer.util.arrayFromVolume(result.node)
    assert np.allclose(slicer.util.arrayFromVolume(removed), expected)
    display = removed.GetScalarVolumeDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (-30.0, 30.0)
    assert result.node.GetNodeReference("MedEnhance.Removed") is removed
    assert "Head" in removed.GetName() and "removed signal" in removed.GetName()


def test_it_is_made_once_and_brought_up_to_date(scene: Any) -> None:
    result = ResultNode(denoised(add_volume()))
    removed = differenceMap.showRemovedSignal(result)
    slicer.util.arrayFromVolume(result.node)[...] = 0
    assert differenceMap.showRemovedSignal(result) is removed
    before = slicer.util.arrayFromVolume(result.inputNode)
    assert np.array_equal(slicer.util.arrayFromVolume(removed), before)
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 3


def test_a_map_that_lost_its_display_is_shown_again(scene: Any) -> None:
    result = ResultNode(denoised(add_volume()))
    removed = differenceMap.showRemovedSignal(result)
    scene.RemoveNode(removed.GetDisplayNode())
    differenceMap.showRemovedSignal(result)
    assert removed.GetDisplayNode().GetColorNode().GetName() == differenceMap.DIVERGING


def test_it_lies_on_the_patient_in_the_same_study(scene: Any) -> None:
    node = add_volume()
    transform = turned(scene, node)
    hierarchy = subject_hierarchy()
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.CreateItem(study, node)
    removed = differenceMap.showRemovedSignal(ResultNode(denoised(node)))
    assert removed.GetTransformNodeID() == transform.GetID()
    assert np.allclose(world_point(removed, (1, 2, 3)), world_point(node, (1, 2, 3)))
    assert np.allclose(worldPoint(removed, (1, 2, 3)), world_point(node, (1, 2, 3)))
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(removed)) == study


def test_maps_follow_a_result_that_is_moved_later(scene: Any) -> None:
    node = add_volume()
    result = ResultNode(denoised(node))
    removed = differenceMap.showRemovedSignal(result)
    sharp = ResultNode(super_resolved(node))
    for each in (result, sharp):
        turned(scene, each.node)
    differenceMap.showRemovedSignal(result)
    differenceMap.showUncertainty(sharp)
    assert np.allclose(world_point(removed, (1, 2, 3)), world_point(result.node, (1, 2, 3)))
    sharp.node.HardenTransform()
    unsure = differenceMap.showUncertainty(sharp)
    assert np.allclose(world_point(unsure, (1, 2, 3)), world_point(sharp.node, (1, 2, 3)))


def test_colours_diverge_and_are_made_once(scene: Any) -> None:
    node = differenceMap.colorNode(scene, differenceMap.DIVERGING)
    assert differenceMap.colorNode(scene, differenceMap.DIVERGING) is node
    color = [0.0] * 4
    shades = []
    for index in (0, 127, 255):
        node.GetColor(index, color)
        shades.append(np.array(color[:3]))
    below, nothing, above = shades
    assert below[2] > 0.9 and above[0] > 0.9
    assert nothing.max() < 0.12


def test_the_uncertainty_is_shown_from_zero(scene: Any) -> None:
    result = ResultNode(super_resolved(add_volume()))
    node = differenceMap.showUncertainty(result)
    assert node is result.uncertaintyNode
    display = node.GetScalarVolumeDisplayNode()
    assert display.GetWindowLevelMin() == 0.0 and display.GetWindowLevelMax() > 0
    assert display.GetColorNode().GetName() == differenceMap.SEQUENTIAL
    (spot,) = differenceMap.spotsOf(node)[:1]
    assert np.abs(np.array(spot.index) - (3, 2, 1)).max() <= 1


def test_what_has_no_removed_signal(scene: Any) -> None:
    node = add_volume()
    assert not differenceMap.hasRemovedSignal(ResultNode(super_resolved(node)))
    assert not differenceMap.hasRemovedSignal(ResultNode(segmented(node)))
    assert differenceMap.showUncertainty(ResultNode(super_resolved(node, unsure=False))) is None
    result = ResultNode(denoised(node))
    assert differenceMap.hasRemovedSignal(result)
    scene.RemoveNode(node)
    assert not differenceMap.hasRemovedSignal(result)


def test_maps_go_with_the_result_that_is_replaced(scene: Any) -> None:
    node = add_volume()
    output = super_resolved(node)
    unsure = ResultNode(output).uncertaintyNode
    denoised(node, output=output)
    assert not scene.IsNodePresent(unsure)
    removed = differenceMap.showRemovedSignal(ResultNode(output))
    super_resolved(node, output=output)
    assert not scene.IsNodePresent(removed)
    unsure = ResultNode(output).uncertaintyNode
    super_resolved(node, output=output)
    assert ResultNode(output).uncertaintyNode is unsure


def test_a_map_goes_with_its_result_but_a_clone_of_the_map_stays(
    scene: Any, tmp_path: Path
) -> None:
    differenceMap.showRemovedSignal(ResultNode(denoised(add_volume())))
    through_bundle(scene, tmp_path)
    result = ResultNode(scene.GetFirstNodeByName("Head denoised"))
    removed = differenceMap.removedNode(result)
    clone = cloned(removed)
    scene.RemoveNode(result.node)
    resultMaps.removeMapsWithoutResult(scene, resultMaps.REMOVED_REFERENCE_ROLE)
    assert not scene.IsNodePresent(removed) and scene.IsNodePresent(clone)


def test_a_map_is_refused_as_output(scene: Any) -> None:
    node = add_volume()
    removed = differenceMap.showRemovedSignal(ResultNode(denoised(node)))
    with pytest.raises(VolumeError, match="'Head denoised removed signal' is a map"):
        denoised(node, output=removed)
    clone = cloned(removed)
    assert denoised(node, output=clone) is clone


def test_the_map_and_its_colours_survive_a_scene_bundle(scene: Any, tmp_path: Path) -> None:
    node = add_volume()
    differenceMap.showRemovedSignal(ResultNode(denoised(node)))
    through_bundle(scene, tmp_path)
    result = ResultNode(scene.GetFirstNodeByName("Head denoised"))
    removed = differenceMap.removedNode(result)
    display = removed.GetScalarVolumeDisplayNode()
    assert display.GetColorNode().GetName() == differenceMap.DIVERGING
    assert display.GetWindowLevelMax() == pytest.approx(30.0)
    assert differenceMap.showRemovedSignal(result) is removed
    assert len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == 3
