"""The table of the scene's volumes: tick those to be worked on, see how far each is."""

import qt
import slicer
from slicer.i18n import tr as _

from . import wording
from .caseQueue import WAITING
from .nodes import isOwn
from .run import CANCELLED, DONE, FAILED, RUNNING

VOLUME, STATUS = 0, 1
VERDICTS = {DONE: "good", FAILED: "refused", CANCELLED: "warning"}


class QueueTable:
    """Keeps the table equal to the volumes of the scene and the queue's statuses.

    :param table: QTableWidget with the columns VOLUME and STATUS.
    """

    def __init__(self, table):
        self._table = table
        self._ids = []
        table.setColumnCount(2)
        table.setHorizontalHeaderLabels([_("Volume"), _("Status")])
        table.verticalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header = table.horizontalHeader()
        header.setSectionResizeMode(VOLUME, qt.QHeaderView.Stretch)
        header.setSectionResizeMode(STATUS, qt.QHeaderView.ResizeToContents)

    def show(self, queue):
        """Show the scene's volumes and the state of a QueueState.

        Volumes whose case is not done are ticked when they come into the table.
        """
        volumes = shownVolumes()
        ids = [volume.GetID() for volume in volumes]
        ticked = set(self.tickedIds())
        known = set(self._ids)
        wasBlocked = self._table.blockSignals(True)
        if ids != self._ids:
            self._fill(len(ids))
            self._ids = ids
        for row, volume in enumerate(volumes):
            index = queue.indexOf(volume)
            case = queue.cases[index] if index is not None else None
            isOpen = case is not None and case.status != DONE
            isTicked = volume.GetID() in ticked or (volume.GetID() not in known and isOpen)
            self._showVolume(row, volume, isTicked)
            self._showStatus(row, case)
        self._table.blockSignals(wasBlocked)

    def names(self):
        """The volumes' names as the table shows them, from top to bottom."""
        return [self._table.item(row, VOLUME).text() for row in range(len(self._ids))]

    def clear(self):
        """Forget the volumes and ticks: another scene gives the same IDs to other volumes."""
        self._ids = []
        self._table.setRowCount(0)

    def tickedIds(self):
        """IDs of the ticked volumes, from top to bottom."""
        rows = range(len(self._ids))
        return [self._ids[row] for row in rows if self._isTicked(row)]

    def tickedVolumes(self):
        """The ticked volume nodes."""
        nodes = [slicer.mrmlScene.GetNodeByID(each) for each in self.tickedIds()]
        return [node for node in nodes if node is not None]

    def tickAll(self):
        """Tick all volumes but those that MedEnhance made."""
        for row, nodeID in enumerate(self._ids):
            node = slicer.mrmlScene.GetNodeByID(nodeID)
            self._tick(row, node is not None and not isOwn(node))

    def tickNone(self):
        """Tick no volume."""
        for row in range(len(self._ids)):
            self._tick(row, False)

    def _fill(self, count):
        self._table.setRowCount(count)
        for row in range(count):
            for column in (VOLUME, STATUS):
                item = qt.QTableWidgetItem()
                flags = qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable
                item.setFlags(flags | qt.Qt.ItemIsUserCheckable if column == VOLUME else flags)
                self._table.setItem(row, column, item)

    def _showVolume(self, row, volume, isTicked):
        item = self._table.item(row, VOLUME)
        item.setText(volume.GetName())
        item.setToolTip(wording.tip(volume.GetName()))
        self._tick(row, isTicked)

    def _showStatus(self, row, case):
        item = self._table.item(row, STATUS)
        item.setText(statusText(case.status) if case is not None else "")
        item.setToolTip(wording.tip(case.message) if case is not None else "")
        verdict = VERDICTS.get(case.status) if case is not None else None
        if verdict is not None:
            item.setIcon(dot(wording.COLOURS[verdict]))
        else:
            item.setIcon(qt.QIcon())

    def _isTicked(self, row):
        return self._table.item(row, VOLUME).checkState() == qt.Qt.Checked

    def _tick(self, row, isTicked):
        state = qt.Qt.Checked if isTicked else qt.Qt.Unchecked
        self._table.item(row, VOLUME).setCheckState(state)


def shownVolumes():
    """The scene's scalar volumes that are not hidden, in its order."""
    scene, nodeClass = slicer.mrmlScene, "vtkMRMLScalarVolumeNode"
    count = scene.GetNumberOfNodesByClass(nodeClass)
    nodes = [scene.GetNthNodeByClass(index, nodeClass) for index in range(count)]
    return [n for n in nodes if n.GetClassName() == nodeClass and not n.GetHideFromEditors()]


def statusText(status):
    """A status for people."""
    return {
        WAITING: _("waiting"),
        RUNNING: _("running"),
        DONE: _("done"),
        FAILED: _("failed"),
        CANCELLED: _("cancelled"),
    }[status]


def dot(color):
    """A small coloured mark beside the word, which reads on light and dark backgrounds."""
    pixmap = qt.QPixmap(10, 10)
    pixmap.fill(qt.QColor(color))
    return qt.QIcon(pixmap)
