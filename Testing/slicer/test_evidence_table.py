"""Segments and measures as lists and as nodes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from MedEnhanceSlicer import evidenceTable, segmentTable
from MedEnhanceSlicer.resultNode import ResultNode, resultNodes

from MedEnhanceLib.result import Measure
from Testing.slicer.grids import GRIDS, SHAPE_KJI, add_volume, world_point
from Testing.slicer.results import cloned, denoised, segmented, super_resolved
from Testing.slicer.saving import through_bundle, turned


def test_segments_have_names_colours_and_volumes(scene: Any) -> None:
    node = segmented(add_volume(ijk_to_ras=GRIDS["anisotropic"]))
    anterior, posterior = segmentTable.segmentsOf(node)
    assert (anterior.name, anterior.color) == ("Anterior hippocampus", (230, 159, 0))
    voxel_ml = 0.43 * 0.43 * 6.5 / 1000
    assert anterior.ml == pytest.approx(18 * voxel_ml)
    assert posterior.ml == pytest.approx(27 * voxel_ml)


def test_voxels_that_segments_share_are_read_once(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the hundred segments of a whole body the panel would stand still otherwise."""
    node = segmented(add_volume())
    read = slicer.util.arrayFromSegmentInternalBinaryLabelmap
    asked: list[str] = []

    def reading(segmentation: Any, segment: str) -> Any:
        asked.append(segment)
        return read(segmentation, segment)

    monkeypatch.setattr(slicer.util, "arrayFromSegmentInternalBinaryLabelmap", reading)
    assert len(segmentTable.segmentsOf(node)) == 2
    assert len(asked) == 1


def test_the_centre_of_a_segment_is_in_the_world(scene: Any) -> None:
    node = add_volume()
    turned(scene, node)
    output = segmented(node)
    posterior = segmentTable.segmentsOf(output)[1]
    centre = segmentTable.centreOf(output, posterior.id)
    assert np.abs(np.array(centre) - world_point(node, (4, 2, 2))).max() < 1.2


def test_surfaces_are_smooth_and_can_be_hidden(scene: Any) -> None:
    node = segmented(add_volume())
    assert segmentTable.surfaceIsShown(node)
    assert float(node.GetSegmentation().GetConversionParameter("Smoothing factor")) == 0.5
    segmentTable.showSurface(node, False)
    assert not segmentTable.surfaceIsShown(node)
    node.GetSegmentation().RemoveRepresentation(segmentTable.surfaceName())
    segmentTable.showSurface(node, True)
    assert segmentTable.surfaceIsShown(node) and segmentTable.hasSurface(node)


def test_nothing_found_makes_an_empty_list(scene: Any) -> None:
    assert segmentTable.segmentsOf(segmented(add_volume(), np.zeros(SHAPE_KJI, np.uint8))) == []


def column(node: Any, name: str) -> list[Any]:
    values = node.GetTable().GetColumnByName(name)
    return [values.GetValue(i) for i in range(values.GetNumberOfValues())]


def test_the_evidence_becomes_a_table_node_once(scene: Any) -> None:
    result = ResultNode(denoised(add_volume()))
    result.referenceMeasures = [Measure("PSNR", 20.0, 28.5, "dB", "more is better")]
    node = evidenceTable.storeTable(result)
    assert column(node, "Measure") == ["Noise", "PSNR"]
    assert column(node, "After") == [4.0, 28.5]
    assert column(node, "Unit") == ["", "dB"]
    assert evidenceTable.storeTable(result) is node
    assert len(slicer.util.getNodesByClass("vtkMRMLTableNode")) == 1


def test_a_clone_has_a_table_of_its_own(scene: Any) -> None:
    result = ResultNode(denoised(add_volume()))
    table = evidenceTable.storeTable(result)
    clone = ResultNode(cloned(result.node))
    assert evidenceTable.storeTable(clone) is not table
    assert evidenceTable.storeTable(result) is table


def test_segment_volumes_are_in_the_table(scene: Any) -> None:
    node = evidenceTable.storeTable(ResultNode(segmented(add_volume())))
    assert "Segment Anterior hippocampus" in column(node, "Measure")
    assert math.isnan(column(node, "Before")[0])


def test_results_are_known_again_after_loading(scene: Any, tmp_path: Path) -> None:
    node = add_volume()
    denoised(node)
    segmented(node)
    super_resolved(node)
    through_bundle(scene, tmp_path)
    found = [ResultNode(n) for n in resultNodes(scene)]
    assert {str(r.task) for r in found} == {"denoise", "segment", "super-resolution"}
    for result in found:
        assert result.inputNode.GetName() == "Head"
        assert result.measures
    scene.RemoveNode(found[0].inputNode)
    assert all(result.inputNode is None for result in found)
