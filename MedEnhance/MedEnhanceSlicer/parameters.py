"""What the user sets, and how it becomes the library's options."""

from enum import Enum

from slicer.i18n import tr as _

from MedEnhanceLib.options import (
    DenoiseOptions,
    SegmentOptions,
    SuperResolutionOptions,
    options_from_json,
)
from MedEnhanceLib.task import Task

AUTOMATIC_MODEL = "auto"


class TaskChoice(Enum):
    """The task, as the panel offers it."""

    DENOISE = Task.DENOISE.value
    SUPER_RESOLUTION = Task.SUPER_RESOLUTION.value
    SEGMENT = Task.SEGMENT.value

    def label(self):
        return {
            TaskChoice.DENOISE: _("Denoise"),
            TaskChoice.SUPER_RESOLUTION: _("Super-resolution"),
            TaskChoice.SEGMENT: _("Segment"),
        }[self]

    @property
    def task(self):
        return Task(self.value)


class NoiseChoice(Enum):
    """Where the noise level comes from."""

    ESTIMATED = "estimated"
    BY_HAND = "by hand"

    def label(self):
        return {
            NoiseChoice.ESTIMATED: _("Estimate"),
            NoiseChoice.BY_HAND: _("By hand"),
        }[self]


class ResolutionChoice(Enum):
    """How the wanted resolution is given."""

    ISOTROPIC = "isotropic"
    SPACING = "spacing"
    FACTOR = "factor"

    def label(self):
        return {
            ResolutionChoice.ISOTROPIC: _("Isotropic (finest axis)"),
            ResolutionChoice.SPACING: _("Spacing"),
            ResolutionChoice.FACTOR: _("Factor"),
        }[self]


class DeviceChoice(Enum):
    """Where the network runs."""

    AUTOMATIC = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"

    def label(self):
        return {
            DeviceChoice.AUTOMATIC: _("Automatic"),
            DeviceChoice.CPU: _("CPU"),
            DeviceChoice.CUDA: _("NVIDIA GPU (CUDA)"),
            DeviceChoice.MPS: _("Apple GPU (MPS)"),
        }[self]


class PrecisionChoice(Enum):
    """The number format networks are computed in."""

    AUTOMATIC = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"

    def label(self):
        return {
            PrecisionChoice.AUTOMATIC: _("Automatic"),
            PrecisionChoice.FLOAT32: _("32 bits (exact)"),
            PrecisionChoice.BFLOAT16: _("bfloat16"),
            PrecisionChoice.FLOAT16: _("16 bits"),
        }[self]


def optionsOf(task, options):
    """A task's options from what a script gives: the library's, a dictionary of them, or None.

    :raises OptionsError: when one is unknown or makes no sense.
    """
    isPlain = options is None or isinstance(options, dict)
    return options_from_json(task, options or {}) if isPlain else options


def optionsFromParameters(parameters):
    """The library's options for the chosen task.

    :raises OptionsError: when a value makes no sense.
    """
    run = runOptions(parameters)
    if parameters.task is TaskChoice.DENOISE:
        byHand = parameters.noise is NoiseChoice.BY_HAND
        noise = parameters.noiseLevel if byHand else None
        return DenoiseOptions(strength=parameters.strength, noise=noise, **run)
    if parameters.task is TaskChoice.SUPER_RESOLUTION:
        return superResolutionOptions(parameters, run)
    return SegmentOptions(
        labels=labelsFromText(parameters.labels),
        keep_largest=parameters.keepLargest,
        fill_holes=parameters.fillHoles,
        **run,
    )


def runOptions(parameters):
    """What holds for all tasks, by the names of the library's options."""
    return {
        "device": parameters.device.value,
        "precision": parameters.precision.value,
        "tile": round(parameters.tile) or None,
        "uncertainty": parameters.uncertainty,
    }


def superResolutionOptions(parameters, run):
    """Spacing or factor as chosen; neither for an isotropic result."""
    # None leaves it to the model: noise is removed first where there is much.
    run["denoise"] = None if parameters.denoiseFirst else False
    if parameters.resolution is ResolutionChoice.SPACING:
        spacing = (parameters.spacingI, parameters.spacingJ, parameters.spacingK)
        return SuperResolutionOptions(spacing=spacing, **run)
    if parameters.resolution is ResolutionChoice.FACTOR:
        factor = (parameters.factorI, parameters.factorJ, parameters.factorK)
        return SuperResolutionOptions(factor=factor, **run)
    return SuperResolutionOptions(**run)


def labelsFromText(text):
    """Label values from "1,2"; None, which means all, from "" and from what is no such list."""
    try:
        return tuple(int(value) for value in text.split(",")) if text else None
    except ValueError:
        return None


def labelsToText(values):
    """The inverse of :func:`labelsFromText`."""
    return ",".join(str(value) for value in values) if values else ""
