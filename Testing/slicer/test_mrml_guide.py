"""A guide's place relative to its input, and the uncertainty beside its result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import slicer
from MedEnhanceSlicer import bridge, outputs, resultMaps

from MedEnhanceLib.errors import VolumeError
from MedEnhanceLib.result import Result
from MedEnhanceLib.task import Task
from Testing.slicer.grids import GRIDS, add_volume, bent_transform, matrix, rotation
from Testing.slicer.saving import sheared
from Testing.slicer_scene import subject_hierarchy


def under(node: Any, name: str, to_parent: np.ndarray) -> None:
    """Put a node under a new linear transform."""
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(to_parent))
    node.SetAndObserveTransformNodeID(transform.GetID())


def test_a_guide_without_transforms_keeps_its_place(scene: Any) -> None:
    node, guide = add_volume(), add_volume("Guide", GRIDS["flipped"])
    placed = bridge.guideFromNode(guide, node)
    assert placed.geometry.is_close(bridge.volumeFromNode(guide).geometry)


def test_both_parent_transforms_place_the_guide(scene: Any) -> None:
    """A voxel of the guide must be as far from the input's voxels as it is on the screen."""
    node, guide = add_volume(), add_volume("Guide", GRIDS["anisotropic"])
    of_input = matrix(rotation((0, 0, 1), 30), origin=(5, -8, 2))
    of_guide = matrix(rotation((1, 0, 0), -12), origin=(-20, 4, 7))
    under(node, "OfInput", of_input)
    under(guide, "OfGuide", of_guide)
    placed = bridge.guideFromNode(guide, node)
    index = np.array([2.0, 3.0, 1.0])
    on_screen = of_guide @ GRIDS["anisotropic"] @ [*index, 1]
    in_input = np.linalg.inv(of_input) @ on_screen
    expected = in_input[:3] * [-1, -1, 1]
    np.testing.assert_allclose(placed.geometry.to_world(index), expected, atol=1e-6)


def test_a_guide_under_a_transform_that_shears_is_told_with_the_way_out(scene: Any) -> None:
    node, guide = add_volume(), add_volume("Guide")
    sheared(scene, guide)
    with pytest.raises(VolumeError, match="'Guide' and 'Head' shear; register 'Guide' rigidly"):
        bridge.guideFromNode(guide, node)


@pytest.mark.parametrize("bent", ["Head", "Guide"])
def test_neither_may_be_under_a_transform_that_bends(scene: Any, bent: str) -> None:
    node, guide = add_volume(), add_volume("Guide")
    scene.GetFirstNodeByName(bent).SetAndObserveTransformNodeID(bent_transform().GetID())
    with pytest.raises(VolumeError, match=f"'{bent}' is under the non-linear transform"):
        bridge.guideFromNode(guide, node)


def test_uncertainty_lies_beside_its_result(scene: Any) -> None:
    node = add_volume()
    volume = bridge.volumeFromNode(node)
    unsure = volume.with_voxels(np.full(volume.voxels.shape, 2.5, np.float32))
    result = Result(Task.DENOISE, volume, uncertainty=unsure)
    output = outputs.storeResult(result, node, "Head denoised")
    beside = output.GetNodeReference(resultMaps.UNCERTAINTY_REFERENCE_ROLE)
    assert beside.GetName() == "Head denoised uncertainty"
    assert (slicer.util.arrayFromVolume(beside) == 2.5).all()
    assert bridge.volumeFromNode(beside).geometry.is_close(volume.geometry)
    hierarchy = subject_hierarchy()
    parents = [hierarchy.GetItemParent(hierarchy.GetItemByDataNode(n)) for n in (beside, output)]
    assert parents[0] == parents[1]
    again = outputs.storeResult(result, node, "Head denoised", output)
    assert again.GetNodeReference(resultMaps.UNCERTAINTY_REFERENCE_ROLE) is beside


def test_without_uncertainty_there_is_no_second_node(scene: Any) -> None:
    node = add_volume()
    volume = bridge.volumeFromNode(node)
    output = outputs.storeResult(Result(Task.DENOISE, volume), node, "Head denoised")
    assert output.GetNodeReference(resultMaps.UNCERTAINTY_REFERENCE_ROLE) is None
