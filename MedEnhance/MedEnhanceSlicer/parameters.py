"""What the user sets, and how it becomes the library's options."""

from enum import Enum

from slicer.i18n import tr as _

from MedEnhanceLib.options import DenoiseOptions, SegmentOptions, SuperResolutionOptions
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


def optionsFromParameters(parameters):
    """The library's options for the chosen task.

    :raises OptionsError: when a value makes no sense.
    """
    device = parameters.device.value
    if parameters.task is TaskChoice.DENOISE:
        byHand = parameters.noise is NoiseChoice.BY_HAND
        noise = parameters.noiseLevel if byHand else None
        return DenoiseOptions(device=device, strength=parameters.strength, noise=noise)
    if parameters.task is TaskChoice.SUPER_RESOLUTION:
        return superResolutionOptions(parameters, device)
    return SegmentOptions(
        device=device,
        labels=labelsFromText(parameters.labels),
        keep_largest=parameters.keepLargest,
        fill_holes=parameters.fillHoles,
    )


def superResolutionOptions(parameters, device):
    """Spacing or factor as chosen; neither for an isotropic result."""
    if parameters.resolution is ResolutionChoice.SPACING:
        spacing = (parameters.spacingI, parameters.spacingJ, parameters.spacingK)
        return SuperResolutionOptions(device=device, spacing=spacing)
    if parameters.resolution is ResolutionChoice.FACTOR:
        factor = (parameters.factorI, parameters.factorJ, parameters.factorK)
        return SuperResolutionOptions(device=device, factor=factor)
    return SuperResolutionOptions(device=device)


def labelsFromText(text):
    """Label values from "1,2"; None, which means all, from ""."""
    return tuple(int(value) for value in text.split(",")) if text else None


def labelsToText(values):
    """The inverse of :func:`labelsFromText`."""
    return ",".join(str(value) for value in values) if values else ""
