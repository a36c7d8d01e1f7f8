"""A part of a volume: the smallest box of its own voxels that holds a region of interest.

The region is a box that the user draws (vtkMRMLMarkupsROINode). It may be oblique to the volume,
and both may be under transforms. Nothing is resampled: the box is cut along the volume's voxels, so
an oblique region brings some voxels around it along.
"""

from dataclasses import replace

import numpy as np
import slicer

from MedEnhanceLib.assessment import modality_of
from MedEnhanceLib.errors import VolumeError

from .bridge import (
    RAS_TO_LPS,
    checkLinear,
    checkNode,
    geometryFromNode,
    lpsBetween,
    volumeFromNode,
)

LEAST_IN_PLANE = 16
EDGE_TOLERANCE = 1e-3
UNIT_CORNERS = np.array(np.meshgrid(*[(-0.5, 0.5)] * 3)).reshape(3, -1).T


def volumeInRegion(node, region=None):
    """The voxels of a volume node inside a region; all of them without one.

    :param node: vtkMRMLScalarVolumeNode.
    :param region: vtkMRMLMarkupsROINode, or None.
    :return: the library's Volume, on the cut-out grid; shares memory with the node.
    :raises VolumeError: when the node is no image, or the region lies beside it or is too small.
    """
    volume = volumeFromNode(node)
    return volume if region is None else cutOut(volume, boxOfRegion(region, node))


def cutOut(volume, box):
    """A box of a Volume, given as by `boxOfRegion`; of the kind that the whole one is."""
    # A part of a CT without air cannot be told from MR by its values.
    volume = replace(volume, modality=modality_of(volume))
    start, size = box
    i, j, k = (slice(s, s + n) for s, n in zip(start, size, strict=True))
    return volume.with_voxels(volume.voxels[..., k, j, i], volume.geometry.cropped(start, size))


def geometryInRegion(node, region=None):
    """The grid of `volumeInRegion`."""
    geometry = geometryFromNode(node)
    return geometry if region is None else geometry.cropped(*boxOfRegion(region, node))


def boxOfRegion(region, node):
    """The smallest box of voxels that holds a region, as far as the volume reaches.

    :return: first voxel and number of voxels, each (i, j, k); voxel 0 is the first that is stored.
    :raises VolumeError: when the region lies beside the volume or is too small.
    """
    corners = cornersInVolume(region, node)
    return boxAround(corners, region, geometryFromNode(node), node.GetName())


def boxAround(corners, region, geometry, name):
    """As `boxOfRegion`, of a region whose corners are known.

    :param corners: as by `cornersInVolume`.
    :param geometry: the volume's grid.
    :param name: what the user calls the volume.
    """
    corners = geometry.to_index(corners)
    # Voxel n reaches from n - 0.5 to n + 0.5; an edge that only touches it does not take it in.
    first = np.floor(corners.min(axis=0) + 0.5 + EDGE_TOLERANCE).astype(int)
    last = np.ceil(corners.max(axis=0) - 0.5 - EDGE_TOLERANCE).astype(int)
    first, last = np.maximum(first, 0), np.minimum(last, np.array(geometry.size) - 1)
    size = last - first + 1
    if (size < 1).any():
        raise VolumeError(
            f"The region '{region.GetName()}' lies beside '{name}'; move it onto the volume, or "
            "choose no region."
        )
    checkSize(region, size, geometry)
    return tuple(first.tolist()), tuple(size.tolist())


def cornersInVolume(region, node):
    """The region's corners, (8, 3), in LPS millimetres of the volume's own untransformed grid."""
    checkRegion(region)
    checkLinear(node)
    objectToNode = slicer.util.arrayFromVTKMatrix(region.GetObjectToNodeMatrix())
    matrix = lpsBetween(region, node) @ RAS_TO_LPS @ objectToNode
    return UNIT_CORNERS * np.array(region.GetSize()) @ matrix[:3, :3].T + matrix[:3, 3]


def checkRegion(region):
    """Raise VolumeError when the node is no box in space."""
    checkNode(region, "region")
    name = region.GetName()
    if not region.IsA("vtkMRMLMarkupsROINode"):
        raise VolumeError(f"'{name}' is a {region.GetClassName()}, not a region of interest (ROI).")
    if min(region.GetSize()) <= 0:
        raise VolumeError(f"The region '{name}' has no size yet; draw it in a slice view first.")
    parent = region.GetParentTransformNode()
    if parent is not None and not parent.IsTransformToWorldLinear():
        raise VolumeError(
            f"The region '{name}' is under the non-linear transform '{parent.GetName()}'; harden "
            "the transform, or take the region out of it."
        )


def checkSize(region, size, geometry):
    """Raise VolumeError when a box is too small to make sense of; few slices are allowed."""
    narrow = [n < min(LEAST_IN_PLANE, whole) for n, whole in zip(size, geometry.size, strict=True)]
    if sum(narrow) > 1:
        counts = " x ".join(str(n) for n in size)
        raise VolumeError(
            f"The region '{region.GetName()}' holds only {counts} voxels; draw it at least "
            f"{LEAST_IN_PLANE} voxels wide along two axes."
        )


def fitRegion(region, node):
    """Lay a region over the middle of a volume, along its axes and half as wide."""
    geometry = geometryFromNode(node)
    objectToNode = np.eye(4)
    axes = RAS_TO_LPS[:3, :3] @ np.array(geometry.direction)
    # A region's axes are right-handed, and a box looks the same either way.
    axes[:, 2] *= np.sign(np.linalg.det(axes))
    objectToNode[:3, :3] = axes
    middle = geometry.to_world((np.array(geometry.size) - 1) / 2)
    objectToNode[:3, 3] = RAS_TO_LPS[:3, :3] @ middle
    region.SetAndObserveTransformNodeID(node.GetTransformNodeID())
    region.SetSize(*(extent / 2 for extent in geometry.extent))
    region.SetAndObserveObjectToNodeMatrix(slicer.util.vtkMatrixFromArray(objectToNode))


def lieApart(node, other):
    """Whether two volumes surely show different places: their boxes have nothing in common.

    Both parent transforms are taken into account. False when that cannot be told.
    """
    parents = [volume.GetParentTransformNode() for volume in (node, other)]
    if any(parent is not None and not parent.IsTransformToWorldLinear() for parent in parents):
        return False
    toNode = lpsBetween(other, node)
    source, target = geometryFromNode(other), geometryFromNode(node)
    corners = source.to_world((UNIT_CORNERS + 0.5) * np.array(source.size) - 0.5)
    indices = target.to_index(corners @ toNode[:3, :3].T + toNode[:3, 3])
    isBeyond = indices.min(axis=0) > np.array(target.size) - 0.5
    return bool((isBeyond | (indices.max(axis=0) < -0.5)).any())
