"""The qMRML and ctk widgets that the panel uses: their properties, signals and behaviour."""

from __future__ import annotations

from typing import Any, ClassVar

import vtk
from PySide6.QtCore import Property, QEvent, QRect, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QSlider,
    QStyle,
    QStyleOption,
    QWidget,
)


def _stored(kind: Any, name: str, default: Any, changed: str = "") -> Property:
    """A property that is only remembered; `changed` names a method to call afterwards."""

    def read(self: Any) -> Any:
        return self.__dict__.get("_" + name, default)

    def write(self: Any, value: Any) -> None:
        self.__dict__["_" + name] = value
        if changed:
            getattr(self, changed)()

    return Property(kind, read, write)


class qMRMLWidget(QWidget):  # noqa: N801
    """Hands the scene to the widgets connected to it."""

    mrmlSceneChanged = Signal(object)
    SIGNATURES: ClassVar = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}
    SLOTS = ("setMRMLScene(vtkMRMLScene*)",)

    def setMRMLScene(self, scene: Any) -> None:
        self.__dict__["_scene"] = scene
        self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self) -> Any:
        return self.__dict__.get("_scene")


class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):  # noqa: N801
    """What the application puts a module's panel into."""

    isEntered = _stored(bool, "isEntered", False)

    def reload(self) -> None:
        self.__dict__["reloaded"] = True


class qMRMLNodeComboBox(QWidget):  # noqa: N801
    """Chooses a node of some classes; follows additions and removals in its scene."""

    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    nodeAddedByUser = Signal(object)
    SIGNATURES: ClassVar = {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "currentNodeIDChanged(QString)": "currentNodeIDChanged",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser",
    }
    SLOTS = ("setMRMLScene(vtkMRMLScene*)",)

    nodeTypes = _stored("QStringList", "nodeTypes", [], "_refresh")
    showHidden = _stored(bool, "showHidden", False, "_refresh")
    showChildNodeTypes = _stored(bool, "showChildNodeTypes", True, "_refresh")
    noneEnabled = _stored(bool, "noneEnabled", False, "_refresh")
    noneDisplay = _stored(str, "noneDisplay", "None", "_refresh")
    addEnabled = _stored(bool, "addEnabled", True)
    removeEnabled = _stored(bool, "removeEnabled", True)
    renameEnabled = _stored(bool, "renameEnabled", False)
    editEnabled = _stored(bool, "editEnabled", False)
    selectNodeUponCreation = _stored(bool, "selectNodeUponCreation", False)
    baseName = _stored(str, "baseName", "")

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._combo = QComboBox(self)
        self._combo.setObjectName("")
        self._combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._combo.activated.connect(self._on_activated)
        self._nodes: list[Any] = []
        self._current: Any = None
        self._scene: Any = None
        self._tags: list[int] = []
        self._attributes: dict[str, dict[str, str | None]] = {}
        self._watched: list[tuple[Any, int]] = []

    def addAttribute(self, node_type: str, name: str, value: str | None = None) -> None:
        """Of this type only nodes with the attribute are shown; of this value, if one is given.

        Whether a node has it is looked at again whenever the node is modified.
        """
        known = self._attributes.setdefault(node_type, {})
        if name not in known or known[name] != value:
            known[name] = value
            self._refresh()

    def removeAttribute(self, node_type: str, name: str) -> None:
        self._attributes[node_type].pop(name)
        self._refresh()

    def setMRMLScene(self, scene: Any) -> None:
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene, self._tags = scene, []
        if scene is not None:
            events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent)
            self._tags = [scene.AddObserver(event, self._on_scene_changed) for event in events]
            leaving = scene.NodeAboutToBeRemovedEvent
            self._tags.append(scene.AddObserver(leaving, self._on_node_leaving))
            self._tags.append(scene.AddObserver(scene.EndImportEvent, self._on_imported))
        self._refresh()

    def mrmlScene(self) -> Any:
        return self._scene

    def currentNode(self) -> Any:
        return self._current

    def setCurrentNode(self, node: Any) -> None:
        self._refresh()
        if node is not None and node not in self._nodes:
            node = None
        self._select(node)

    def setCurrentNodeID(self, node_id: str) -> None:
        self.setCurrentNode(self._scene.GetNodeByID(node_id) if node_id else None)

    currentNodeID = Property(
        str, lambda self: self._current.GetID() if self._current else "", setCurrentNodeID
    )

    def nodeCount(self) -> int:
        return len(self._nodes)

    def choose(self, index: int) -> None:
        """For tests: what a user does who opens the list and clicks an entry."""
        self._combo.setCurrentIndex(index)
        self._on_activated(index)

    def _on_activated(self, index: int) -> None:
        none = 1 if self.noneEnabled else 0
        self._select(None if index < none else self._nodes[index - none])

    def _select(self, node: Any) -> None:
        changed = node is not self._current
        self._current = node
        none = 1 if self.noneEnabled else 0
        row = self._nodes.index(node) + none if node is not None else none - 1
        self._combo.setCurrentIndex(row)
        if changed:
            self.currentNodeChanged.emit(node)
            self.currentNodeIDChanged.emit(self.currentNodeID)

    def _on_scene_changed(self, _caller: Any, _event: str) -> None:
        self._refresh()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_leaving(self, scene: Any, _event: str, node: Any) -> None:
        """The row goes before the node does: Qt then chooses a neighbour, and that is told.

        So it is when the chosen node stays, but in another row.
        """
        if scene.IsClosing() or node not in self._nodes:
            return
        none = 1 if self.noneEnabled else 0
        before, gone = self._combo.currentIndex(), self._nodes.index(node) + none
        self._nodes.remove(node)
        self._combo.removeItem(gone)
        now = self._combo.currentIndex()
        if now != before or gone == before:
            self._current = self._nodes[now - none] if now >= none else None
            self.currentNodeChanged.emit(self._current)
            self.currentNodeIDChanged.emit(self.currentNodeID)

    def _on_imported(self, _caller: Any, _event: str) -> None:
        """All rows go and come again, so that the chosen node is lost."""
        self._nodes = []
        self._select(None)
        self._refresh()

    def _refresh(self) -> None:
        if "_nodes" not in self.__dict__:
            return
        if self._scene is not None and self._scene.IsImporting():
            # References are not valid yet, so that Slicer's lists wait for the end.
            return
        self._watch_attributes()
        self._nodes = (
            [] if self._scene is None else [n for n in self._candidates() if self._shown(n)]
        )
        self._combo.clear()
        if self.noneEnabled:
            self._combo.addItem(self.noneDisplay)
        self._combo.addItems([node.GetName() for node in self._nodes])
        self._select(self._current if self._current in self._nodes else None)

    def _watch_attributes(self) -> None:
        for node, tag in self._watched:
            node.RemoveObserver(tag)
        modified = vtk.vtkCommand.ModifiedEvent
        nodes = self._candidates() if self._scene is not None else []
        self._watched = [
            (node, node.AddObserver(modified, self._on_scene_changed))
            for node in nodes
            if any(node.IsA(node_type) for node_type in self._attributes)
        ]

    def _candidates(self) -> list[Any]:
        count = self._scene.GetNumberOfNodes()
        return [self._scene.GetNthNode(i) for i in range(count)]

    def _shown(self, node: Any) -> bool:
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        for node_type, wanted in self._attributes.items():
            if node.IsA(node_type) and not all(
                self._has(node, *attribute) for attribute in wanted.items()
            ):
                return False
        if self.showChildNodeTypes:
            return any(node.IsA(kind) for kind in self.nodeTypes)
        return node.GetClassName() in list(self.nodeTypes)

    @staticmethod
    def _has(node: Any, name: str, value: str | None) -> bool:
        found = node.GetAttribute(name)
        return found is not None and value in (None, found)


class ctkCollapsibleButton(QWidget):  # noqa: N801
    """A header that folds what is below it."""

    contentsCollapsed = Signal(bool)
    clicked = Signal(bool)
    HEADER = 24
    WANTED = "visibilityToParent"

    flat = _stored(bool, "flat", False)
    text = _stored(str, "text", "", "update")

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._is_collapsed = False
        self._is_forcing = False
        self.setContentsMargins(0, self.HEADER, 0, 0)

    def _read_collapsed(self) -> bool:
        return bool(self._is_collapsed)

    def _write_collapsed(self, collapsed: bool) -> None:
        if collapsed == self._is_collapsed:
            return
        self._is_collapsed = collapsed
        for child in self.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly):
            self._show_child(child)
        self.setMaximumHeight(self.HEADER if collapsed else 16_777_215)
        self.contentsCollapsed.emit(collapsed)

    collapsed = Property(bool, _read_collapsed, _write_collapsed)

    def _show_child(self, child: QWidget) -> None:
        """Show what was not hidden by others; not as if that had been asked for, as ctk does."""
        is_wanted = child.property(self.WANTED) is not False
        self._is_forcing = True
        child.setVisible(is_wanted and not self._is_collapsed)
        if is_wanted:
            child.setAttribute(Qt.WidgetAttribute.WA_WState_ExplicitShowHide, False)
        self._is_forcing = False

    def childEvent(self, event: Any) -> None:
        super().childEvent(event)
        child = event.child()
        if event.added() and child.isWidgetType():
            child.installEventFilter(self)
            self._show_child(child)

    def eventFilter(self, child: Any, event: Any) -> bool:
        """Remember what others show and hide, also while it is collapsed."""
        kind = QEvent.Type
        if not self._is_forcing and event.type() in (kind.ShowToParent, kind.HideToParent):
            child.setProperty(self.WANTED, event.type() is kind.ShowToParent)
            if event.type() is kind.ShowToParent:
                self._show_child(child)
        return super().eventFilter(child, event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.position().y() <= self.HEADER:
            self._write_collapsed(not self._is_collapsed)
            self.clicked.emit(not self._is_collapsed)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        header = QRect(0, 0, self.width(), self.HEADER - 3)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.palette().color(QPalette.ColorRole.Button).darker(108))
        painter.drawRoundedRect(header, 3, 3)
        arrow = QStyleOption()
        arrow.initFrom(self)
        arrow.rect = QRect(6, 5, 11, 11)
        kind = QStyle.PrimitiveElement
        shape = kind.PE_IndicatorArrowRight if self._is_collapsed else kind.PE_IndicatorArrowDown
        self.style().drawPrimitive(shape, arrow, painter, self)
        painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
        painter.drawText(header.adjusted(24, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, self.text)


def _of_spin_box(kind: Any, name: str) -> Property:
    """A property that the slider widget takes from its spin box."""
    setter = "set" + name[0].upper() + name[1:]
    return Property(
        kind,
        lambda self: getattr(self._spin, name)(),
        lambda self, value: getattr(self._spin, setter)(value),
    )


class ctkSliderWidget(QWidget):  # noqa: N801
    """A slider and a spin box that move together."""

    valueChanged = Signal(float)
    suffix = _stored(str, "suffix", "")
    pageStep = _stored(float, "pageStep", 10.0)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._slider = QSlider(Qt.Orientation.Horizontal, self)
        self._spin = QDoubleSpinBox(self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._spin)
        self._slider.valueChanged.connect(self._on_slider)
        self._spin.valueChanged.connect(self._on_spin)

    def _on_slider(self, position: int) -> None:
        span = self._spin.maximum() - self._spin.minimum()
        self._spin.setValue(self._spin.minimum() + span * position / self._slider.maximum())

    def _on_spin(self, value: float) -> None:
        span = (self._spin.maximum() - self._spin.minimum()) or 1.0
        self._slider.blockSignals(True)
        self._slider.setValue(round((value - self._spin.minimum()) / span * self._slider.maximum()))
        self._slider.blockSignals(False)
        self.valueChanged.emit(value)

    value = _of_spin_box(float, "value")
    minimum = _of_spin_box(float, "minimum")
    maximum = _of_spin_box(float, "maximum")
    decimals = _of_spin_box(int, "decimals")
    singleStep = _of_spin_box(float, "singleStep")


QMRML = (qMRMLWidget, qMRMLNodeComboBox, qSlicerScriptedLoadableModuleWidget)
CTK = (ctkCollapsibleButton, ctkSliderWidget)
