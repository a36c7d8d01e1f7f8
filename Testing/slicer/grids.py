"""Volume nodes on all kinds of grids that scanners and converters produce."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SHAPE_KJI = (5, 6, 7)


def rotation(axis: tuple[float, float, float], degrees: float) -> NDArray[np.float64]:
    """3x3 rotation matrix."""
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def matrix(
    axes: NDArray[np.float64],
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> NDArray[np.float64]:
    """4x4 from index to RAS millimetres."""
    result = np.eye(4)
    result[:3, :3] = axes * np.array(spacing)
    result[:3, 3] = origin
    return result


PERMUTED = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])

GRIDS = {
    "plain": matrix(np.eye(3)),
    "oblique": matrix(rotation((1, 2, 3), 37), (0.9, 1.1, 2.3), (-81.5, 12.25, 40.0)),
    "flipped": matrix(np.diag([-1.0, -1.0, 1.0]), (1, 1, 3), (100, 80, -60)),
    "permuted": matrix(PERMUTED, (0.5, 0.75, 1.25), (1, 2, 3)),
    "anisotropic": matrix(np.eye(3), (0.43, 0.43, 6.5), (-110, -90, 33)),
    "left-handed": matrix(
        np.diag([1.0, 1.0, -1.0]) @ rotation((0, 0, 1), 20), (1, 2, 3), (5, 6, 7)
    ),
}


def add_volume(
    name: str = "Head",
    ijk_to_ras: NDArray[np.float64] | None = None,
    shape: tuple[int, int, int] = SHAPE_KJI,
    dtype: str = "int16",
) -> Any:
    """A scalar volume node with different voxels everywhere."""
    import slicer

    voxels = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    grid = GRIDS["oblique"] if ijk_to_ras is None else ijk_to_ras
    return slicer.util.addVolumeFromArray(voxels, grid, name)


def bent_transform() -> Any:
    """A transform that no matrix tells."""
    import slicer
    import vtk

    warp = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "Warp")
    spline = vtk.vtkThinPlateSplineTransform()
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for point in ((0, 0, 0), (90, 0, 0), (0, 90, 0), (0, 0, 90), (90, 90, 90)):
        source.InsertNextPoint(point)
        target.InsertNextPoint(point[0], point[1] + point[0] ** 2 / 400, point[2])
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    spline.SetBasisToR()
    warp.SetAndObserveTransformToParent(spline)
    return warp


def world_point(node: Any, index: tuple[float, float, float]) -> NDArray[np.float64]:
    """RAS millimetres of a voxel index, through the node's parent transforms."""
    import slicer
    import vtk

    ijk_to_ras = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(ijk_to_ras)
    to_world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        node.GetParentTransformNode(), None, to_world
    )
    return np.array(to_world.TransformPoint(ijk_to_ras.MultiplyPoint((*index, 1.0))[:3]))


def corners(shape: tuple[int, int, int]) -> list[tuple[float, float, float]]:
    """Indices (i, j, k) of the outermost voxel centres."""
    k, j, i = (n - 1 for n in shape)
    return [(a, b, c) for a in (0, i) for b in (0, j) for c in (0, k)]
