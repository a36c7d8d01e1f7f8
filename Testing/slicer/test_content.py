"""Whether a result still holds what the run has made, and what was measured of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
from MedEnhanceSlicer.blending import Blend, blendable
from MedEnhanceSlicer.resultNode import ResultNode
from MedEnhanceSlicer.resultNotes import measuresNote
from MedEnhanceSlicer.segmentTable import labelmapOf

from MedEnhanceLib.result import Measure
from Testing.slicer.grids import add_volume
from Testing.slicer.results import denoised, segmented
from Testing.slicer.saving import through_bundle, turned

DICE = (Measure("Dice of Anterior hippocampus", None, 0.9),)


def erase(node: Any) -> None:
    """Take the lowest slice of the first segment away."""
    segment = node.GetSegmentation().GetNthSegment(0)
    voxels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, first_id(node))
    lowest = np.nonzero(voxels == segment.GetLabelValue())[0].min()
    voxels[lowest][voxels[lowest] == segment.GetLabelValue()] = 0
    segment.Modified()


def first_id(node: Any) -> str:
    return str(node.GetSegmentation().GetNthSegmentID(0))


def draw_over(node: Any) -> None:
    """What a user draws into the same segmentation, over all of the run's segments."""
    image = slicer.vtkOrientedImageData()
    image.DeepCopy(labelmapOf(node.GetSegmentation().GetNthSegment(0)))
    image.GetPointData().GetScalars().Fill(1)
    drawn = slicer.vtkSegment()
    drawn.SetName("Drawn")
    drawn.AddRepresentation("Binary labelmap", image)
    node.GetSegmentation().AddSegment(drawn, "Drawn")


def test_a_volume_that_another_module_wrote_into_is_told(scene: Any) -> None:
    result = ResultNode(denoised(add_volume()))
    assert blendable(result) and measuresNote(result) == ""
    slicer.util.arrayFromVolume(result.node)[0] = 0
    slicer.util.arrayFromVolumeModified(result.node)
    assert not blendable(result)
    assert "was changed since the run" in measuresNote(result)


def test_another_strength_is_no_change_of_others(scene: Any, tmp_path: Path) -> None:
    result = ResultNode(denoised(add_volume()))
    result.referenceMeasures = DICE
    Blend(result).apply(0.5)
    assert not result.isChanged and result.referenceMeasures == []
    through_bundle(scene, tmp_path)
    result = ResultNode(slicer.util.getNode("Head denoised"))
    assert blendable(result) and result.strength == 0.5


def test_segments_that_were_edited_are_told(scene: Any) -> None:
    result = ResultNode(segmented(add_volume()))
    result.referenceMeasures = DICE
    assert result.referenceMeasures == list(DICE) and measuresNote(result) == ""
    erase(result.node)
    assert result.referenceMeasures == []
    assert "was changed since the run" in measuresNote(result)
    result.referenceMeasures = DICE
    assert result.referenceMeasures == list(DICE), "measured since"
    result.node.GetSegmentation().RemoveSegment(first_id(result.node))
    assert result.referenceMeasures == [] and result.isChanged


def test_saving_moving_and_drawing_over_it_change_nothing(scene: Any, tmp_path: Path) -> None:
    node = add_volume()
    results = segmented(node), denoised(node)
    draw_over(results[0])
    for result in results:
        turned(scene, result)
        result.HardenTransform()
        assert not ResultNode(result).isChanged
    ResultNode(results[0]).referenceMeasures = DICE
    through_bundle(scene, tmp_path)
    assert slicer.util.getNode("Head segmentation").GetSegmentation().GetNumberOfSegments() == 3
    for name in ("Head segmentation", "Head denoised"):
        assert not ResultNode(slicer.util.getNode(name)).isChanged
    loaded = slicer.util.getNode("Head segmentation")
    assert ResultNode(loaded).referenceMeasures == list(DICE)
    erase(loaded)
    assert ResultNode(loaded).isChanged
