"""A result measured against a reference node, wherever that lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import slicer
from MedEnhanceSlicer.referenceComparison import pairsOf, stepsOf
from MedEnhanceSlicer.resultNode import ResultNode

from MedEnhanceLib.errors import VolumeError
from MedEnhanceLib.quality.comparison import finished
from Testing.slicer.grids import SHAPE_KJI, add_volume
from Testing.slicer.results import denoised, segmented, super_resolved
from Testing.slicer.saving import turned


def values(result: Any, reference: Any) -> dict[str, float]:
    return {m.name: m.after for m in finished(stepsOf(ResultNode(result), reference))}


def test_what_lies_in_the_same_place_is_compared(scene: Any) -> None:
    node = add_volume()
    transform = turned(scene, node)
    result, truth = denoised(node), add_volume("Truth")
    with pytest.raises(VolumeError, match="not on the grid"):
        values(result, truth)
    truth.SetAndObserveTransformNodeID(transform.GetID())
    slicer.util.arrayFromVolume(truth)[...] //= 2
    found = values(result, truth)
    assert found["RMSE against the reference"] < 0.6
    before = finished(stepsOf(ResultNode(result), truth))[0].before
    assert before is not None and before < found["PSNR against the reference"]


def test_a_finer_result_is_compared_without_its_input(scene: Any) -> None:
    result = super_resolved(add_volume())
    truth = slicer.util.addVolumeFromArray(slicer.util.arrayFromVolume(result).copy(), None, "Fine")
    truth.CopyOrientation(result)
    psnr = finished(stepsOf(ResultNode(result), truth))[0]
    assert psnr.before is None and np.isinf(psnr.after)


def test_the_result_itself_and_nothing_are_refused(scene: Any) -> None:
    result = ResultNode(denoised(add_volume()))
    with pytest.raises(VolumeError, match="the result itself"):
        stepsOf(result, result.node)
    with pytest.raises(VolumeError, match="No reference is chosen"):
        stepsOf(result, None)


def test_segments_on_another_grid_are_resampled(scene: Any) -> None:
    node = add_volume(ijk_to_ras=np.eye(4))
    fine = add_volume("Fine", np.diag([0.5, 0.5, 0.5, 1.0]), (10, 12, 14))
    fine.SetOrigin(-0.25, -0.25, -0.25)
    voxels = np.zeros(SHAPE_KJI, np.uint8)
    voxels[1:4, 1:4, 1:3] = 1
    fine_voxels = voxels.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
    result, reference = segmented(node, voxels), segmented(fine, fine_voxels)
    found = values(result, reference)
    assert found["Dice of Anterior hippocampus"] > 0.9
    assert abs(found["Volume error of Anterior hippocampus"]) < 10


def test_a_label_map_is_matched_by_value(scene: Any) -> None:
    node = add_volume()
    result = segmented(node)
    labels = np.zeros(SHAPE_KJI, np.uint8)
    labels[1:4, 1:4, 1:3] = 1
    reference = slicer.util.addVolumeFromArray(labels, None, "L", "vtkMRMLLabelMapVolumeNode")
    with pytest.raises(VolumeError, match="'L' is not on the grid"):
        values(result, reference)
    reference.CopyOrientation(node)
    found = values(result, reference)
    assert found["Dice of Anterior hippocampus"] == 1
    assert not any("Posterior" in name for name in found)


def test_a_label_value_that_several_segments_have_means_none_of_them(scene: Any) -> None:
    """Slicer gives a segment on a layer of its own the value 1, whatever it had."""
    result = segmented(add_volume())
    segmentation = result.GetSegmentation()
    values_of = [segmentation.GetNthSegment(n).GetLabelValue() for n in range(2)]
    labels = np.zeros(SHAPE_KJI, np.uint8)
    labels.flat[:2] = values_of
    reference = slicer.util.addVolumeFromArray(labels, None, "L", "vtkMRMLLabelMapVolumeNode")
    assert [key for _n, _s, key in pairsOf(result, reference)] == values_of
    segmentation.GetNthSegment(1).SetLabelValue(values_of[0])
    assert pairsOf(result, reference) == []


def test_a_label_map_that_was_moved_is_not_on_the_grid(scene: Any) -> None:
    node = add_volume()
    result = segmented(node)
    labels = np.ones(SHAPE_KJI, np.uint8)
    reference = slicer.util.addVolumeFromArray(labels, None, "L", "vtkMRMLLabelMapVolumeNode")
    reference.CopyOrientation(node)
    transform = turned(scene, reference)
    with pytest.raises(VolumeError, match="'L' is not on the grid"):
        stepsOf(ResultNode(result), reference)
    node.SetAndObserveTransformNodeID(transform.GetID())
    result.SetAndObserveTransformNodeID(transform.GetID())
    assert 0 < values(result, reference)["Dice of Anterior hippocampus"] < 1


def test_a_label_map_without_voxels_is_told(scene: Any) -> None:
    result = segmented(add_volume())
    reference = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "L")
    with pytest.raises(VolumeError, match="'L' holds no voxels"):
        stepsOf(ResultNode(result), reference)


def test_segments_are_matched_by_name_or_when_they_are_alone(scene: Any) -> None:
    node = add_volume()
    result, reference = segmented(node), segmented(node)
    assert [name for name, _s, _k in pairsOf(result, reference)] == [
        "Anterior hippocampus",
        "Posterior hippocampus",
    ]
    for i in range(2):
        reference.GetSegmentation().GetNthSegment(i).SetName(f"Other {i}")
    with pytest.raises(VolumeError, match="rename its segments"):
        stepsOf(ResultNode(result), reference)
    for segmentation in (result.GetSegmentation(), reference.GetSegmentation()):
        segmentation.RemoveSegment(segmentation.GetNthSegmentID(1))
    assert values(result, reference)["Dice of Anterior hippocampus"] == 1


def test_without_the_input_there_is_no_grid(scene: Any) -> None:
    node = add_volume()
    result, reference = segmented(node), segmented(node)
    scene.RemoveNode(node)
    with pytest.raises(VolumeError, match="no longer in the scene"):
        stepsOf(ResultNode(result), reference)
