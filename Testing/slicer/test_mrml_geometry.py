"""Volumes come back from the library exactly in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from MedEnhanceSlicer import bridge, outputs

from MedEnhanceLib.errors import VolumeError
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.result import Result
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Volume
from Testing.slicer.grids import (
    GRIDS,
    SHAPE_KJI,
    add_volume,
    bent_transform,
    corners,
    matrix,
    rotation,
    world_point,
)

TOLERANCE_MM = 1e-4


def denoised(node: Any) -> Any:
    """The input given back as the result of denoising."""
    volume = bridge.volumeFromNode(node)
    result = Result(Task.DENOISE, volume.with_voxels(volume.voxels + 1))
    return outputs.storeResult(result, node, "Head denoised")


def assert_in_place(node: Any, other: Any, shape: tuple[int, int, int] = SHAPE_KJI) -> None:
    for index in corners(shape):
        distance = np.abs(world_point(node, index) - world_point(other, index)).max()
        assert distance < TOLERANCE_MM, index


@pytest.mark.parametrize("grid", GRIDS)
def test_round_trip_keeps_every_corner_in_place(scene: Any, grid: str) -> None:
    node = add_volume(ijk_to_ras=GRIDS[grid])
    output = denoised(node)
    assert_in_place(node, output)
    assert np.array_equal(
        slicer.util.arrayFromVolume(output), slicer.util.arrayFromVolume(node) + 1
    )


@pytest.mark.parametrize("grid", GRIDS)
def test_library_sees_the_same_points_in_lps(scene: Any, grid: str) -> None:
    node = add_volume(ijk_to_ras=GRIDS[grid])
    geometry = bridge.volumeFromNode(node).geometry
    for index in corners(SHAPE_KJI):
        ras = world_point(node, index)
        assert np.abs(geometry.to_world(index) - ras * [-1, -1, 1]).max() < TOLERANCE_MM


@pytest.mark.parametrize("shape", [(1, 6, 7), (5, 1, 7), (5, 6, 1), (1, 1, 1)])
def test_single_slices_come_back_in_place(scene: Any, shape: tuple[int, int, int]) -> None:
    node = add_volume(shape=shape)
    assert_in_place(node, denoised(node), shape)


def linear_transform(scene: Any, values: Any, parent: Any = None) -> Any:
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Registration")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(values))
    node.SetAndObserveTransformNodeID(parent.GetID() if parent else None)
    return node


def test_output_lies_under_the_same_parent_transform(scene: Any) -> None:
    node = add_volume()
    outer = linear_transform(scene, matrix(rotation((0, 1, 0), 30), (1, 1, 1), (10, -20, 5)))
    inner = linear_transform(
        scene, matrix(rotation((1, 0, 0), -12), (1, 1.1, 0.9), (1, 2, 3)), outer
    )
    node.SetAndObserveTransformNodeID(inner.GetID())
    output = denoised(node)
    assert output.GetTransformNodeID() == inner.GetID()
    assert_in_place(node, output)


def test_non_linear_parent_is_refused_with_advice(scene: Any) -> None:
    node = add_volume()
    node.SetAndObserveTransformNodeID(bent_transform().GetID())
    with pytest.raises(
        VolumeError, match=r"'Head' is under the non-linear transform 'Warp'; harden"
    ):
        bridge.volumeFromNode(node)


def test_super_resolution_keeps_the_field_of_view(scene: Any) -> None:
    node = add_volume(ijk_to_ras=GRIDS["oblique"])
    volume = bridge.volumeFromNode(node)
    fine = volume.geometry.refined((1, 1, 3))
    result = Result(Task.SUPER_RESOLUTION, Volume(np.zeros(fine.shape, np.float32), fine))
    output = outputs.storeResult(result, node, "Head super-resolved")
    k = SHAPE_KJI[0]
    for ij in ((0, 0), (6, 5)):
        assert np.allclose(
            world_point(node, (*ij, -0.5)), world_point(output, (*ij, -0.5)), atol=TOLERANCE_MM
        )
        assert np.allclose(
            world_point(node, (*ij, k - 0.5)),
            world_point(output, (*ij, 3 * k - 0.5)),
            atol=TOLERANCE_MM,
        )


def test_an_extent_that_does_not_start_at_zero_is_honoured(scene: Any) -> None:
    node = add_volume()
    image = vtk.vtkImageData()
    image.DeepCopy(node.GetImageData())
    image.SetExtent(2, 8, 3, 8, 4, 8)
    node.SetAndObserveImageData(image)
    geometry = bridge.geometryFromNode(node)
    expected = world_point(node, (2, 3, 4)) * [-1, -1, 1]
    assert np.abs(geometry.to_world((0, 0, 0)) - expected).max() < TOLERANCE_MM


def test_sheared_axes_are_refused(scene: Any) -> None:
    sheared = matrix(np.eye(3))
    sheared[0, 2] = 0.3
    node = add_volume(ijk_to_ras=sheared)
    node.SetIJKToRASDirections(1, 0, 0.3, 0, 1, 0, 0, 0, 0.95)
    with pytest.raises(VolumeError, match="not perpendicular"):
        bridge.volumeFromNode(node)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("bool", "uint8"), ("int64", "int32"), ("float16", "float32"), ("uint16", "uint16")],
)
def test_voxel_types_that_slicer_lacks_are_converted(scene: Any, dtype: str, expected: str) -> None:
    node = add_volume()
    geometry = Geometry((4, 3, 2))
    result = Result(Task.DENOISE, Volume(np.ones((2, 3, 4), dtype), geometry))
    output = outputs.storeResult(result, node, "Head denoised")
    assert slicer.util.arrayFromVolume(output).dtype == expected


@pytest.mark.parametrize("large", [2**31, -(2**31) - 1])
def test_whole_numbers_that_slicer_lacks_become_floats(large: int) -> None:
    voxels = bridge.nodeVoxels(np.array([0, large]))
    assert voxels.dtype == np.float64 and voxels[1] == large
