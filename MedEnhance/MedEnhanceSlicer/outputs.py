"""A result becomes a node: beside its input in the patient, in the study and on the screen."""

import json
import re

import slicer
from slicer.i18n import tr as _

from MedEnhanceLib.errors import VolumeError
from MedEnhanceLib.provenance import Changer, changer_of
from MedEnhanceLib.task import Task

from .bridge import checkNode, copyModality, displayOf, fillVolumeNode, isLabelMap
from .comparison import setBackground
from .content import contentHash
from .history import PROVENANCE_ATTRIBUTE, WARNINGS_ATTRIBUTE, inherit
from .nodes import (
    USE,
    USE_ATTRIBUTE,
    VOLUME,
    forgetFiles,
    forgetSeries,
    isOwn,
    placeInStudy,
    removeNode,
    showsFrames,
)
from .resultMaps import (
    REMOVED_REFERENCE_ROLE,
    TABLE_REFERENCE_ROLE,
    UNCERTAINTY_REFERENCE_ROLE,
    isMap,
    releaseMap,
    removeMap,
    storeUncertainty,
)
from .segments import fillSegmentationNode, holdsOthers

SEGMENTATION = "vtkMRMLSegmentationNode"
INPUT_REFERENCE_ROLE = "MedEnhance.Input"
STRENGTH_ATTRIBUTE = "MedEnhance.Strength"
REFERENCE_ATTRIBUTE = "MedEnhance.ReferenceMeasures"
MEASURED_CONTENT_ATTRIBUTE = "MedEnhance.ReferenceMeasuresOf"
"""Hash of what the node held when it was measured against a reference."""
CONTENT_ATTRIBUTE = "MedEnhance.Content"
"""Hash of what the run, or a change of the strength, has put into the node."""
FIRST_INPUT_ATTRIBUTE = "MedEnhance.FirstInput"
"""Hash of what the first of several steps was given, for a result whose own input was not kept."""
REGION_ATTRIBUTE = "MedEnhance.Region"
"""Which box of the input's voxels a result shows; see `describeRegion`."""
LATER_ATTRIBUTES = (
    STRENGTH_ATTRIBUTE,
    REFERENCE_ATTRIBUTE,
    MEASURED_CONTENT_ATTRIBUTE,
    FIRST_INPUT_ATTRIBUTE,
)
"""What is changed, measured or told of a result afterwards; a new result does not have it."""
DICOM_ATTRIBUTE = "DICOM.instanceUIDs"
"""The images that a volume was loaded from; a result that fills its node did not come from them."""


def outputName(inputNode, task, runs):
    """Name of a result; says what has changed the image, in this run and in those before it.

    :param task: MedEnhanceLib.Task.
    :param runs: the provenance of each run.
    """
    done = doneName(unmarked(inputNode.GetName()), task)
    return markedNames()[changer_of(runs)].format(done=done)


def doneName(name, task):
    """What a task makes of a name."""
    return {
        "denoise": _("{name} denoised"),
        "super-resolution": _("{name} super-resolved"),
        "segment": _("{name} segmentation"),
    }[str(task)].format(name=name)


def markedNames():
    """Names that say what has changed the image; such a name follows what fills its node."""
    return {
        Changer.NETWORK: _("{done} (AI-processed)"),
        Changer.FILTER: _("{done} (filtered)"),
        Changer.NONE: _("{done} (unchanged)"),
    }


def marks():
    return [pattern.format(done="").strip() for pattern in markedNames().values()]


def unmarked(name):
    """A name without the mark at its end, and the number that made it unique."""
    anyMark = "|".join(re.escape(mark) for mark in marks())
    return re.sub(rf"\s*({anyMark})(_\d+)?$", "", name)


def renameMarked(node, name):
    """Rename a node whose name says how an earlier result in it was made; others are the user's."""
    isMarked = any(mark in node.GetName() for mark in marks())
    if isMarked and not node.GetName().startswith(name):
        node.SetName(node.GetScene().GenerateUniqueName(name))


def storeResult(result, inputNode, name, outputNode=None):
    """Put a result into the scene and return its node.

    :param result: MedEnhanceLib.Result.
    :param inputNode: vtkMRMLScalarVolumeNode that was worked on; it is not changed.
    :param name: wanted name of a new node, or of one whose name was made here; made unique.
    :param outputNode: node to fill instead of making a new one.
    """
    scene = inputNode.GetScene()
    checkOutputNode(outputNode, inputNode, result.task)
    isNew = outputNode is None
    former = None if isNew else outputNode.GetNodeReference(INPUT_REFERENCE_ROLE)
    if isNew:
        outputNode = addResultNode(scene, result.task, scene.GenerateUniqueName(name))
    else:
        if former is not inputNode:
            forgetFormer(outputNode)
        if isOwn(outputNode):
            renameMarked(outputNode, name)
    try:
        outputNode.SetAndObserveTransformNodeID(inputNode.GetTransformNodeID())
        placeInStudy(outputNode, inputNode)
        displayOf(outputNode)
        if isLabelMap(result.output):
            fillSegmentationNode(outputNode, result.output, inputNode)
        else:
            fillVolumeNode(outputNode, result.output)
            copyMeaning(outputNode, inputNode)
            copyAppearance(outputNode, inputNode)
        describe(outputNode, inputNode, result)
        outputNode.SetAttribute(CONTENT_ATTRIBUTE, contentHash(outputNode))
        removeMap(outputNode, REMOVED_REFERENCE_ROLE)
        if result.uncertainty is None or former is not inputNode:
            removeMap(outputNode, UNCERTAINTY_REFERENCE_ROLE)
        if result.uncertainty is not None:
            storeUncertainty(result.uncertainty, outputNode)
    except Exception:
        if isNew:
            removeNode(outputNode)
        raise
    return outputNode


def forgetFormer(node):
    """Let a node go of what names the image that it held: its files, its series and its table."""
    forgetFiles(node)
    forgetSeries(node)
    releaseMap(node, TABLE_REFERENCE_ROLE)


def addResultNode(scene, task, name):
    """An empty node of the task's class; lists of results look for its attribute as it appears."""
    node = scene.CreateNodeByClass(outputClass(task))
    node.UnRegister(None)
    node.SetName(name)
    node.SetAttribute("MedEnhance.Task", str(task))
    return scene.AddNode(node)


def outputClass(task):
    """Class of the node that a task makes."""
    return SEGMENTATION if task is Task.SEGMENT else VOLUME


def checkOutputNode(outputNode, inputNode, task, guideNode=None):
    """Raise VolumeError when the chosen output cannot take the task's result."""
    if outputNode is None:
        return
    checkNode(outputNode, "output")
    nodeClass = outputClass(task)
    if outputNode is inputNode:
        raise VolumeError(
            "The output is the input volume itself, which is never overwritten; choose another "
            "output."
        )
    if outputNode is guideNode:
        raise VolumeError(
            "The output is the guide, which is never overwritten; choose another output."
        )
    if outputNode.GetClassName() != nodeClass:
        raise VolumeError(
            f"'{outputNode.GetName()}' is a {outputNode.GetClassName()}, but the result needs a "
            f"{nodeClass}; choose another output or leave it to be created."
        )
    if task is Task.SEGMENT and holdsOthers(outputNode):
        raise VolumeError(
            f"'{outputNode.GetName()}' has segments that MedEnhance did not make, which are never "
            "overwritten; choose another output or leave it to be created."
        )
    if showsFrames(outputNode):
        raise VolumeError(
            f"'{outputNode.GetName()}' shows the frames of a sequence, the next of which would "
            "replace the result; choose another output or leave it to be created."
        )
    if isMap(outputNode):
        raise VolumeError(
            f"'{outputNode.GetName()}' is a map that changes with its result and goes with it; "
            "choose another output or leave it to be created."
        )
    result = resultOf(outputNode)
    if result is not None:
        raise VolumeError(
            f"'{outputNode.GetName()}' is the input of '{result.GetName()}', which is compared "
            "with it; choose another output or leave it to be created."
        )


def resultOf(inputNode):
    """A result that was made of this node, or None."""
    nodes = slicer.util.getNodesByClass("vtkMRMLDisplayableNode", inputNode.GetScene())
    made = (node for node in nodes if node.GetNodeReference(INPUT_REFERENCE_ROLE) is inputNode)
    return next(made, None)


def copyMeaning(node, inputNode):
    """Let values mean what those of the input mean, so that models judge the two alike."""
    node.SetVoxelValueUnits(inputNode.GetVoxelValueUnits())
    node.SetVoxelValueQuantity(inputNode.GetVoxelValueQuantity())
    copyModality(node, inputNode)


def copyAppearance(node, inputNode):
    """Show the node with the input's window, level and colours, so that the two can be compared."""
    source, target = inputNode.GetScalarVolumeDisplayNode(), displayOf(node)
    if source is None:
        return
    wasModifying = target.StartModify()
    if source.GetColorNodeID():
        target.SetAndObserveColorNodeID(source.GetColorNodeID())
    target.SetAutoWindowLevel(False)
    target.SetWindowLevelMinMax(source.GetWindowLevelMin(), source.GetWindowLevelMax())
    target.SetInterpolate(source.GetInterpolate())
    target.SetInvertDisplayScalarRange(source.GetInvertDisplayScalarRange())
    target.SetAutoThreshold(False)
    target.SetThreshold(source.GetLowerThreshold(), source.GetUpperThreshold())
    target.SetApplyThreshold(source.GetApplyThreshold())
    target.EndModify(wasModifying)


def describe(node, inputNode, result):
    """Write on the node how it was made and what was measured; no patient identity."""
    wasModifying = node.StartModify()
    for name in (*LATER_ATTRIBUTES, DICOM_ATTRIBUTE):
        node.RemoveAttribute(name)
    annotate(node, inputNode, result)
    node.SetNodeReferenceID(INPUT_REFERENCE_ROLE, inputNode.GetID())
    node.EndModify(wasModifying)


def annotate(node, inputNode, result):
    """Write task, provenance, evidence and warnings on a node, and those of the input before."""
    report = result.report()
    node.SetAttribute("MedEnhance.Task", str(result.task))
    node.SetAttribute(PROVENANCE_ATTRIBUTE, json.dumps(report["provenance"], default=str))
    node.SetAttribute("MedEnhance.Evidence", json.dumps(report["evidence"], default=str))
    node.SetAttribute(WARNINGS_ATTRIBUTE, json.dumps(report["warnings"]))
    inherit(node, inputNode)
    node.SetAttribute(USE_ATTRIBUTE, USE)


def describeRegion(node, box):
    """Write on the node which part of the input it shows.

    :param box: first voxel and number of voxels, each (i, j, k); None for all of it.
    """
    text = None if box is None else json.dumps({"start_ijk": box[0], "size_ijk": box[1]})
    node.SetAttribute(REGION_ATTRIBUTE, text)


def show(node):
    """Show a result in the slice views, and a segmentation's surface in the 3D view."""
    if node.IsA("vtkMRMLSegmentationNode"):
        displayOf(node).SetVisibility(True)
        displayOf(node).SetOpacity(1.0)
        return
    source = node.GetNodeReference(INPUT_REFERENCE_ROLE)
    setBackground(node, lambda shown: shown is source or isOwn(shown))
