"""What a result's node says of itself, also after its scene was saved and loaded again."""

import json

import slicer
import vtk

from MedEnhanceLib.errors import MedEnhanceError, VolumeError
from MedEnhanceLib.provenance import voxel_hash
from MedEnhanceLib.result import Measure
from MedEnhanceLib.task import Task

from .bridge import geometryFromNode, volumeAsStored
from .content import contentHash, contentState, keptHash
from .history import earlierRuns, fromJson, provenanceOf, warningsOf
from .outputs import (
    CONTENT_ATTRIBUTE,
    FIRST_INPUT_ATTRIBUTE,
    INPUT_REFERENCE_ROLE,
    MEASURED_CONTENT_ATTRIBUTE,
    REFERENCE_ATTRIBUTE,
    REGION_ATTRIBUTE,
    STRENGTH_ATTRIBUTE,
    outputClass,
)
from .resultMaps import UNCERTAINTY_REFERENCE_ROLE, mapOf

TASK_ATTRIBUTE = "MedEnhance.Task"
EVIDENCE_ATTRIBUTE = "MedEnhance.Evidence"
NODE_CLASSES = ("vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode")
NOISE = "noise"
SAME_PLACE_MM = 0.01


class ResultNode:
    """A node that MedEnhance made, read through its attributes and references.

    :param node: vtkMRMLScalarVolumeNode or vtkMRMLSegmentationNode with "MedEnhance.Task".
    """

    def __init__(self, node):
        self.node = node

    @property
    def task(self):
        return Task(self.node.GetAttribute(TASK_ATTRIBUTE))

    @property
    def isDenoised(self):
        return self.task is Task.DENOISE

    @property
    def isSegmentation(self):
        return self.task is Task.SEGMENT

    @property
    def inputNode(self):
        """The volume that was worked on, or None when it is no longer in the scene."""
        node = self.node.GetNodeReference(INPUT_REFERENCE_ROLE)
        # Frames of a sequence refer to the sequence, which no view can show.
        return node if node is not None and node.IsA("vtkMRMLVolumeNode") else None

    @property
    def inputVolume(self):
        """What the model, or the first of several, was given: the input, or the region of it.

        A library Volume that shares memory with the node, read-only; None when the input is gone or
        its voxels are others now.
        """
        return self._presentInput() if self._inputIsAsGiven() else None

    @property
    def isOfOneStep(self):
        """Whether this very model was given the input, not the first of several."""
        return self.node.GetAttribute(FIRST_INPUT_ATTRIBUTE) is None

    @property
    def inputVoxels(self):
        """The input's voxels (k, j, i) where they are on the result's grid, else None."""
        before = self.inputVolume
        if before is None or self.isSegmentation:
            return None
        try:
            grid = geometryFromNode(self.node)
        except VolumeError:
            # It lost its file, or a transform that shears was hardened.
            return None
        isSame = before.geometry.is_close(grid, SAME_PLACE_MM)
        return before.voxels if isSame else None

    @property
    def uncertaintyNode(self):
        """The map beside the result, or None where there is none or its file was not found."""
        node = mapOf(self.node, UNCERTAINTY_REFERENCE_ROLE)
        return None if node is None or node.GetImageData() is None else node

    @property
    def measures(self):
        return measuresFromText(self.node.GetAttribute(EVIDENCE_ATTRIBUTE))

    @property
    def referenceMeasures(self):
        """What was measured against a reference, if that was asked for and still holds."""
        told = self.node.GetAttribute(MEASURED_CONTENT_ATTRIBUTE)
        if told is not None and told != contentHash(self.node):
            return []
        return measuresFromText(self.node.GetAttribute(REFERENCE_ATTRIBUTE))

    @referenceMeasures.setter
    def referenceMeasures(self, measures):
        text = json.dumps([vars(measure) for measure in measures])
        self.node.SetAttribute(REFERENCE_ATTRIBUTE, text)
        self.node.SetAttribute(MEASURED_CONTENT_ATTRIBUTE, contentHash(self.node))

    @property
    def warnings(self):
        return warningsOf(self.node)

    @property
    def provenance(self):
        return provenanceOf(self.node)

    @property
    def story(self):
        """The provenance, with that of earlier steps, and their models for people."""
        steps = earlierRuns(self.node)
        models = [str(step.get("model", "")) for step in steps]
        return {**self.provenance, "steps": steps, "earlier_steps": ", ".join(models)}

    @property
    def strength(self):
        """How much of what a denoiser removed is removed now, 0 to 1."""
        text = self.node.GetAttribute(STRENGTH_ATTRIBUTE)
        return self.strengthOfRun if not text else asStrength(text)

    @property
    def strengthOfRun(self):
        options = self.provenance.get("options")
        return asStrength(options.get("strength", 1.0)) if isinstance(options, dict) else 1.0

    @property
    def noise(self):
        """Standard deviation of the input's noise as the run found it, or None."""
        for measure in self.measures:
            if measure.name.lower() == NOISE:
                return measure.before
        return None

    @property
    def isChanged(self):
        """Whether someone else has changed what the run, or the choice of a strength, has made."""
        told = self.node.GetAttribute(CONTENT_ATTRIBUTE)
        return told is not None and told != contentHash(self.node)

    def _presentInput(self):
        """The input, or the region of it, as it is now; None when it is gone."""
        if self.inputNode is None:
            return None
        try:
            volume = volumeAsStored(self.inputNode)
            text = self.node.GetAttribute(REGION_ATTRIBUTE)
            return volume if not text else croppedTo(volume, json.loads(text))
        except (MedEnhanceError, ValueError, TypeError, KeyError):
            return None

    def _inputIsAsGiven(self):
        """Whether the input is what the first model was given, as far as that is told."""
        volume = self._presentInput()
        first = self.node.GetAttribute(FIRST_INPUT_ATTRIBUTE)
        told = self.provenance.get("input_sha256") if first is None else first
        if volume is None or not told:
            return volume is not None
        part = self.node.GetAttribute(REGION_ATTRIBUTE)
        state = (*contentState(self.inputNode), part)
        return keptHash(state, lambda: voxel_hash(volume)) == told


def measuresFromText(text):
    """Measures from the JSON of an attribute; none from nothing, or from what is none."""
    try:
        measures = [Measure(**entry) for entry in fromJson(text, [])]
    except TypeError:
        return []
    return [measure for measure in measures if isMeasure(measure)]


def isMeasure(measure):
    """Whether all of it is of the types that it should have."""
    texts, values = (measure.name, measure.unit, measure.meaning), (measure.before, measure.after)
    return all(isinstance(text, str) for text in texts) and all(
        value is None or isinstance(value, (int, float)) for value in values
    )


def asStrength(value):
    """A strength between 0 and 1; 1 when it is none."""
    try:
        return min(1.0, max(0.0, float(value)))
    except (ValueError, TypeError):
        return 1.0


def isResult(node):
    """Whether MedEnhance made the node, and this version knows how to show it."""
    task = node.GetAttribute(TASK_ATTRIBUTE)
    isKnown = task in [known.value for known in Task]
    return isKnown and node.GetClassName() == outputClass(Task(task))


def resultNodes(scene):
    """All results in the scene, the newest last."""
    nodes = []
    for name in NODE_CLASSES:
        for node in slicer.util.getNodesByClass(name, scene):
            if node.GetClassName() == name and isResult(node):
                nodes.append(node)
    position = {scene.GetNthNode(i).GetID(): i for i in range(scene.GetNumberOfNodes())}
    return sorted(nodes, key=lambda node: position[node.GetID()])


def croppedTo(volume, box):
    """The part of a volume in a box of voxels: first voxel and size, each (i, j, k)."""
    start, size = box["start_ijk"], box["size_ijk"]
    i, j, k = (slice(first, first + n) for first, n in zip(start, size, strict=True))
    return volume.with_voxels(volume.voxels[k, j, i], volume.geometry.cropped(start, size))


def worldPoint(volumeNode, index):
    """RAS millimetres of a voxel (i, j, k), through the node's parent transforms."""
    ijkToRas = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(ijkToRas)
    toWorld = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        volumeNode.GetParentTransformNode(), None, toWorld
    )
    return toWorld.TransformPoint(ijkToRas.MultiplyPoint((*index, 1.0))[:3])
