"""Loads a .ui file as Slicer does, and refuses what Qt's loader would pass over in silence."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

from PySide6.QtCore import QBuffer, QByteArray
from PySide6.QtUiTools import QUiLoader as NativeLoader
from PySide6.QtWidgets import QWidget

from . import pythonqt, widgets


class QUiLoader:
    """The one method that `slicer.util.loadUI` needs."""

    def load(self, file: Any) -> Any:
        """The wrapped top widget; raises on unknown properties, signals, slots and widgets."""
        root = ElementTree.parse(file.fileName()).getroot()
        connections = root.find("connections")
        wanted = list(connections) if connections is not None else []
        if connections is not None:
            root.remove(connections)
        loader = NativeLoader()
        for custom in (*widgets.QMRML, *widgets.CTK):
            loader.registerCustomWidget(custom)
        buffer = QBuffer()
        buffer.setData(QByteArray(ElementTree.tostring(root)))
        top = loader.load(buffer)
        if top is None:
            raise RuntimeError(f"Cannot load {file.fileName()}: {loader.errorString()}")
        _check_widgets(root, top)
        for connection in wanted:
            _connect(top, connection)
        return pythonqt.wrap(top)


def _check_widgets(root: ElementTree.Element, top: QWidget) -> None:
    for element in root.iter("widget"):
        name, class_name = element.get("name", ""), element.get("class", "")
        widget = _find(top, name)
        meta = widget.metaObject()
        if meta.className() != class_name:
            raise RuntimeError(f"'{name}' is a {meta.className()}, the .ui file says {class_name}")
        for entry in element.findall("property"):
            known = meta.indexOfProperty(entry.get("name", "")) >= 0 or entry.get("name") == "buddy"
            if not known and entry.get("stdset") != "0":
                raise RuntimeError(f"'{name}' ({class_name}) has no property '{entry.get('name')}'")


def _connect(top: QWidget, connection: ElementTree.Element) -> None:
    sender, signal, receiver, slot = (
        connection.findtext(part, "") for part in ("sender", "signal", "receiver", "slot")
    )
    source, target = _find(top, sender), _find(top, receiver)
    if signal not in getattr(source, "SIGNATURES", {}) or slot not in getattr(target, "SLOTS", ()):
        raise RuntimeError(f"No connection from {sender}.{signal} to {receiver}.{slot}")
    getattr(source, signal.split("(")[0]).connect(getattr(target, slot.split("(")[0]))


def _find(top: QWidget, name: str) -> QWidget:
    if top.objectName() == name:
        return top
    widget = top.findChild(QWidget, name)
    if widget is None:
        raise RuntimeError(f"There is no widget '{name}' in the .ui file")
    return widget
