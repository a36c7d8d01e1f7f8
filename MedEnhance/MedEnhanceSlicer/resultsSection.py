"""The part of the panel that shows what a run changed, of this run or of an earlier one."""

import qt
import slicer

from .content import contentState
from .differencePart import DifferencePart
from .evidencePart import EvidencePart
from .nodeWatch import NodeWatch
from .reportPart import ReportPart
from .resultMaps import REMOVED_REFERENCE_ROLE, removeMapsWithoutResult
from .resultNode import NODE_CLASSES, TASK_ATTRIBUTE, ResultNode, isResult, resultNodes
from .resultNotes import inputNote
from .segmentsPart import SegmentsPart
from .strengthPart import StrengthPart

SECTIONS = ("results", "evidence", "report")


class ResultsSection:
    """Lets the user choose a result, and hands it to the parts that show it.

    :param ui: child widgets by name, see slicer.util.childWidgetVariables.
    :param logic: MedEnhanceLogic.
    """

    def __init__(self, ui, logic):
        self.ui = ui
        self.logic = logic
        self._result = None
        self._isActive = False
        self._observed = None
        self._shownState = []
        self._watch = NodeWatch(self.onNodeModified)
        self._difference = DifferencePart(ui)
        self._report = ReportPart(ui)
        self._evidence = EvidencePart(ui)
        self._strength = StrengthPart(ui, self.onStrengthChanged)
        self._segments = SegmentsPart(ui)
        self._parts = (
            self._difference,
            self._strength,
            self._segments,
            self._evidence,
            self._report,
        )
        for name in NODE_CLASSES:
            # Only nodes that MedEnhance made are offered.
            ui.resultSelector.addAttribute(name, TASK_ATTRIBUTE)
        ui.resultSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.onResultChosen)
        self._choose(None)

    def setParameters(self, parameters):
        """Follow another parameter node, or none while the scene is closed or the panel hidden."""
        self.clear()
        self._isActive = parameters is not None
        self._observe(slicer.mrmlScene if self._isActive else None)
        self._difference.setActive(self._isActive)
        if self._isActive:
            self.refresh()
        else:
            self._choose(None)

    def setImporting(self, isImporting):
        """Nodes of another scene are being added, or all are there now."""
        self._evidence.setImporting(isImporting)

    def show(self, job):
        """Show what a job that is done has made."""
        if not self._isActive:
            return
        # It may also be the node that is shown already, filled with another result.
        self._choose(None)
        self._choose(job.node)

    def clear(self):
        """A run begins: nothing moves any more."""
        for part in (self._difference, self._strength, self._evidence):
            part.stop()

    def refresh(self):
        """Look again which results there are; the newest is shown when none is yet."""
        if not self._isActive:
            # A run goes on in the background; the views are those of another module now.
            return
        nodes = resultNodes(slicer.mrmlScene)
        current = self._result.node if self._result is not None else None
        if current not in nodes:
            current = nodes[-1] if nodes else None
        self._choose(current)
        # Later, since a list of nodes may be being removed right now, or a scene be being closed,
        # after which Slicer goes back to the layout that was shown.
        qt.QTimer.singleShot(0, self._tidyUp)

    def onResultChosen(self, node=None):
        node = self.ui.resultSelector.currentNode()
        # The list also tells when only the row of the node has changed.
        isOther = node is not (self._result and self._result.node)
        if self._isActive and isOther:
            self.clear()
            if node is None or not isResult(node):
                self.refresh()
            else:
                self._choose(node)

    def onStrengthChanged(self):
        """The voxels of the result are others now."""
        self._difference.strengthChanged()
        self._evidence.strengthChanged()
        self._report.update()
        self._shownState = self._state()

    def onSceneChanged(self, caller=None, event=None):
        """Nodes came or went: the result or its input may be among them."""
        isBusy = caller.IsClosing() or caller.IsImporting()
        if not isBusy and self._state() != self._shownState:
            self.refresh()

    def onNodeAdded(self, caller, event):
        """It may become a result, of the queue or of a script; it is complete a moment later."""
        if self._result is None and not caller.IsImporting():
            qt.QTimer.singleShot(0, self._refreshIfNone)

    def onNodeModified(self):
        """The result may have been filled with another one, or its input be another one now."""
        # Later, since not all of it may be written yet.
        qt.QTimer.singleShot(0, self._refreshIfOther)

    def _refreshIfOther(self):
        if self._isActive and self._state() != self._shownState:
            self.refresh()

    def _refreshIfNone(self):
        if self._result is None:
            self.refresh()

    def _tidyUp(self):
        """A removed signal goes with its result, and the layout that compares with the last one."""
        if self._isActive:
            removeMapsWithoutResult(slicer.mrmlScene, REMOVED_REFERENCE_ROLE)
            if self._result is None:
                self._difference.leave()

    def _state(self):
        """Which nodes there are, as far as it matters here."""
        result, scene = self._result, slicer.mrmlScene
        isThere = result is not None and scene.IsNodePresent(result.node) and isResult(result.node)
        if not isThere:
            return [node.GetID() for node in resultNodes(scene)]
        related = (result.node, result.inputNode, result.uncertaintyNode)
        ids = [None if node is None else node.GetID() for node in related]
        return [*ids, result.provenance, contentState(result.node), inputNote(result)]

    def _choose(self, node):
        self._result = None if node is None else ResultNode(node)
        for name in SECTIONS:
            getattr(self.ui, name + "CollapsibleButton").visible = node is not None
        selector = self.ui.resultSelector
        if selector.currentNode() is not node:
            wasBlocked = selector.blockSignals(True)
            selector.setCurrentNode(node)
            selector.blockSignals(wasBlocked)
        for part in self._parts:
            part.show(self._result)
        self._showNote()
        self._watch.follow(node, None if node is None else self._result.inputNode)
        self._shownState = self._state()

    def _showNote(self):
        """What is missing, in words."""
        note = "" if self._result is None else inputNote(self._result)
        self.ui.resultNoteLabel.visible = bool(note)
        self.ui.resultNoteLabel.text = note

    def _observe(self, scene):
        if self._observed is not None:
            observed, tags = self._observed
            for tag in tags:
                observed.RemoveObserver(tag)
        self._observed = None
        if scene is not None:
            events = (scene.NodeRemovedEvent, scene.EndImportEvent)
            tags = [scene.AddObserver(event, self.onSceneChanged) for event in events]
            tags.append(scene.AddObserver(scene.NodeAddedEvent, self.onNodeAdded))
            self._observed = (scene, tags)
