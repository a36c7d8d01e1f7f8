"""The list of segments that a run found."""

import qt
import slicer
from slicer.i18n import tr as _

from MedEnhanceLib.report.facts import value_text

from .comparison import centreViews
from .segmentTable import centreOf, segmentsOf, showSurface, surfaceIsShown
from .wording import tip


class SegmentsPart:
    """Shows the segments of a result, and finds them in the views.

    :param ui: child widgets by name.
    """

    def __init__(self, ui):
        self.ui = ui
        self._result = None
        self._segments = []
        header = ui.segmentsTable.horizontalHeader()
        header.setSectionResizeMode(0, qt.QHeaderView.Fixed)
        header.setSectionResizeMode(1, qt.QHeaderView.Stretch)
        header.setSectionResizeMode(2, qt.QHeaderView.ResizeToContents)
        ui.segmentsTable.setColumnWidth(0, 20)
        ui.segmentsTable.connect("cellClicked(int,int)", self.onSegmentChosen)
        ui.segmentsTable.connect("cellActivated(int,int)", self.onSegmentChosen)
        ui.surfaceCheckBox.connect("toggled(bool)", self.onSurface)

    def show(self, result):
        """Show another result, or none."""
        self._result = result if result is not None and result.isSegmentation else None
        self.ui.segmentsWidget.visible = self._result is not None
        if self._result is None:
            return
        self._segments = segmentsOf(self._result.node)
        self._fillTable()
        surface = self.ui.surfaceCheckBox
        wasBlocked = surface.blockSignals(True)
        surface.checked = bool(self._segments) and surfaceIsShown(self._result.node)
        surface.blockSignals(wasBlocked)
        surface.enabled = bool(self._segments)

    def onSegmentChosen(self, row=0, column=0):
        if self._result is not None and row < len(self._segments):
            centre = centreOf(self._result.node, self._segments[row].id)
            if centre is not None:
                centreViews(centre)

    def onSurface(self, checked=None):
        """Making the surface of a large segment takes some seconds, under a wait cursor."""
        with slicer.util.WaitCursor():
            showSurface(self._result.node, bool(self.ui.surfaceCheckBox.checked))

    def _fillTable(self):
        table = self.ui.segmentsTable
        table.setRowCount(max(1, len(self._segments)))
        table.clearSpans()
        if not self._segments:
            table.setItem(0, 0, qt.QTableWidgetItem(_("Nothing was found.")))
            table.setSpan(0, 0, 1, 3)
        for row, segment in enumerate(self._segments):
            color = qt.QTableWidgetItem("")
            color.setBackground(qt.QBrush(qt.QColor(*segment.color)))
            name = qt.QTableWidgetItem(segment.name)
            name.setToolTip(tip(segment.name))
            table.setItem(row, 0, color)
            table.setItem(row, 1, name)
            table.setItem(row, 2, qt.QTableWidgetItem(value_text(segment.ml, "ml")))
        table.resizeRowsToContents()
        table.updateGeometry()
