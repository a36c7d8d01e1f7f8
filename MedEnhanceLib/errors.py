"""What can go wrong, each as one sentence that names the value and the way out."""

from __future__ import annotations


class MedEnhanceError(Exception):
    """Base of all errors that MedEnhance raises on purpose; the message is meant for the user."""


class VolumeError(MedEnhanceError):
    """The voxels or the geometry cannot be worked on (empty, NaN, RGB, 4D, sheared...)."""


class FileError(MedEnhanceError):
    """A file or folder cannot be read or written."""


class OptionsError(MedEnhanceError):
    """An option has a value that makes no sense."""


class BundleError(MedEnhanceError):
    """A model bundle is incomplete, damaged or unknown."""


class TrustError(BundleError):
    """A bundle would have to run code of its own, and the user has not said that it may."""


class UnsuitableError(MedEnhanceError):
    """The model cannot give a meaningful result on this volume."""


class DeviceError(MedEnhanceError):
    """The device asked for does not compute, or has too little memory."""


class DependencyError(MedEnhanceError):
    """A Python package that is needed is not installed."""


class InferenceError(MedEnhanceError):
    """The network ran but its output is unusable."""


class WorkerError(MedEnhanceError):
    """The inference process ended or spoke nonsense."""


class CancelledError(MedEnhanceError):
    """The run was cancelled; nothing was written."""
