"""The slab around the slice in view, on real MRML nodes under transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import slicer
from MedEnhanceSlicer import preview
from MedEnhanceSlicer.bridge import volumeFromNode

from MedEnhanceLib import Geometry, Volume
from MedEnhanceLib.assessment import modality_of
from MedEnhanceLib.catalog import Catalog
from MedEnhanceLib.errors import UnsuitableError, VolumeError
from MedEnhanceLib.volume import Label, LabelMap

DIRECTIONS = np.array([[0, 0, 1.0], [-1.0, 0, 0], [0, -1.0, 0]])
"""A sagittal volume: k runs to the right."""


@pytest.fixture
def node(scene: Any) -> Any:
    matrix = np.eye(4)
    matrix[:3, :3] = DIRECTIONS * (1.0, 1.0, 3.0)
    matrix[:3, 3] = (-20, 30, 10)
    voxels = np.random.default_rng(0).integers(1, 200, (14, 30, 40)).astype(np.int16)
    return slicer.util.addVolumeFromArray(voxels, slicer.util.vtkMatrixFromArray(matrix), "Head")


def view(offset: float, orientation: str = "Sagittal") -> Any:
    made = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode", "Yellow")
    made.SetLayoutName("Yellow")
    made.SetOrientation(orientation)
    matrix = made.GetSliceToRAS()
    axis = {"Sagittal": 0, "Coronal": 1, "Axial": 2}[orientation]
    matrix.SetElement(axis, 3, offset)
    made.UpdateMatrices()
    return made


@pytest.mark.parametrize("slice_number", [0, 5, 13])
def test_the_slice_that_is_shown_is_found(node: Any, slice_number: int) -> None:
    assert preview.crossing(node, view(-20 + 3 * slice_number)) == (0, slice_number)


def test_other_planes_cross_other_axes(node: Any) -> None:
    # Coronal: y falls with i, from 30; axial: z falls with j, from 10.
    assert preview.crossing(node, view(30 - 7, "Coronal")) == (2, 7)
    assert preview.crossing(node, view(10 - 4, "Axial")) == (1, 4)


def test_a_parent_transform_moves_the_slice(node: Any) -> None:
    shift = np.eye(4)
    shift[0, 3] = 6.0
    parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(shift))
    node.SetAndObserveTransformNodeID(parent.GetID())
    assert preview.crossing(node, view(-20 + 6 + 3 * 5)) == (0, 5)


def test_a_slice_beside_the_volume_is_told(node: Any) -> None:
    with pytest.raises(VolumeError, match="lies beside 'Head'"):
        preview.crossing(node, view(200))


def test_what_is_no_slice_view_is_refused(node: Any) -> None:
    for other in (node, "Red"):
        with pytest.raises(VolumeError, match="is no slice view; give a vtkMRMLSliceNode"):
            preview.crossing(node, other)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slab_lies_where_it_was_cut(node: Any, axis: int) -> None:
    volume = volumeFromNode(node)
    slab = preview.cutSlab(volume, axis, 4, 6)
    assert slab.voxels.shape[axis] == 3
    corner = [0, 0, 0]
    corner[2 - axis] = 4
    np.testing.assert_allclose(
        slab.geometry.to_world(np.zeros((1, 3))), volume.geometry.to_world(np.array([corner]))
    )


def test_a_slab_of_a_ct_stays_one(scene: Any) -> None:
    """Without air its values could be those of MR."""
    voxels = np.full((12, 20, 20), -1000, np.int16)
    voxels[4:8] = 40
    slab = preview.cutSlab(Volume(voxels, Geometry((20, 20, 12), (1, 1, 1))), 0, 4, 7)
    assert slab.voxels.min() == 40
    assert modality_of(slab) == "CT"


def test_the_preview_is_neither_listed_nor_saved(node: Any) -> None:
    before = slicer.util.arrayFromVolume(node).copy()
    composite = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    composite.SetBackgroundVolumeID(node.GetID())
    layers = preview.Layers()
    layers.remember(node)
    shown = preview.showPreview(preview.cutSlab(volumeFromNode(node), 0, 4, 6), node)
    assert shown.GetHideFromEditors() and not shown.GetSaveWithScene()
    assert composite.GetForegroundVolumeID() == shown.GetID()
    layers.restore()
    assert composite.GetBackgroundVolumeID() == node.GetID()
    assert not composite.GetForegroundVolumeID()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeDisplayNode") <= 1
    assert np.array_equal(slicer.util.arrayFromVolume(node), before)


def test_what_is_chosen_over_a_preview_stays(node: Any) -> None:
    composite = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    composite.SetBackgroundVolumeID(node.GetID())
    layers = preview.Layers()
    layers.remember(node)
    preview.showPreview(preview.cutSlab(volumeFromNode(node), 0, 4, 6), node)
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Loaded later")
    composite.SetBackgroundVolumeID(other.GetID())
    layers.restore()
    assert composite.GetBackgroundVolumeID() == other.GetID()
    assert not composite.GetForegroundVolumeID()


def test_a_preview_takes_the_place_of_one_of_the_other_kind(node: Any) -> None:
    composite = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    before = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Mine")
    composite.SetLabelVolumeID(before.GetID())
    layers = preview.Layers()
    layers.remember(node)
    slab = preview.cutSlab(volumeFromNode(node), 0, 4, 6)
    labels = LabelMap((slab.voxels > 100).astype(np.uint8), slab.geometry, (Label(1, "Bright"),))
    for _ in range(2):
        shown = preview.showPreview(labels, node)
        assert composite.GetLabelVolumeID() == shown.GetID()
        assert composite.GetLabelOpacity() > 0
        assert not composite.GetForegroundVolumeID() or composite.GetForegroundOpacity() == 0
        shown = preview.showPreview(slab, node)
        assert shown.GetClassName() == "vtkMRMLScalarVolumeNode"
        assert composite.GetForegroundVolumeID() == shown.GetID()
        assert composite.GetForegroundOpacity() == 1
        assert composite.GetLabelOpacity() == 0
    layers.restore()
    assert composite.GetLabelVolumeID() == before.GetID()
    assert not composite.GetForegroundVolumeID()


def test_a_view_that_the_preview_was_taken_off_stays_as_it_is(node: Any) -> None:
    composite = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Other patient")
    for volume in (composite.SetBackgroundVolumeID, composite.SetForegroundVolumeID):
        volume(other.GetID())
    layers = preview.Layers()
    layers.remember(node)
    preview.showPreview(preview.cutSlab(volumeFromNode(node), 0, 4, 6), node)
    composite.SetForegroundVolumeID(None)
    layers.restore()
    assert composite.GetBackgroundVolumeID() == node.GetID()
    assert not composite.GetForegroundVolumeID()


def test_models_that_need_everything_have_no_preview() -> None:
    model = Catalog.default().find("mr-hippocampus-unet")
    with pytest.raises(UnsuitableError, match="needs to see the whole volume"):
        preview.checkModel(model)


def test_a_preview_after_the_scene_was_closed(scene: Any) -> None:
    """The hidden node, a singleton, stays, but not what displays it."""
    image = Volume(np.ones((3, 4, 5), np.float32), Geometry((5, 4, 3)))
    for _ in range(2):
        head = slicer.util.addVolumeFromArray(np.ones((3, 4, 5)), name="Head")
        shown = preview.showPreview(image, head)
        assert shown.GetDisplayNode() is not None and not shown.GetDisplayNode().GetSaveWithScene()
        scene.Clear(0)
