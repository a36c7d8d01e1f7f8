"""A node that holds a result is filled with that of another image: nothing names the former one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from MedEnhanceSlicer import outputs
from MedEnhanceSlicer.bridge import volumeFromNode
from MedEnhanceSlicer.evidenceTable import storeTable
from MedEnhanceSlicer.resultNode import ResultNode

from MedEnhanceLib.result import Measure, Result
from MedEnhanceLib.task import Task
from Testing.slicer.grids import add_volume


def unsure(node: Any, noise: float, output: Any = None) -> Any:
    """A result of denoising with an uncertainty."""
    volume = volumeFromNode(node)
    measures = (Measure("Noise", noise, 4.0),)
    result = Result(Task.DENOISE, volume, measures, {"model": "mr-denoise"}, uncertainty=volume)
    name = outputs.outputName(node, result.task, [result.provenance])
    return outputs.storeResult(result, node, name, output)


@pytest.fixture
def former(scene: Any, tmp_path: Path) -> Any:
    """A result of patient A, saved, with its uncertainty and its table."""
    output = unsure(add_volume("A"), noise=10.0)
    for node in (output, ResultNode(output).uncertaintyNode):
        node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(str(tmp_path / f"{node.GetName()}.nrrd"))
    storeTable(ResultNode(output))
    return output


def test_neither_the_node_nor_its_map_names_the_image_before(scene: Any, former: Any) -> None:
    unsure(add_volume("B"), 20.0, former)
    beside = ResultNode(former).uncertaintyNode
    assert former.GetName() == "B denoised (filtered)"
    assert beside.GetName() == "B denoised (filtered) uncertainty"
    assert former.GetStorageNode() is None and beside.GetStorageNode() is None
    assert scene.GetNumberOfNodesByClass("vtkMRMLVolumeArchetypeStorageNode") == 0


def test_the_table_of_the_image_before_stays_as_it_was(scene: Any, former: Any) -> None:
    unsure(add_volume("B"), 20.0, former)
    made = storeTable(ResultNode(former))
    kept = scene.GetFirstNodeByName("A denoised (filtered) evidence")
    assert made.GetName() == "B denoised (filtered) evidence"
    assert [node.GetTable().GetValue(0, 1).ToDouble() for node in (kept, made)] == [10.0, 20.0]


def test_a_result_of_the_same_image_keeps_file_map_and_table(scene: Any, former: Any) -> None:
    result = ResultNode(former)
    kept = (former.GetStorageNode(), result.uncertaintyNode, storeTable(result))
    unsure(result.inputNode, 20.0, former)
    assert (former.GetStorageNode(), result.uncertaintyNode, storeTable(result)) == kept
