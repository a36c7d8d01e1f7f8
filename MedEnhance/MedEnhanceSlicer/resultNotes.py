"""What must be said along with a result's numbers and pictures."""

from slicer.i18n import tr as _


def inputNote(result):
    """One sentence when the result cannot be compared with its input, else ""."""
    if result.inputNode is None:
        return _("The input volume is no longer in the scene, so there is nothing to compare with.")
    if result.inputVolume is None or (result.isDenoised and result.inputVoxels is None):
        return _(
            "The input volume is not, or no longer, what the model saw in the place of the result; "
            "run again to compare."
        )
    return ""


def measuresNote(result):
    """What must be said along with the measures: all sentences there are, or ""."""
    notes = (lastStepNote(result), strengthNote(result), changeNote(result))
    return " ".join(note for note in notes if note)


def lastStepNote(result):
    """One sentence when the input that is shown is not the one of the measures, else ""."""
    if result.isOfOneStep:
        return ""
    return _("It was measured on the last step alone, whose input was not kept.")


def changeNote(result):
    """One sentence when the result is no longer what the run has measured, else ""."""
    if not result.isChanged:
        return ""
    return _("The result was changed since the run, so what the run measured no longer holds.")


def strengthNote(result):
    """One sentence when the strength that is shown is not that of the measures, else ""."""
    if not result.isDenoised or result.strength == 1:
        return ""
    if result.referenceMeasures:
        note = _(
            "Measured at full strength, but against the reference at strength {strength:g}, which "
            "is shown."
        )
    else:
        note = _("Measured at full strength; shown at strength {strength:g}.")
    return note.format(strength=result.strength)
