"""The segments of a result: how large, where, and whether their surface is shown."""

from dataclasses import dataclass

import numpy as np
import slicer


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
    return [
        Segment(
            segmentID,
            segmentation.GetSegment(segmentID).GetName(),
            tuple(round(255 * c) for c in segmentation.GetSegment(segmentID).GetColor()),
            volumeMl(node, segmentID),
        )
        for segmentID in segmentation.GetSegmentIDs()
    ]


def volumeMl(node, segmentID):
    """Voxel count times voxel volume; a parent transform's scale is left out."""
    segment = node.GetSegmentation().GetSegment(segmentID)
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    labelmap = segment.GetRepresentation(name)
    if labelmap is None or labelmap.GetNumberOfPoints() == 0:
        return 0.0
    voxels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, segmentID)
    count = np.count_nonzero(voxels == segment.GetLabelValue())
    return float(count * np.prod(labelmap.GetSpacing()) / 1000.0)


def centreOf(node, segmentID):
    """RAS millimetres in the world of a segment's centre."""
    return tuple(node.GetSegmentCenterRAS(segmentID))


def surfaceIsShown(node):
    display = node.GetDisplayNode()
    return bool(display.GetVisibility3D()) and hasSurface(node)


def hasSurface(node):
    return bool(node.GetSegmentation().ContainsRepresentation(surfaceName()))


def showSurface(node, shown):
    """Show the smoothed surface in the 3D views, making it when it is not there yet, or hide it."""
    if shown and not hasSurface(node):
        node.CreateClosedSurfaceRepresentation()
    node.GetDisplayNode().SetVisibility3D(shown)


def surfaceName():
    return slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
