"""Everything the user sets, as the scene keeps it."""

import logging
from typing import Annotated

import slicer
from slicer import (
    vtkMRMLMarkupsROINode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLSequenceNode,
)
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from .parameters import (
    AUTOMATIC_MODEL,
    DeviceChoice,
    NoiseChoice,
    PrecisionChoice,
    ResolutionChoice,
    TaskChoice,
)

TOLD_MS = 10_000


@parameterNodeWrapper
class MedEnhanceParameterNode:
    """Everything the user sets; saved and restored with the scene."""

    inputVolume: vtkMRMLScalarVolumeNode
    task: TaskChoice = TaskChoice.DENOISE
    model: str = AUTOMATIC_MODEL
    device: DeviceChoice = DeviceChoice.AUTOMATIC
    precision: PrecisionChoice = PrecisionChoice.AUTOMATIC
    tile: Annotated[float, WithinRange(0, 1024)] = 0.0
    uncertainty: bool = False
    previewFollow: bool = False
    strength: Annotated[float, WithinRange(0, 1)] = 1.0
    noise: NoiseChoice = NoiseChoice.ESTIMATED
    noiseLevel: Annotated[float, WithinRange(0.0001, 100000)] = 10.0
    resolution: ResolutionChoice = ResolutionChoice.ISOTROPIC
    spacingI: Annotated[float, WithinRange(0.05, 20)] = 1.0
    spacingJ: Annotated[float, WithinRange(0.05, 20)] = 1.0
    spacingK: Annotated[float, WithinRange(0.05, 20)] = 1.0
    factorI: Annotated[float, WithinRange(1, 8)] = 1.0
    factorJ: Annotated[float, WithinRange(1, 8)] = 1.0
    factorK: Annotated[float, WithinRange(1, 8)] = 2.0
    denoiseFirst: bool = True
    labels: str = ""
    keepLargest: bool = True
    fillHoles: bool = True
    outputVolume: vtkMRMLScalarVolumeNode
    outputSegmentation: vtkMRMLSegmentationNode
    region: vtkMRMLMarkupsROINode
    guideVolume: vtkMRMLScalarVolumeNode
    sequence: vtkMRMLSequenceNode
    recipe: str = ""
    keepIntermediate: bool = False
    queue: str = ""
    queueRecipe: bool = False


def parametersOf(node):
    """The settings that a scene keeps; of one that cannot be read, the usual value.

    :param node: vtkMRMLScriptedModuleNode, perhaps written by another version of MedEnhance.
    """
    unknown = [
        each for each in MedEnhanceParameterNode.allParameters.items() if not isKnown(node, *each)
    ]
    for name, parameter in unknown:
        logging.warning("MedEnhance: the setting '%s' of this scene cannot be read", name)
        parameter.serializer.remove(node, name)
    if unknown:
        slicer.util.showStatusMessage(
            _("MedEnhance: some settings of this scene are unknown here; look at them."), TOLD_MS
        )
    return MedEnhanceParameterNode(node)


def isKnown(node, name, parameter):
    """Whether a setting that a node holds, if it does, can be read."""
    try:
        if parameter.serializer.isIn(node, name):
            parameter.serializer.read(node, name)
    except (ValueError, KeyError, TypeError):
        return False
    return True
