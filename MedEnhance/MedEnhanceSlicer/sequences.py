"""Volumes over time (4D): every frame of a sequence is worked on, and a new sequence comes out.

All frames take the model that suits the first one, and the region as it is at the beginning. Frames
are read where the sequence keeps them, so the browser may be played meanwhile. The result is added
to the scene when it is complete.
"""

import json
from dataclasses import replace

import slicer
from slicer.i18n import tr as _

from MedEnhanceLib.errors import MedEnhanceError, VolumeError
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Volume

from . import dependencies
from .bridge import (
    checkNode,
    checkVolumeNode,
    fillVolumeNode,
    geometryFromNode,
    guideFromNode,
    modalityOfNode,
)
from .chain import Chain
from .history import earlierRuns, provenanceOf, runsOf
from .jobs import Job
from .nodes import USE, USE_ATTRIBUTE, placeInStudy, removeNode
from .outputs import (
    INPUT_REFERENCE_ROLE,
    annotate,
    copyAppearance,
    copyMeaning,
    describeRegion,
    outputName,
)
from .region import boxAround, cornersInVolume, cutOut
from .segments import fillSegmentationNode

BROWSER, SEQUENCE = "vtkMRMLSequenceBrowserNode", "vtkMRMLSequenceNode"


class FrameJob(Job):
    """One run on one frame, which lives in its sequence rather than in the scene.

    :param corners: where the region is, as by `cornersInVolume`.
    """

    def __init__(self, sequence, index, task, model, options, region, corners, guide):
        super().__init__(sequence, task, model, options, None, guideNode=guide, region=region)
        self.index = index
        self.corners = corners
        self.frame = None

    def read(self):
        whole = frameVolume(self.inputNode, self.index)
        if self.region is not None:
            name = self.inputNode.GetName()
            self.box = boxAround(self.corners, self.region, whole.geometry, name)
        volume = inRegion(whole, self.inputNode, self.region, self.corners)
        if self.guideNode is None:
            return volume, None
        return volume, guideFromNode(self.guideNode, placeOf(self.inputNode, self.index))

    def store(self, result):
        """Keep the result's frame for the new sequence; the scene stays as it is.

        :raises VolumeError: when the frame was removed during the run.
        """
        frame = self.inputNode.GetNthDataNode(self.index)
        if frame is None:
            raise framesChanged(self.inputNode)
        make = segmentationFrame if self.task is Task.SEGMENT else volumeFrame
        self.frame = make(result.output, frame)
        annotate(self.frame, frame, result)
        describeRegion(self.frame, self.box)
        return self.frame


class SequenceChain(Chain):
    """Works on every frame of a sequence.

    :param logic: MedEnhanceLogic.
    :param source: vtkMRMLSequenceNode, or a browser, whose master sequence is taken.
    :param others: as for `MedEnhanceLogic.processSequence`.
    """

    def __init__(
        self,
        logic,
        source,
        task,
        modelId,
        options,
        region=None,
        name=None,
        onEvent=None,
        guide=None,
    ):
        self.region = region
        self.guide = guide
        self.sequence, self.browser = sequenceAndBrowser(source)
        self.logic = logic
        self.task = task
        # Frames have no place for it.
        self.options = replace(options, uncertainty=False)
        first = firstFrame(self.sequence, region)
        # A region that is dragged meanwhile would give frames of several sizes.
        self.corners = cornersOf(self.sequence, region)
        self.model = logic.choose(first, task, modelId, guide is not None).require()
        dependencies.checkFor(self.model)
        self.name = name
        count = self.sequence.GetNumberOfDataNodes()
        super().__init__(logic.runner, count, self.sequence.GetName(), onEvent)

    def story(self):
        made = emptySequence(self.sequence)
        notes, runs = [], []
        for index in range(self.parts):
            self.where = _("Frame {number} of {count}").format(number=index + 1, count=self.parts)
            value = self.sequence.GetNthIndexValue(index)
            try:
                frame = yield self._job(index)
            except MedEnhanceError as error:
                if self.cancelling:
                    raise
                raise type(error)(f"{self.where}: {error}") from error
            made.SetDataNodeAtValue(frame, value)
            told = {"provenance": provenanceOf(frame), "steps": earlierRuns(frame)}
            notes.append({"index": value, **told})
            runs += runsOf(frame)
        made.SetName(self.name or outputName(self.sequence, self.task, runs))
        return self._publish(made, notes)

    def _job(self, index):
        return FrameJob(
            self.sequence,
            index,
            self.task,
            self.model,
            self.options,
            self.region,
            self.corners,
            self.guide,
        )

    def _publish(self, made, notes):
        """Put the finished sequence into the scene, and into the browser of the input.

        :raises VolumeError: when it does not have the frames of the input.
        """
        if indexValues(made) != indexValues(self.sequence):
            raise framesChanged(self.sequence)
        scene = self.sequence.GetScene()
        made.SetName(scene.GenerateUniqueName(made.GetName()))
        scene.AddNode(made)
        placeInStudy(made, self.sequence)
        # Files of volume sequences keep no attributes of frames, those of the scene do.
        made.SetAttribute("MedEnhance.Task", str(self.task))
        made.SetAttribute("MedEnhance.Frames", json.dumps(notes))
        made.SetAttribute(USE_ATTRIBUTE, USE)
        made.SetNodeReferenceID(INPUT_REFERENCE_ROLE, self.sequence.GetID())
        if self.browser is not None and scene.IsNodePresent(self.browser):
            joinBrowser(self.browser, made, self.sequence)
        return made


def framesChanged(sequence):
    """The error to raise when a sequence does not have the frames that it had."""
    return VolumeError(
        f"The frames of '{sequence.GetName()}' were changed during the run; run it again."
    )


def sequenceAndBrowser(source):
    """The sequence to work on and the first browser that plays it, or None.

    :raises VolumeError: when the node is no sequence, or an empty one.
    """
    if source is None:
        raise VolumeError("No sequence is chosen; load or select one.")
    checkNode(source, "sequence")
    if source.IsA(BROWSER):
        sequence, browser = source.GetMasterSequenceNode(), source
    elif source.IsA(SEQUENCE):
        sequence, browser = source, browserOf(source)
    else:
        raise VolumeError(
            f"'{source.GetName()}' is a {source.GetClassName()}, not a sequence; choose a volume "
            "sequence."
        )
    if sequence is None or sequence.GetNumberOfDataNodes() == 0:
        raise VolumeError(f"The sequence '{source.GetName()}' holds no frames; load them first.")
    return sequence, browser


def emptySequence(source):
    """A sequence outside the scene that takes the same index values as another one."""
    made = slicer.vtkMRMLSequenceNode()
    made.SetIndexName(source.GetIndexName())
    made.SetIndexUnit(source.GetIndexUnit())
    made.SetIndexType(source.GetIndexType())
    made.SetNumericIndexValueTolerance(source.GetNumericIndexValueTolerance())
    return made


def indexValues(sequence):
    """The index values of all frames, sorted as texts."""
    count = sequence.GetNumberOfDataNodes()
    return sorted(sequence.GetNthIndexValue(index) for index in range(count))


def browserOf(sequence):
    """The first browser that plays a sequence, or None."""
    browsers = slicer.util.getNodesByClass(BROWSER, sequence.GetScene())
    playing = (b for b in browsers if b.IsSynchronizedSequenceNodeID(sequence.GetID(), True))
    return next(playing, None)


def proxyOf(sequence):
    """The scene's node that shows the current frame, or None."""
    browser = browserOf(sequence)
    return browser.GetProxyNode(sequence) if browser is not None else None


def placeOf(sequence, index):
    """The node whose parent transform places a frame: frames are where the scene shows them."""
    return proxyOf(sequence) or sequence.GetNthDataNode(index)


def frameVolume(sequence, index):
    """The voxels of a frame as the library's Volume; modality and units as the scene shows it.

    :raises VolumeError: when the frame is no scalar image.
    """
    frame = sequence.GetNthDataNode(index)
    if frame is None:
        raise VolumeError(f"The sequence '{sequence.GetName()}' has lost frame {index + 1}.")
    checkVolumeNode(frame)
    proxy = proxyOf(sequence)
    isKnown = proxy is not None and proxy.IsA("vtkMRMLScalarVolumeNode")
    modality, units = modalityOfNode(proxy) if isKnown else ("", "")
    voxels = slicer.util.arrayFromVolume(frame)
    return Volume(voxels, geometryFromNode(frame), modality=modality, units=units)


def firstFrame(sequence, region):
    """The part of the first frame that a region holds, by which the model of all is chosen."""
    whole = frameVolume(sequence, 0)
    return inRegion(whole, sequence, region, cornersOf(sequence, region))


def cornersOf(sequence, region):
    """Where a region is, as by `cornersInVolume`; None without one."""
    return None if region is None else cornersInVolume(region, placeOf(sequence, 0))


def inRegion(frame, sequence, region, corners):
    """The part of a frame's Volume that a region holds; all of it without one."""
    if region is None:
        return frame
    return cutOut(frame, boxAround(corners, region, frame.geometry, sequence.GetName()))


def volumeFrame(volume, source):
    """A volume node outside the scene."""
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetName(source.GetName())
    fillVolumeNode(node, volume)
    node.SetVoxelValueUnits(source.GetVoxelValueUnits())
    node.SetVoxelValueQuantity(source.GetVoxelValueQuantity())
    return node


def segmentationFrame(labelMap, source):
    """A segmentation node outside the scene; it is filled inside, hidden, and taken out again."""
    scene = slicer.mrmlScene
    hidden = []
    for nodeClass in ("vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode"):
        node = scene.CreateNodeByClass(nodeClass)
        node.UnRegister(None)
        node.SetName(source.GetName())
        node.SetHideFromEditors(True)
        scene.AddNode(node)
        hidden.append(node)
    reference, node = hidden
    try:
        reference.CopyContent(source, False)
        fillSegmentationNode(node, labelMap, reference)
        node.SetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole(), None)
    finally:
        for each in hidden:
            removeNode(each)
    return node


def joinBrowser(browser, made, sequence):
    """Play the new sequence together with the input's, in the same place and with its look."""
    browser.AddSynchronizedSequenceNodeID(made.GetID())
    browser.SetOverwriteProxyName(made, browser.GetOverwriteProxyName(sequence))
    shown, original = browser.GetProxyNode(made), browser.GetProxyNode(sequence)
    if shown is None or original is None:
        return
    shown.SetNodeReferenceID(INPUT_REFERENCE_ROLE, original.GetID())
    shown.SetAndObserveTransformNodeID(original.GetTransformNodeID())
    placeInStudy(shown, original)
    if not shown.IsA("vtkMRMLScalarVolumeNode"):
        return
    copyMeaning(shown, original)
    if shown.GetScalarVolumeDisplayNode() is not None:
        copyAppearance(shown, original)
