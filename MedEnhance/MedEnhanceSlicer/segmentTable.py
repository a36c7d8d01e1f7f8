"""The segments of a result: how large, where, and whether their surface is shown."""

from dataclasses import dataclass

import numpy as np
import slicer

from .bridge import displayOf


@dataclass(frozen=True)
class Segment:
    """One segment as a list shows it; the colour from 0 to 255, the volume in millilitres."""

    id: str
    name: str
    color: tuple
    ml: float


def segmentsOf(node):
    """The segments of a segmentation node, as they are now."""
    segmentation = node.GetSegmentation()
    counted = {}
    return [
        Segment(
            segmentID,
            segmentation.GetSegment(segmentID).GetName(),
            tuple(round(255 * c) for c in segmentation.GetSegment(segmentID).GetColor()),
            volumeMl(node, segmentID, counted),
        )
        for segmentID in segmentation.GetSegmentIDs()
    ]


def volumeMl(node, segmentID, counted):
    """Voxel count times voxel volume; a parent transform's scale is left out.

    :param counted: what was counted before, since a hundred segments may share one label map.
    """
    count = sliceCounts(node, segmentID, counted).sum()
    labelmap = labelmapOf(node.GetSegmentation().GetSegment(segmentID))
    return float(count * np.prod(labelmap.GetSpacing()) / 1000.0) if count else 0.0


def sliceCounts(node, segmentID, counted):
    """How many voxels a segment has in each slice of its label map.

    :param counted: as for `volumeMl`.
    """
    segment = node.GetSegmentation().GetSegment(segmentID)
    labelmap = labelmapOf(segment)
    if labelmap is None or labelmap.GetNumberOfPoints() == 0:
        return np.zeros(0, int)
    if labelmap not in counted:
        voxels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, segmentID)
        counted[labelmap] = voxelCounts(voxels)
    counts, value = counted[labelmap], segment.GetLabelValue()
    isThere = 0 <= value < counts.shape[1]
    return counts[:, value] if isThere else np.zeros(len(counts), int)


def labelmapOf(segment):
    """A segment's label map, perhaps shared with others, or None."""
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    return segment.GetRepresentation(name)


def voxelCounts(voxels):
    """How many voxels each label value has in each slice: (slices, values)."""
    length = int(voxels.max(initial=0)) + 1
    return np.array([np.bincount(np.maximum(s, 0).ravel(), minlength=length) for s in voxels])


def centreOf(node, segmentID):
    """RAS millimetres in the world of a segment's centre; None when it has no voxel."""
    centre = node.GetSegmentCenterRAS(segmentID)
    return None if centre is None else tuple(centre)


def surfaceIsShown(node):
    display = node.GetDisplayNode()
    return display is not None and bool(display.GetVisibility3D()) and hasSurface(node)


def hasSurface(node):
    return bool(node.GetSegmentation().ContainsRepresentation(surfaceName()))


def showSurface(node, shown):
    """Show the smoothed surface in the 3D views, making it when it is not there yet, or hide it."""
    if shown and not hasSurface(node):
        node.CreateClosedSurfaceRepresentation()
    displayOf(node).SetVisibility3D(shown)


def surfaceName():
    return slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
