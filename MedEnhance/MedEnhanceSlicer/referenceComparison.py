"""Measures a result against a reference, a little at a time, so that the panel stays alive."""

import logging
from collections import Counter

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from MedEnhanceLib.errors import MedEnhanceError, VolumeError
from MedEnhanceLib.quality.comparison import (
    SAME_PLACE_MM,
    compare_segments,
    compare_volumes,
)

from .bridge import geometryBeside, geometryFromNode, guideFromNode, volumeFromNode
from .nodes import LABEL_MAP

STEP_MS = 0
VOLUME_CLASSES = ("vtkMRMLScalarVolumeNode",)
LABEL_CLASSES = ("vtkMRMLSegmentationNode", LABEL_MAP)


def referenceClasses(result):
    """Classes of nodes that a result can be compared with."""
    return LABEL_CLASSES if result.isSegmentation else VOLUME_CLASSES


def stepsOf(result, referenceNode):
    """The comparison of a result with a reference; see MedEnhanceLib.quality.comparison.

    :raises VolumeError: says in one sentence why the two cannot be compared.
    """
    if referenceNode is None:
        raise VolumeError("No reference is chosen; choose one first.")
    if referenceNode is result.node:
        raise VolumeError("The reference is the result itself; choose another.")
    if result.isSegmentation:
        return segmentSteps(result, referenceNode)
    return volumeSteps(result, referenceNode)


def volumeSteps(result, referenceNode):
    """PSNR, SSIM and RMSE; of the input too when it is on the same grid."""
    after = volumeFromNode(result.node)
    # The parent transforms of both count: what lies in the same place is compared.
    reference = guideFromNode(referenceNode, result.node)
    before = result.inputVolume if result.inputVoxels is not None else None
    return compare_volumes(reference, before, after)


def segmentSteps(result, referenceNode):
    """Dice, HD95 and volume error of the segments that both have, on the input's grid."""
    grid = result.inputNode
    if grid is None:
        raise VolumeError(
            "The input volume is no longer in the scene, so there is no grid to compare on; load "
            "it, or run again."
        )
    if referenceNode.IsA(LABEL_MAP):
        checkOnGrid(referenceNode, grid)
    pairs = pairsOf(result.node, referenceNode)
    if not pairs:
        raise VolumeError(
            f"'{referenceNode.GetName()}' has no segment of the same name or label value as the "
            "result; rename its segments."
        )
    segments = {
        name: (
            lambda key=key: referenceMask(referenceNode, key, grid),
            lambda segmentID=segmentID: segmentMask(result.node, segmentID, grid),
        )
        for name, segmentID, key in pairs
    }
    return compare_segments(segments, geometryFromNode(grid))


def pairsOf(node, referenceNode):
    """Name and id of each segment, with what stands for it in the reference.

    In a segmentation that is the id of the segment of the same name, or the only one there is;
    in a label map the label value.
    """
    segmentation = node.GetSegmentation()
    named = {segmentation.GetSegment(s).GetName(): s for s in segmentation.GetSegmentIDs()}
    if referenceNode.IsA(LABEL_MAP):
        present = set(np.unique(slicer.util.arrayFromVolume(referenceNode)).tolist())
        values = {n: segmentation.GetSegment(s).GetLabelValue() for n, s in named.items()}
        # Slicer gives a segment another value when it is edited; one that several have means none.
        shared = {value for value, count in Counter(values.values()).items() if count > 1}
        return [(n, s, values[n]) for n, s in named.items() if values[n] in present - shared]
    reference = referenceNode.GetSegmentation()
    others = {reference.GetSegment(s).GetName().lower(): s for s in reference.GetSegmentIDs()}
    if len(named) == len(others) == 1:
        others = dict.fromkeys((name.lower() for name in named), next(iter(others.values())))
    return [(n, s, others[n.lower()]) for n, s in named.items() if n.lower() in others]


def segmentMask(node, segmentID, grid):
    """A segment's voxels on the grid of a volume node, resampled if needed."""
    return slicer.util.arrayFromSegmentBinaryLabelmap(node, segmentID, grid) > 0


def referenceMask(node, key, grid):
    """The same of a reference; a label map must be on the grid already."""
    if node.IsA(LABEL_MAP):
        return slicer.util.arrayFromVolume(node) == key
    return segmentMask(node, key, grid)


def checkOnGrid(node, grid):
    """Raise VolumeError when a label map is not on the grid of the input, as the scene shows it."""
    if not geometryBeside(node, grid).is_close(geometryFromNode(grid), SAME_PLACE_MM):
        raise VolumeError(
            f"'{node.GetName()}' is not on the grid of the input; convert it to a segmentation "
            "(Data module, right-click), which is resampled."
        )


class ReferenceComparison:
    """Runs a comparison from Slicer's event loop.

    :param told: called without arguments at each step and at the end.

    Attributes:
        fraction: how far it is, 0 to 1.
        measures: when it has come to its end, else None.
        problem: the sentence to say when it failed, else "".
    """

    def __init__(self, told):
        self._told = told
        self._steps = None
        self._timer = qt.QTimer()
        self._timer.setInterval(STEP_MS)
        self._timer.connect("timeout()", self._step)
        self.fraction, self.measures, self.problem = 0.0, None, ""

    @property
    def isRunning(self):
        return self._steps is not None

    def start(self, result, referenceNode):
        self.stop()
        self.fraction, self.measures, self.problem = 0.0, None, ""
        try:
            self._steps = stepsOf(result, referenceNode)
        except MedEnhanceError as error:
            self.problem = str(error)
        else:
            self._timer.start()
        self._told()

    def stop(self):
        """Give up; nothing is told."""
        self._timer.stop()
        self._steps = None

    def _step(self):
        try:
            self.fraction = next(self._steps)
        except StopIteration as stop:
            self.stop()
            self.measures = stop.value
        except MedEnhanceError as error:
            self.stop()
            self.problem = str(error)
        except Exception as error:
            logging.exception("MedEnhance: a comparison with a reference failed")
            self.stop()
            self.problem = _("The comparison failed ({reason}).").format(reason=error)
        self._told()
