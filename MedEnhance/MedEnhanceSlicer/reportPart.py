"""How a result was made, and a report to save."""

import html
import logging

import slicer
from slicer.i18n import tr as _

from MedEnhanceLib.errors import MedEnhanceError
from MedEnhanceLib.report.facts import facts_of

from .reportFile import askForFile, saveReport


class ReportPart:
    """Tells the provenance of a result and saves reports.

    :param ui: child widgets by name.
    """

    def __init__(self, ui):
        self.ui = ui
        self._result = None
        ui.saveReportButton.connect("clicked(bool)", self.onSave)

    def show(self, result):
        """Show another result, or none."""
        isOther = (result and result.node) is not (self._result and self._result.node)
        self._result = result
        if isOther:
            self._say("")
        if result is not None:
            self.update()

    def update(self):
        """Tell how it was made, as it is known now."""
        self.ui.howMadeLabel.text = factsText(self._result.story)

    def onSave(self, checked=None):
        """Ask for a file and write the report; the pictures of a large volume take seconds."""
        # While the user is asked, a run may end, and its result be shown.
        result = self._result
        fileName = askForFile(self.ui.saveReportButton.window())
        if not fileName:
            return
        if not slicer.mrmlScene.IsNodePresent(result.node):
            self._say(_("The result was removed from the scene meanwhile; choose another."))
            return
        try:
            with slicer.util.WaitCursor():
                path = saveReport(result, fileName)
        except MedEnhanceError as error:
            self._say(str(error))
        except Exception as error:
            logging.exception("MedEnhance could not write a report")
            self._say(_("The report could not be written ({reason}).").format(reason=error))
        else:
            self._say(_("Saved as '{path}'.").format(path=path))

    def _say(self, text):
        label = self.ui.reportNoteLabel
        label.text = text
        label.visible = bool(text)


def factsText(provenance):
    """Name and value of each fact, one below the other."""
    lines = [
        f"<b>{html.escape(name)}</b>: {html.escape(value)}" for name, value in facts_of(provenance)
    ]
    return "<br>".join(lines) or _("Not known.")
