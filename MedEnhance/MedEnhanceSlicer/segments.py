"""A label map as a segmentation node: segments with names, colours and coded meaning."""

import logging

import numpy as np
import slicer
import vtk

from MedEnhanceLib.errors import VolumeError
from MedEnhanceLib.io.segments import terminology_entry

from .bridge import displayOf, fillVolumeNode

SURFACE_VOXEL_LIMIT = 2_000_000
SURFACE_SMOOTHING = "0.5"
"""Slicer's own default: the steps of voxels go, thin structures stay."""
MADE_TAG = "MedEnhance.Made"
"""Holds the ID of a segment that was made here, and may be replaced; a user may have added others,
and a copy of one, which is the user's own, has another ID."""


def madeSegments(node):
    """The segments of a segmentation node that MedEnhance made, by their IDs."""
    segmentation = node.GetSegmentation()
    segments = {each: segmentation.GetSegment(each) for each in segmentation.GetSegmentIDs()}
    return {each: segment for each, segment in segments.items() if tagOf(segment) == each}


def tagOf(segment):
    """What notes that a segment was made here, or None."""
    tag = vtk.reference("")
    return str(tag) if segment.GetTag(MADE_TAG, tag) else None


def holdsOthers(node):
    """Whether a segmentation node has segments that MedEnhance did not make."""
    return len(madeSegments(node)) < node.GetSegmentation().GetNumberOfSegments()


def fillSegmentationNode(node, labelMap, referenceNode):
    """Replace the segments of a segmentation node by those found in a label map.

    Labels of which no voxel was found get no segment.

    :param node: vtkMRMLSegmentationNode in the scene.
    :param labelMap: the library's LabelMap, on the untransformed grid of ``referenceNode``.
    :param referenceNode: vtkMRMLScalarVolumeNode that was segmented.
    """
    node.GetSegmentation().RemoveAllSegments()
    node.SetReferenceImageGeometryParameterFromVolumeNode(referenceNode)
    found = [int(value) for value in np.unique(labelMap.voxels) if value != 0]
    if not found:
        return
    importLabels(node, labelMap)
    describeSegments(node, {label.value: label for label in labelMap.labels})
    smooth = slicer.vtkBinaryLabelmapToClosedSurfaceConversionRule.GetSmoothingFactorParameterName()
    node.GetSegmentation().SetConversionParameter(smooth, SURFACE_SMOOTHING)
    displayOf(node).SetVisibility3D(True)
    if np.count_nonzero(labelMap.voxels) <= SURFACE_VOXEL_LIMIT:
        node.CreateClosedSurfaceRepresentation()
    else:
        logging.info("MedEnhance: large segmentation, its 3D surface is made on request (Show 3D).")


def importLabels(node, labelMap):
    """Make one segment per label value, through a label map node that is removed again."""
    scene = node.GetScene()
    scratch = scene.CreateNodeByClass("vtkMRMLLabelMapVolumeNode")
    scratch.UnRegister(None)
    scratch.SetName("MedEnhance label map")
    scratch.SetHideFromEditors(True)
    scene.AddNode(scratch)
    parentID = node.GetTransformNodeID()
    node.SetAndObserveTransformNodeID(None)
    try:
        fillVolumeNode(scratch, labelMap)
        imported = slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(
            scratch, node
        )
        if not imported:
            raise VolumeError("Slicer could not make segments of the label map.")
    finally:
        node.SetAndObserveTransformNodeID(parentID)
        scene.RemoveNode(scratch)


def describeSegments(node, labels):
    """Name, colour and code each segment by its label value; note that it was made here."""
    segmentation = node.GetSegmentation()
    for segmentID in list(segmentation.GetSegmentIDs()):
        segment = segmentation.GetSegment(segmentID)
        segment.SetTag(MADE_TAG, segmentID)
        label = labels.get(segment.GetLabelValue())
        if label is None:
            segment.SetName(f"Label {segment.GetLabelValue()}")
            continue
        segment.SetName(label.name)
        segment.SetColor(*(channel / 255.0 for channel in label.color))
        segment.SetTag(segment.GetTerminologyEntryTagName(), terminology_entry(label))
