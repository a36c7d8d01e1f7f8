"""parameterNodeWrapper: typed settings stored as text in a vtkMRMLScriptedModuleNode."""

from __future__ import annotations

import enum
import typing
from dataclasses import dataclass
from typing import Any

GUI_PROPERTY = "SlicerParameterName"


@dataclass
class WithinRange:
    """Validator."""

    minimum: float
    maximum: float

    def check(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value} is not within {self.minimum} to {self.maximum}")


@dataclass
class Decimals:
    """How many decimals a spin box shows."""

    value: int


@dataclass
class SingleStep:
    """How far a spin box goes per click."""

    value: float


@dataclass
class Serializer:
    """How a setting is kept in a node."""

    parameter: Parameter

    def isIn(self, node: Any, name: str) -> bool:
        return bool(node.HasParameter(name))

    def read(self, node: Any, name: str) -> Any:
        return self.parameter.read(node)

    def remove(self, node: Any, name: str) -> None:
        node.UnsetParameter(name)


class Parameter:
    """One setting: reads and writes its text, and remembers node references as references."""

    def __init__(self, name: str, hint: Any, default: Any) -> None:
        self.name = name
        arguments = (
            typing.get_args(hint) if typing.get_origin(hint) is typing.Annotated else (hint,)
        )
        self.kind, self.annotations = arguments[0], arguments[1:]
        self.default = default
        self.serializer = Serializer(self)

    @property
    def is_node(self) -> bool:
        import slicer

        return issubclass(self.kind, slicer.vtkMRMLNode)

    def starting_value(self) -> Any:
        if self.default is not None:
            return self.default
        if self.is_node:
            return None
        return next(iter(self.kind)) if issubclass(self.kind, enum.Enum) else self.kind()

    def read(self, node: Any) -> Any:
        text = node.GetParameter(self.name)
        if self.is_node:
            return node.GetNodeReference(self.name)
        if issubclass(self.kind, enum.Enum):
            return self.kind[text]
        return text == "True" if self.kind is bool else self.kind(text)

    def write(self, node: Any, value: Any) -> None:
        self.check(value)
        wasModifying = node.StartModify()
        if self.is_node:
            node.SetParameter(self.name, "")
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
        else:
            node.SetParameter(self.name, value.name if isinstance(value, enum.Enum) else str(value))
        node.EndModify(wasModifying)

    def check(self, value: Any) -> None:
        if self.is_node and value is None:
            return
        accepted = (int, float) if self.kind is float else self.kind
        if not isinstance(value, accepted):
            raise TypeError(f"{self.name} takes {self.kind.__name__}, not {value!r}")
        for annotation in self.annotations:
            if isinstance(annotation, WithinRange):
                annotation.check(value)


def parameterNodeWrapper(cls: type) -> type:
    """Turn the annotated class into a typed view of a parameter node."""
    hints = typing.get_type_hints(cls, include_extras=True)
    parameters = {n: Parameter(n, hint, getattr(cls, n, None)) for n, hint in hints.items()}

    def initialize(self: Any, node: Any) -> None:
        self.parameterNode = node
        self._guis: dict[int, list[Connection]] = {}
        self._updating = False
        for parameter in parameters.values():
            if not node.HasParameter(parameter.name):
                parameter.write(node, parameter.starting_value())

    def as_property(parameter: Parameter) -> property:
        return property(
            lambda self: parameter.read(self.parameterNode),
            lambda self, value: parameter.write(self.parameterNode, value),
        )

    def connect_gui(self: Any, gui: Any) -> None:
        """Slicer's gives no tag back, so what it connected can never be disconnected."""
        named = [w for w in vars(gui).values() if w.property(GUI_PROPERTY)]
        connect_parameters(self, {w.property(GUI_PROPERTY): w for w in named})

    def connect_parameters(self: Any, mapping: dict[str, Any]) -> int:
        import vtk

        connections = [Connection(self, parameters[name], w) for name, w in mapping.items()]
        tag = len(self._guis)
        self._guis[tag] = connections

        def update(_caller: Any, _event: Any) -> None:
            if self._updating or tag not in self._guis:
                return
            self._updating = True
            try:
                for connection in connections:
                    connection.write()
            finally:
                self._updating = False

        self.parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, update)
        return tag

    def disconnect_gui(self: Any, tag: int) -> None:
        for connection in self._guis.pop(tag):
            connection.disconnect()

    def add_observer(self: Any, event: Any, callback: Any, priority: float = 0.0) -> int:
        return int(self.parameterNode.AddObserver(event, callback, priority))

    for name, parameter in parameters.items():
        setattr(cls, name, as_property(parameter))
    members: dict[str, Any] = {
        "__init__": initialize,
        "allParameters": parameters,
        "connectGui": connect_gui,
        "connectParametersToGui": connect_parameters,
        "disconnectGui": disconnect_gui,
        "AddObserver": add_observer,
        "RemoveObserver": lambda self, tag: self.parameterNode.RemoveObserver(tag),
        "StartModify": lambda self: self.parameterNode.StartModify(),
        "EndModify": lambda self, was: self.parameterNode.EndModify(was),
        "Modified": lambda self: self.parameterNode.Modified(),
    }
    for name, member in members.items():
        if name != "__init__" and name in vars(cls):
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
        setattr(cls, name, member)
    return cls


class Connection:
    """One widget kept equal to one setting, by the rules of Slicer's connectors."""

    def __init__(self, owner: Any, parameter: Parameter, widget: Any) -> None:
        self._owner, self._parameter, self._widget = owner, parameter, widget
        self._prepare()
        self.write()
        getattr(widget, self._signal).connect(self._changed)

    def disconnect(self) -> None:
        getattr(self._widget, self._signal).disconnect(self._changed)

    def _prepare(self) -> None:
        import ctk
        import qt
        import slicer

        kind, widget = self._parameter.kind, self._widget
        if kind is bool and type(widget) is qt.QCheckBox:
            self._signal, self._attribute = "stateChanged", "checked"
        elif kind is float and type(widget) in (qt.QDoubleSpinBox, ctk.ctkSliderWidget):
            self._signal, self._attribute = "valueChanged", "value"
            self._apply_annotations()
        elif isinstance(kind, enum.EnumMeta) and type(widget) is qt.QComboBox:
            self._signal, self._attribute = "currentIndexChanged", "currentIndex"
            widget.clear()
            for member in kind:
                widget.addItem(kind.label(member) if hasattr(kind, "label") else member.name)
        elif self._parameter.is_node and type(widget) is slicer.qMRMLNodeComboBox:
            self._signal, self._attribute = "currentNodeChanged", ""
            widget.nodeTypes = [kind.__name__]
        else:
            raise RuntimeError(f"No connector from {kind} to {type(widget)}")

    def _apply_annotations(self) -> None:
        for annotation in self._parameter.annotations:
            if isinstance(annotation, Decimals):
                self._widget.decimals = annotation.value
            elif isinstance(annotation, SingleStep):
                self._widget.singleStep = annotation.value
            elif isinstance(annotation, WithinRange):
                self._widget.minimum, self._widget.maximum = annotation.minimum, annotation.maximum

    def write(self) -> None:
        value = self._parameter.read(self._owner.parameterNode)
        if not self._attribute:
            self._widget.setCurrentNode(value)
            return
        if isinstance(value, enum.Enum):
            value = list(self._parameter.kind).index(value)
        # Slicer's writes what is there already, too, which puts a spin box's text in order.
        setattr(self._widget, self._attribute, value)

    def _changed(self) -> None:
        if self._owner._updating:
            return
        value = (
            getattr(self._widget, self._attribute)
            if self._attribute
            else self._widget.currentNode()
        )
        if isinstance(self._parameter.kind, enum.EnumMeta):
            value = list(self._parameter.kind)[value]
        self._parameter.write(self._owner.parameterNode, value)


EXPORTS = {
    "parameterNodeWrapper": parameterNodeWrapper,
    "WithinRange": WithinRange,
    "Decimals": Decimals,
    "SingleStep": SingleStep,
    "SlicerParameterNamePropertyName": GUI_PROPERTY,
}
