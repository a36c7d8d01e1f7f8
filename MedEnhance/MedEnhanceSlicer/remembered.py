"""Choices that hold from one start of the application to the next."""

import slicer

KEY = "MedEnhance/Last/{name}"
EMPTIED = "emptied"
"""A parameter of a node that outlived its scene; earlier wrappers give it the usual values."""
NAMES = ("task", "device", "precision", "uncertainty")
"""Not the volume and what depends on it; and no strength, which should start at its usual value."""


def remember(parameters):
    """Keep the choices of a run that begins."""
    for name in NAMES:
        value = getattr(parameters, name)
        settings().setValue(KEY.format(name=name), str(getattr(value, "value", value)))


def recall(parameters):
    """Give a parameter node that is new in its scene the choices of the last run."""
    for name in NAMES:
        text = settings().value(KEY.format(name=name), "")
        kind = type(getattr(parameters, name))
        try:
            value = text == "True" if kind is bool else kind(text)
        except ValueError:
            # Nothing was kept, or by a version that knew other choices.
            continue
        setattr(parameters, name, value)


def settings():
    """The user's settings of this application."""
    return slicer.app.userSettings()
