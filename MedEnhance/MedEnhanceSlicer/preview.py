"""A quick look: the model on a few slices around the one that is shown, over the image, unsaved.

The slab that is worked on reaches beyond the slice by some voxels on both sides, so that a network
sees the slice's neighbours; the outermost are cut off again. What is shown is close to the run's
result but need not equal it where a network looks further than that.
"""

from dataclasses import replace

import numpy as np
import slicer
from slicer.i18n import tr as _

from MedEnhanceLib.assessment import known_modality, modality_of
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.errors import UnsuitableError, VolumeError
from MedEnhanceLib.intensity import scaling_named
from MedEnhanceLib.noise import estimate_noise
from MedEnhanceLib.orientation import NO_TURN, axial_turn
from MedEnhanceLib.task import Task
from MedEnhanceLib.tasks.denoise import told_level
from MedEnhanceLib.volume import LabelMap

from .bridge import (
    RAS_TO_LPS,
    displayOf,
    fillVolumeNode,
    geometryFromNode,
    lpsBetween,
    volumeFromNode,
)
from .comparison import BEFORE, viewsBut
from .jobs import Job
from .nodes import LABEL_MAP, VOLUME, removeNode
from .region import volumeInRegion

NAME = "MedEnhance preview"
TAGS = {
    VOLUME: "MedEnhance.Preview",
    LABEL_MAP: "MedEnhance.LabelPreview",
}
"""One for each class: to the scene a label map is a scalar volume, and would be found as one."""
CONTEXT = 4
"""Slices on each side that a network sees, and as many that it sees for super-resolution."""
SHOWN = 1
"""Slices on each side that are shown, so that a small step of the view still finds some."""
LABEL_OPACITY = 0.6


class PreviewJob(Job):
    """Runs a model on a slab and puts the outcome over the slice views.

    :param sliceNode: vtkMRMLSliceNode whose plane is looked at.
    :param others: as for `Job`.
    :raises MedEnhanceError: when the plane misses the volume or the model needs all of it.
    """

    def __init__(self, inputNode, task, model, options, sliceNode, onEvent=None, region=None):
        checkModel(model)
        options = replace(options, evidence=False)
        super().__init__(inputNode, task, model, options, NAME, onEvent=onEvent, region=region)
        self.axis, self.index = crossing(inputNode, sliceNode)

    def read(self):
        """The slab; the noise is that of the whole volume or region, as it will be in the run."""
        volume = volumeFromNode(self.inputNode)
        if self.task is Task.DENOISE and self.options.noise is None:
            worked = volumeInRegion(self.inputNode, self.region)
            isCT = known_modality(worked, self.model)[0] == "CT"
            sigma = noiseOf(self.inputNode, worked, isCT)
            if sigma > 0:
                told = toldNoise(sigma, worked, self.model, isCT)
                self.options = replace(self.options, noise=told)
        reach = CONTEXT + SHOWN
        return cutSlab(volume, self.axis, self.index - reach, self.index + reach), None

    def store(self, result):
        """Show the middle of the outcome over the input; no node that is saved is made."""
        output = result.output
        factor = output.geometry.size[2 - self.axis] / self.slabSize()
        middle = (self.index - self.firstSlice() + 0.5) * factor - 0.5
        reach = (SHOWN + 0.5) * factor
        shown = cutSlab(output, self.axis, round(middle - reach), round(middle + reach))
        return showPreview(shown, self.inputNode)

    def firstSlice(self):
        return max(0, self.index - CONTEXT - SHOWN)

    def slabSize(self):
        count = geometryFromNode(self.inputNode).size[2 - self.axis]
        return min(count - 1, self.index + CONTEXT + SHOWN) - self.firstSlice() + 1


_noise = {}


def noiseOf(node, volume, isCT):
    """Noise of a node's Volume, or a region of it; kept while its voxels stay, since previews come
    in rows."""
    key = (node.GetID(), node.GetImageData().GetMTime(), volume.geometry, isCT)
    if key not in _noise:
        _noise.clear()
        turn = axial_turn(volume.geometry) if isCT else NO_TURN
        _noise[key] = estimate_noise(turn.apply(volume.voxels), not isCT)
    return _noise[key]


def toldNoise(sigma, volume, model, isCT):
    """What a run tells the model of the noise that was estimated; a preview tells it the same."""
    if not isinstance(model, Bundle):
        return sigma
    scale = scaling_named(model.input.normalisation, volume.voxels).scale
    return told_level(sigma, scale, model, not isCT)


def checkModel(model):
    """Raise UnsuitableError when a model cannot work on a few slices."""
    if model.task is Task.SEGMENT and model.is_trained:
        raise UnsuitableError(
            _(
                "'{model}' needs to see the whole volume, so there is no preview; press Apply, and "
                "cancel at any time."
            ).format(model=model.title)
        )


def crossing(inputNode, sliceNode):
    """Array axis (0 for k) of the volume that is most across a slice view, and the slice shown.

    :raises VolumeError: when there is no plane, or it lies beside the volume.
    """
    if sliceNode is None:
        raise VolumeError(_("No slice view is shown; choose a layout with slices."))
    if not isinstance(sliceNode, slicer.vtkMRMLSliceNode):
        raise VolumeError(f"{sliceNode!r} is no slice view; give a vtkMRMLSliceNode, or none.")
    geometry = geometryFromNode(inputNode)
    volumeToRas = RAS_TO_LPS @ lpsBetween(inputNode) @ geometry.matrix
    sliceToRas = slicer.util.arrayFromVTKMatrix(sliceNode.GetSliceToRAS())
    normal = sliceToRas[:3, 2]
    axes = volumeToRas[:3, :3] / np.linalg.norm(volumeToRas[:3, :3], axis=0)
    across = int(np.argmax(np.abs(normal @ axes)))
    # Where the plane crosses the line through the volume's middle along that axis.
    middle = np.append((np.array(geometry.size) - 1) / 2, 1.0)
    middle[across] = 0
    start, step = (volumeToRas @ middle)[:3], volumeToRas[:3, across]
    index = round(float(normal @ (sliceToRas[:3, 3] - start) / (normal @ step)))
    if not 0 <= index < geometry.size[across]:
        raise VolumeError(
            _(
                "The slice shown in the {view} view lies beside '{name}'; scroll to the image."
            ).format(view=sliceNode.GetName(), name=inputNode.GetName())
        )
    return 2 - across, index


def cutSlab(volume, axis, first, last):
    """Slices ``first`` to ``last`` along an array axis, as far as there are any."""
    count = volume.voxels.shape[-3:][axis]
    first, last = max(0, first), min(count - 1, last)
    start = [0, 0, 0]
    size = list(volume.geometry.size)
    start[2 - axis], size[2 - axis] = first, last - first + 1
    cut = [slice(None)] * 3
    cut[axis] = slice(first, last + 1)
    voxels = np.ascontiguousarray(volume.voxels[(..., *cut)])
    geometry = volume.geometry.cropped(tuple(start), tuple(size))
    if isinstance(volume, LabelMap):
        return replace(volume, voxels=voxels, geometry=geometry)
    # Slices of a CT without air cannot be told from MR by their values.
    return replace(volume.with_voxels(voxels, geometry), modality=modality_of(volume))


def showPreview(image, inputNode):
    """Fill the preview node of the image's kind and lay it over the input in the slice views."""
    isLabels = isinstance(image, LabelMap)
    node = previewNode(LABEL_MAP if isLabels else VOLUME)
    node.SetAndObserveTransformNodeID(inputNode.GetTransformNodeID())
    fillVolumeNode(node, image)
    fadeOthers(node)
    if isLabels:
        layLabels(node)
    else:
        layOver(inputNode, node)
    return node


def previewViews():
    """Where previews are shown: not in the view that shows the input beside a result."""
    return viewsBut(BEFORE)


def fadeOthers(node):
    """Let a preview of the other kind be seen no more.

    It keeps its layer, by which it is known that something else is to be shown there again.
    """
    others = [other.GetID() for other in previewNodes() if other is not node]
    for view in previewViews():
        if view.GetForegroundVolumeID() in others:
            view.SetForegroundOpacity(0.0)
        if view.GetLabelVolumeID() in others:
            view.SetLabelOpacity(0.0)


def layLabels(node):
    for view in previewViews():
        view.SetLabelVolumeID(node.GetID())
        view.SetLabelOpacity(LABEL_OPACITY)


def layOver(inputNode, node):
    """Show a preview over the input, with the input's window, level and colours."""
    source, display = inputNode.GetScalarVolumeDisplayNode(), node.GetScalarVolumeDisplayNode()
    if source is not None:
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(source.GetWindowLevelMin(), source.GetWindowLevelMax())
        display.SetAndObserveColorNodeID(source.GetColorNodeID())
    for view in previewViews():
        view.SetBackgroundVolumeID(inputNode.GetID())
        view.SetForegroundVolumeID(node.GetID())
        view.SetForegroundOpacity(1.0)


def previewNode(nodeClass):
    """The one preview node of a class: hidden from lists, never saved with the scene."""
    scene = slicer.mrmlScene
    node = scene.GetSingletonNode(TAGS[nodeClass], nodeClass)
    if node is None:
        node = scene.CreateNodeByClass(nodeClass)
        node.UnRegister(None)
        node.SetSingletonTag(TAGS[nodeClass])
        node.SetName(NAME)
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        node = scene.AddNode(node)
    # A node that is left over from a scene that was closed gets a new one.
    displayOf(node).SetSaveWithScene(False)
    return node


def previewNodes():
    """The preview nodes that are in the scene."""
    found = [slicer.mrmlScene.GetSingletonNode(tag, each) for each, tag in TAGS.items()]
    return [node for node in found if node is not None]


class Layers:
    """What the slice views showed before the preview, to be shown again after it."""

    def __init__(self):
        self._before = {}
        self._input = None

    def remember(self, inputNode):
        """Note what is shown now.

        :param inputNode: the volume that the preview will be laid over.
        """
        self._before, self._input = {}, inputNode.GetID()
        for view in previewViews():
            self._before[view.GetID()] = (
                view.GetBackgroundVolumeID(),
                view.GetForegroundVolumeID(),
                view.GetForegroundOpacity(),
                view.GetLabelVolumeID(),
                view.GetLabelOpacity(),
            )

    def restore(self):
        """Take the preview off the slice views and out of the scene; what else is shown stays."""
        scene = slicer.mrmlScene
        previews = previewNodes()
        ids = [node.GetID() for node in previews]
        for viewID, shown in self._before.items():
            view = scene.GetNodeByID(viewID)
            if view is not None:
                self._restoreView(view, ids, *shown)
        self._before = {}
        for node in previews:
            removeNode(node)

    def _restoreView(self, view, ids, background, foreground, opacity, label, labelOpacity):
        """The user may have chosen other volumes since; those stay."""
        if view.GetForegroundVolumeID() in ids:
            view.SetForegroundVolumeID(ifThere(foreground))
            view.SetForegroundOpacity(opacity)
            # None where the input was removed.
            if view.GetBackgroundVolumeID() in (self._input, None):
                view.SetBackgroundVolumeID(ifThere(background))
        if view.GetLabelVolumeID() in ids:
            view.SetLabelVolumeID(ifThere(label))
            view.SetLabelOpacity(labelOpacity)


def ifThere(nodeID):
    """The ID, or None when no node of the scene has it, as after it was removed."""
    return nodeID if nodeID and slicer.mrmlScene.GetNodeByID(nodeID) is not None else None


def shownSlice():
    """The slice view to look at: of those on the screen the red one, else the first, else None."""
    views = slicer.util.getNodesByClass("vtkMRMLSliceNode")
    # Without a window none is on a screen.
    if slicer.app.layoutManager() is not None:
        views = [view for view in views if view.IsMappedInLayout()]
    return next((v for v in views if v.GetLayoutName() == "Red"), views[0] if views else None)
