"""The table of what was measured, and the comparison with a reference."""

import qt
import slicer
from slicer.i18n import tr as _

from .evidenceTable import fillTable, measuresOf, storeTable
from .referenceComparison import ReferenceComparison, referenceClasses
from .resultNotes import measuresNote


class EvidencePart:
    """Shows the measures of a result.

    :param ui: child widgets by name.
    """

    def __init__(self, ui):
        self.ui = ui
        self._result = None
        self._reference = None
        self._tellsOfMeasures = False
        self._comparison = ReferenceComparison(self.onComparison)
        header = ui.evidenceTable.horizontalHeader()
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        rows = ui.evidenceTable.verticalHeader()
        rows.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        ui.measureButton.connect("clicked(bool)", self.onMeasure)
        ui.storeTableButton.connect("clicked(bool)", self.onStoreTable)
        ui.referenceSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.onReferenceChosen)

    def show(self, result):
        """Show another result, or none."""
        isOther = (result and result.node) is not (self._result and self._result.node)
        self._result = result
        if result is None:
            self.stop()
            return
        if isOther:
            self.stop()
            self.ui.referenceSelector.nodeTypes = list(referenceClasses(result))
            self._say("")
        self.update()

    def setImporting(self, isImporting):
        """Keep the reference while a scene is added, after which the list begins anew."""
        selector = self.ui.referenceSelector
        if isImporting:
            selector.blockSignals(True)
            return
        # Slicer's list looks nodes up by their ids, which another one may have by now.
        isThere = slicer.mrmlScene.IsNodePresent(self._reference)
        selector.setCurrentNode(self._reference if isThere else None)
        selector.blockSignals(False)
        self.onReferenceChosen()

    def stop(self):
        """Give up a comparison with a reference."""
        if self._comparison.isRunning:
            self._comparison.stop()
            self._say(_("The comparison was stopped."))
            self._showButtons()

    def update(self):
        """Show the measures as they are now."""
        result, ui = self._result, self.ui
        fillTable(ui.evidenceTable, measuresOf(result))
        note = measuresNote(result)
        ui.evidenceNoteLabel.visible = bool(note)
        ui.evidenceNoteLabel.text = note
        if self._tellsOfMeasures and not result.referenceMeasures:
            # The result was changed since, so that they are gone from the table.
            self._say("")
        self._showButtons()

    def strengthChanged(self):
        """What was measured against a reference was that of another strength."""
        self.stop()
        self._say("")
        self.update()

    def onReferenceChosen(self, node=None):
        reference = self.ui.referenceSelector.currentNode()
        # The list also tells when only the row of the node has changed.
        if reference is self._reference:
            return
        self._reference = reference
        self.stop()
        self._say("")
        self._showButtons()

    def onMeasure(self, checked=None):
        """Compare with the reference; while that goes on, stop."""
        if self._comparison.isRunning:
            self.stop()
        else:
            self._comparison.start(self._result, self.ui.referenceSelector.currentNode())

    def onComparison(self):
        """News of the comparison."""
        comparison = self._comparison
        if comparison.isRunning:
            percent = round(100 * comparison.fraction)
            self._say(_("Measuring, {percent} %").format(percent=percent))
        elif comparison.problem:
            self._say(comparison.problem)
        else:
            self._result.referenceMeasures = comparison.measures
            self._say(_("Measured; see the end of the table."), ofMeasures=True)
            self.update()
        self._showButtons()

    def onStoreTable(self, checked=None):
        node = storeTable(self._result)
        self._say(_("The table is '{name}'.").format(name=node.GetName()))

    def _showButtons(self):
        isRunning = self._comparison.isRunning
        button = self.ui.measureButton
        button.text = _("Stop") if isRunning else _("Measure")
        button.enabled = isRunning or self.ui.referenceSelector.currentNode() is not None

    def _say(self, text, ofMeasures=False):
        self._tellsOfMeasures = ofMeasures
        label = self.ui.referenceNoteLabel
        label.text = text
        label.visible = bool(text)
