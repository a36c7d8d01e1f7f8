"""A region of interest: which voxels it takes in, and where the result lies."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from MedEnhanceSlicer import region as regions

from MedEnhanceLib.errors import VolumeError
from Testing.slicer.grids import (
    GRIDS,
    add_volume,
    bent_transform,
    matrix,
    rotation,
    world_point,
)

SHAPE_KJI = (20, 40, 36)
EYE = np.eye(3)


def add_region(
    center: Any, size: Any, axes: np.ndarray = EYE, name: str = "Region", parent: Any = None
) -> Any:
    """A region by its centre and size in RAS millimetres of its parent, turned about its centre."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    node.SetSize(*[float(s) for s in size])
    placed = np.eye(4)
    placed[:3, :3] = axes
    placed[:3, 3] = center
    node.SetAndObserveObjectToNodeMatrix(slicer.util.vtkMatrixFromArray(placed))
    node.SetAndObserveTransformNodeID(parent.GetID() if parent is not None else None)
    return node


def add_transform(values: np.ndarray, parent: Any = None) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Placed")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(values))
    node.SetAndObserveTransformNodeID(parent.GetID() if parent is not None else None)
    return node


def voxels_inside(region: Any, node: Any, reach: float = 0.5) -> np.ndarray:
    """Voxels (k, j, i) whose cell holds a point of the region, found by trying many points."""
    steps = np.linspace(-0.4999, 0.4999, 41)
    unit = np.array(np.meshgrid(steps, steps, steps)).reshape(3, -1)
    to_world = vtk.vtkMatrix4x4()
    region.GetParentTransformNode() and region.GetParentTransformNode().GetMatrixTransformToWorld(
        to_world
    )
    object_to_world = slicer.util.arrayFromVTKMatrix(to_world) @ slicer.util.arrayFromVTKMatrix(
        region.GetObjectToNodeMatrix()
    )
    points = object_to_world @ np.vstack(
        [unit * np.array(region.GetSize())[:, None], np.ones(unit.shape[1])]
    )
    origin = world_point(node, (0, 0, 0))
    axes = np.array([world_point(node, tuple(e)) - origin for e in np.eye(3)]).T
    indices = np.linalg.solve(axes, points[:3] - origin[:, None])
    return np.floor(indices + 0.5).astype(int)


def expected_box(region: Any, node: Any) -> tuple[Any, Any]:
    indices = voxels_inside(region, node)
    size = np.array(SHAPE_KJI[::-1])
    first = np.maximum(indices.min(axis=1), 0)
    last = np.minimum(indices.max(axis=1), size - 1)
    return tuple(first.tolist()), tuple((last - first + 1).tolist())


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("axes", [EYE, rotation((1, 2, 3), 40)], ids=["straight", "oblique"])
def test_the_smallest_box_that_holds_the_region(scene: Any, grid: str, axes: np.ndarray) -> None:
    node = add_volume(ijk_to_ras=GRIDS[grid], shape=SHAPE_KJI)
    spacing = np.linalg.norm(GRIDS[grid][:3, :3], axis=0)
    center = world_point(node, (18.2, 20.4, 9.1))
    region = add_region(center, 19.3 * np.array([1, 1, 1]) * spacing.max(), axes)
    assert regions.boxOfRegion(region, node) == expected_box(region, node)


def test_a_region_on_voxel_edges_takes_no_voxel_more(scene: Any) -> None:
    node = add_volume(ijk_to_ras=matrix(EYE, (0.7, 0.7, 3.1), (5, 6, 7)), shape=SHAPE_KJI)
    low, high = (np.array(world_point(node, ijk)) for ijk in ((1.5, 3.5, 4.5), (19.5, 25.5, 9.5)))
    region = add_region((low + high) / 2, high - low)
    assert regions.boxOfRegion(region, node) == ((2, 4, 5), (18, 22, 5))


def test_a_region_as_large_as_the_volume_is_the_whole(scene: Any) -> None:
    node = add_volume(ijk_to_ras=GRIDS["oblique"], shape=SHAPE_KJI)
    region = add_region(world_point(node, (18, 20, 10)), (900, 900, 900))
    assert regions.boxOfRegion(region, node) == ((0, 0, 0), SHAPE_KJI[::-1])
    assert regions.geometryInRegion(node, region).is_close(regions.geometryInRegion(node))


def test_both_parent_transforms_count(scene: Any) -> None:
    outer = add_transform(matrix(rotation((0, 1, 0), 30), origin=(10, -20, 5)))
    inner = add_transform(matrix(rotation((1, 0, 0), -12), (1, 1.1, 0.9), (1, 2, 3)), outer)
    other = add_transform(matrix(rotation((0, 0, 1), 77), (1.2, 1, 1), (-4, 0, 9)))
    node = add_volume(ijk_to_ras=GRIDS["permuted"], shape=SHAPE_KJI)
    node.SetAndObserveTransformNodeID(inner.GetID())
    to_world = vtk.vtkMatrix4x4()
    other.GetMatrixTransformToWorld(to_world)
    to_other = np.linalg.inv(slicer.util.arrayFromVTKMatrix(to_world))
    center = (to_other @ [*world_point(node, (17, 21, 10)), 1])[:3]
    region = add_region(center, (17, 18, 16), rotation((3, 1, 2), 25), parent=other)
    box = regions.boxOfRegion(region, node)
    assert box == expected_box(region, node)
    assert box != ((0, 0, 0), SHAPE_KJI[::-1])


def test_the_cut_out_voxels_stay_in_place(scene: Any) -> None:
    node = add_volume(ijk_to_ras=GRIDS["oblique"], shape=SHAPE_KJI)
    region = add_region(world_point(node, (18, 20, 9)), (18, 20, 12))
    (i, j, k), size = regions.boxOfRegion(region, node)
    volume = regions.volumeInRegion(node, region)
    assert volume.voxels.shape == size[::-1]
    whole = slicer.util.arrayFromVolume(node)
    assert volume.voxels[0, 0, 0] == whole[k, j, i]
    expected = world_point(node, (i, j, k)) * [-1, -1, 1]
    assert np.abs(volume.geometry.to_world((0, 0, 0)) - expected).max() < 1e-4


def test_an_extent_that_does_not_start_at_zero_is_honoured(scene: Any) -> None:
    node = add_volume(ijk_to_ras=GRIDS["flipped"], shape=SHAPE_KJI)
    region = add_region(world_point(node, (18, 20, 9)), (18, 20, 12))
    box = regions.boxOfRegion(region, node)
    image = vtk.vtkImageData()
    image.DeepCopy(node.GetImageData())
    image.SetExtent(2, 37, 3, 42, 4, 23)
    node.SetAndObserveImageData(image)
    start = tuple(s - e for s, e in zip(box[0], (2, 3, 4), strict=True))
    assert regions.boxOfRegion(region, node) == (start, box[1])


def test_regions_that_cannot_be_used_are_refused_in_words(scene: Any) -> None:
    node = add_volume(ijk_to_ras=GRIDS["plain"], shape=SHAPE_KJI)
    refused = {
        "'Far' lies beside 'Head'": add_region((500, 0, 0), (20, 20, 20), name="Far"),
        "'Tiny' holds only 5 x 5 x 20": add_region((18, 20, 10), (4, 4, 20), name="Tiny"),
        "'New' has no size yet": scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "New"),
        "not a region of interest": node,
        "'R' is no region": "R",
        "non-linear transform 'Warp'": add_region((18, 20, 10), (20,) * 3, parent=bent_transform()),
    }
    refused["'New' has no size yet"].SetSize(0, 0, 0)
    for sentence, region in refused.items():
        with pytest.raises(VolumeError, match=sentence):
            regions.boxOfRegion(region, node)


@pytest.mark.parametrize("thin", [0, 1, 2])
def test_a_slab_is_allowed_along_any_axis(scene: Any, thin: int) -> None:
    node = add_volume(ijk_to_ras=GRIDS["plain"], shape=SHAPE_KJI)
    size = [18.0, 18.0, 18.0]
    size[thin] = 2.0
    region = add_region(world_point(node, (18, 20, 9)), size)
    assert regions.boxOfRegion(region, node)[1][thin] == 3


def test_a_single_thick_slice_is_allowed(scene: Any) -> None:
    node = add_volume(ijk_to_ras=GRIDS["anisotropic"], shape=SHAPE_KJI)
    region = add_region(world_point(node, (18, 20, 9)), (10, 10, 6))
    assert regions.boxOfRegion(region, node)[1][2] == 1


def test_volumes_that_lie_apart(scene: Any) -> None:
    node = add_volume(ijk_to_ras=GRIDS["oblique"], shape=SHAPE_KJI)
    near, far = (add_volume("Other", GRIDS["oblique"].copy(), SHAPE_KJI) for _ in range(2))
    x, y, z = far.GetOrigin()
    far.SetOrigin(x + 300, y, z)
    assert not regions.lieApart(node, near)
    assert regions.lieApart(node, far)
    back = add_transform(matrix(EYE, origin=(-300, 0, 0)))
    far.SetAndObserveTransformNodeID(back.GetID())
    assert not regions.lieApart(node, far)
    near.SetAndObserveTransformNodeID(back.GetID())
    assert regions.lieApart(node, near)


def test_a_filter_works_on_the_region_alone(scene: Any, logic: Any) -> None:
    node = add_volume(ijk_to_ras=GRIDS["oblique"], shape=SHAPE_KJI, dtype="float32")
    region = add_region(world_point(node, (18, 20, 9)), (18, 20, 12), rotation((0, 0, 1), 20))
    (i, j, k), size = box = regions.boxOfRegion(region, node)
    before = slicer.util.arrayFromVolume(node).copy()
    output = logic.process(node, "denoise", model="filter-median", region=region)
    assert slicer.util.arrayFromVolume(output).shape == size[::-1]
    assert np.abs(world_point(output, (0, 0, 0)) - world_point(node, (i, j, k))).max() < 1e-4
    written = json.loads(output.GetAttribute("MedEnhance.Region"))
    assert (tuple(written["start_ijk"]), tuple(written["size_ijk"])) == box
    assert np.array_equal(slicer.util.arrayFromVolume(node), before)
    whole = logic.process(node, "denoise", model="filter-median")
    assert whole.GetAttribute("MedEnhance.Region") is None
    inner = slicer.util.arrayFromVolume(whole)[
        k + 2 : k + size[2] - 2, j + 2 : j + size[1] - 2, i + 2 : i + size[0] - 2
    ]
    assert np.allclose(slicer.util.arrayFromVolume(output)[2:-2, 2:-2, 2:-2], inner)


def test_segments_of_a_region_lie_where_they_would(scene: Any, logic: Any) -> None:
    node = add_volume(ijk_to_ras=GRIDS["flipped"], shape=SHAPE_KJI, dtype="float32")
    voxels = np.zeros(SHAPE_KJI, np.float32)
    voxels[5:17, 9:32, 8:28] = 50
    voxels[8:13, 15:25, 14:22] = 200
    slicer.util.updateVolumeFromArray(node, voxels)
    region = add_region(world_point(node, (18, 20, 10)), (24, 26, 40))
    (i, j, k), size = regions.boxOfRegion(region, node)
    part = slicer.util.addVolumeFromArray(
        voxels[k : k + size[2], j : j + size[1], i : i + size[0]].copy(), name="Part"
    )
    part.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(GRIDS["flipped"]))
    part.SetOrigin(world_point(node, (i, j, k)))
    found = [
        in_voxels_of(node, logic.process(node, "segment", model="filter-otsu", region=region)),
        in_voxels_of(node, logic.process(part, "segment", model="filter-otsu")),
    ]
    assert found[0].any() and np.array_equal(*found)


def in_voxels_of(node: Any, segmentation: Any) -> np.ndarray:
    """The first segment, on the grid of a volume node."""
    segment_id = segmentation.GetSegmentation().GetNthSegmentID(0)
    found = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, node)
    return np.array(found > 0)


def test_a_bad_region_stops_before_anything_runs(scene: Any, logic: Any) -> None:
    node = add_volume(ijk_to_ras=GRIDS["plain"], shape=SHAPE_KJI)
    with pytest.raises(VolumeError, match="lies beside"):
        logic.process(node, "denoise", region=add_region((900, 0, 0), (20, 20, 20)))
    assert not logic.runner.busy
