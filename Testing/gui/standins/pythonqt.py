"""Qt objects with the manners of PythonQt.

A `Wrapper` holds a real PySide6 object and looks its attributes up in Qt's meta-object, as PythonQt
does: properties are attributes (so `button.text()` is an error), signals are connected by signature
or by attribute, enumerators are whole numbers. What Qt does not know raises.
"""

from __future__ import annotations

import enum
import inspect
import traceback
import types
from collections.abc import Callable
from typing import Any

import shiboken6
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

SOURCES = (QtCore, QtGui, QtWidgets, QtUiTools)
PLAIN = (QtWidgets.QListWidgetItem, QtWidgets.QTableWidgetItem)

slot_errors: list[str] = []
"""Tracebacks of exceptions that escaped from slots; a test with any of them has failed."""

_classes: dict[type, type] = {}
_instances: dict[int, Wrapper] = {}
_adapters: dict[tuple[int, str, Any], Any] = {}


class Enumerator(int):
    """An enumerator as PythonQt shows it, a number; remembers PySide6's own value."""

    native: Any

    def __new__(cls, native: enum.Enum) -> Enumerator:
        self = super().__new__(cls, native.value)
        self.native = native
        return self

    def __or__(self, other: Any) -> Any:
        """Flags add up to flags."""
        if isinstance(other, Enumerator):
            return Enumerator(self.native | other.native)
        return super().__or__(other)


class WrapperMeta(type):
    """Static methods and enumerators of the wrapped class."""

    native: type

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        value = getattr(cls.native, name)
        if isinstance(value, enum.Enum):
            return Enumerator(value)
        if isinstance(value, enum.EnumMeta):
            return value
        if callable(value):
            return _method(value)
        raise AttributeError(f"{cls.__name__} has no static attribute '{name}'")

    def __call__(cls, *args: Any) -> Any:
        if cls is Wrapper:
            raise TypeError("Wrapper is abstract")
        return wrap(cls.native(*[unwrap(a) for a in args]))


class Wrapper(metaclass=WrapperMeta):
    """A Qt object seen through its meta-object."""

    native = QtCore.QObject
    _object: Any

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        target = self._target()
        if name == "name":
            name = "objectName"
        if name == "className":
            return lambda: target.metaObject().className()
        if name == "connect":
            return self._connect
        if name == "disconnect":
            return self._disconnect
        meta = target.metaObject()
        if meta.indexOfProperty(name) >= 0:
            return wrap(target.property(name))
        if _signal_names(target, name):
            return SignalProxy(target, name, None)
        hidden = name[2:3].lower() + name[3:]
        if name.startswith("is") and meta.indexOfProperty(hidden) >= 0:
            raise AttributeError(f"{meta.className()}.{name}(): use the property '{hidden}'")
        value = getattr(target, name, None)
        if not callable(value):
            raise AttributeError(f"{meta.className()} has no attribute '{name}'")
        return _method(value)

    def __setattr__(self, name: str, value: Any) -> None:
        target = self._target()
        meta = target.metaObject()
        if name == "name":
            name = "objectName"
        index = meta.indexOfProperty(name)
        if index < 0:
            raise AttributeError(f"{meta.className()} has no property '{name}' to set")
        declared = meta.property(index)
        if not declared.isWritable():
            raise AttributeError(f"{meta.className()}.{name} is read-only")
        _check_type(meta.className(), name, declared.typeName(), value)
        if not target.setProperty(name, unwrap(value)):
            raise TypeError(f"{meta.className()}.{name} cannot be {value!r}")

    def __bool__(self) -> bool:
        return shiboken6.isValid(self._object)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} '{self._object.objectName()}'>"

    def _target(self) -> Any:
        target = object.__getattribute__(self, "_object")
        if not shiboken6.isValid(target):
            raise ValueError("Trying to use a Qt object that was destroyed")
        return target

    def _connect(self, signature: str, slot: Callable[..., Any]) -> bool:
        return SignalProxy.from_signature(self._target(), signature).connect(slot)

    def _disconnect(self, signature: str, slot: Callable[..., Any]) -> bool:
        return SignalProxy.from_signature(self._target(), signature).disconnect(slot)


class SignalProxy:
    """A signal of one object; with a number of arguments when it was named by signature."""

    def __init__(self, target: Any, name: str, arguments: int | None) -> None:
        self._target, self._name, self._arguments = target, name, arguments

    @classmethod
    def from_signature(cls, target: Any, signature: str) -> SignalProxy:
        """By "name(type,type)"; raises when there is no such signal."""
        aliases: dict[str, str] = getattr(target, "SIGNATURES", {})
        if signature in aliases:
            name = aliases[signature]
        else:
            name = signature.split("(")[0]
            if bytes(
                QtCore.QMetaObject.normalizedSignature(signature)
            ).decode() not in _signal_names(target, name):
                raise AttributeError(f"{target.metaObject().className()} has no signal {signature}")
        inside = signature.split("(")[1].rstrip(")")
        return cls(target, name, inside.count(",") + 1 if inside else 0)

    def connect(self, slot: Callable[..., Any]) -> bool:
        """Call the slot whenever the signal is emitted; surplus arguments are left out."""
        accepted = _accepted_arguments(slot)

        def adapter(*args: Any) -> None:
            limits = [n for n in (self._arguments, accepted) if n is not None]
            args = args[: min(limits)] if limits else args
            try:
                slot(*[wrap(a) for a in args])
            except Exception:
                slot_errors.append(traceback.format_exc())

        _adapters[self._key(slot)] = adapter
        getattr(self._target, self._name).connect(adapter)
        return True

    def disconnect(self, slot: Callable[..., Any]) -> bool:
        """Raises when the slot was not connected."""
        adapter = _adapters.pop(self._key(slot))
        return bool(getattr(self._target, self._name).disconnect(adapter))

    def emit(self, *args: Any) -> None:
        """Emit the signal."""
        getattr(self._target, self._name).emit(*[unwrap(a) for a in args])

    def _key(self, slot: Any) -> tuple[int, str, Any]:
        return (shiboken6.getCppPointer(self._target)[0], self._name, slot)


class QtModule(types.ModuleType):
    """The module `qt` (PySide6's classes wrapped) or `ctk` (a fixed set)."""

    def __init__(self, name: str, contents: dict[str, Any], plain: bool = True) -> None:
        super().__init__(name)
        vars(self).update(contents)
        self._plain = plain

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not vars(self).get("_plain"):
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        if name == "Qt":
            return _Namespace()
        for source in SOURCES:
            native = getattr(source, name, None)
            if isinstance(native, type):
                value = _shown_class(native)
                setattr(self, name, value)
                return value
        raise AttributeError(f"module 'qt' has no attribute '{name}'")


def _shown_class(native: type) -> Any:
    """What stands for a class of Qt: its wrapper, or itself for a mere value such as a colour."""
    if issubclass(native, QtCore.QObject):
        return wrapper_class(native)
    if native in PLAIN:
        return lambda *args: PlainWrapper(native(*[unwrap(a) for a in args]))
    return native


class _Namespace:
    def __getattr__(self, name: str) -> Enumerator:
        return Enumerator(getattr(QtCore.Qt, name))


class PlainWrapper:
    """A Qt value that is no QObject, such as an entry of a list: methods only."""

    def __init__(self, native: Any) -> None:
        self.native = native

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.native, name)
        if not callable(value):
            raise AttributeError(f"{type(self.native).__name__} has no method '{name}'")
        return _method(value)


def wrap(value: Any) -> Any:
    """A value that comes out of Qt."""
    if isinstance(value, PLAIN):
        return PlainWrapper(value)
    if isinstance(value, QtCore.QObject):
        key = shiboken6.getCppPointer(value)[0]
        known = _instances.get(key)
        if known is not None and known._object is value:
            return known
        wrapper = object.__new__(wrapper_class(type(value)))
        object.__setattr__(wrapper, "_object", value)
        _instances[key] = wrapper
        return wrapper
    if isinstance(value, enum.Enum):
        return Enumerator(value)
    if isinstance(value, list):
        return [wrap(v) for v in value]
    return value


def unwrap(value: Any) -> Any:
    """A value that goes into Qt."""
    if isinstance(value, Wrapper):
        return value._target()
    if isinstance(value, (Enumerator, PlainWrapper)):
        return value.native
    if isinstance(value, WrapperMeta):
        return value.native
    if isinstance(value, (list, tuple)):
        return type(value)(unwrap(v) for v in value)
    return value


def wrapper_class(native: type) -> type:
    """The wrapper class of a PySide6 class; subclasses follow Qt's."""
    if native not in _classes:
        parent = native.__mro__[1] if native is not QtCore.QObject else None
        is_object = isinstance(parent, type) and issubclass(parent, QtCore.QObject)
        base = wrapper_class(parent) if is_object else Wrapper
        _classes[native] = WrapperMeta(native.__name__, (base,), {"native": native})
    return _classes[native]


def wrapper_classes(natives: tuple[type, ...]) -> dict[str, type]:
    """Wrapper classes by name."""
    return {native.__name__: wrapper_class(native) for native in natives}


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        result = wrap(function(*[_guarded(unwrap(a)) for a in args]))
        return tuple(result) if result == [] else result

    return call


def _guarded(argument: Any) -> Any:
    """Python callables handed to Qt (timers) report their exceptions."""
    if not inspect.isroutine(argument):
        return argument

    def guarded() -> None:
        try:
            argument()
        except Exception:
            slot_errors.append(traceback.format_exc())

    return guarded


def _signal_names(target: Any, name: str) -> set[str]:
    meta = target.metaObject()
    methods = (meta.method(i) for i in range(meta.methodCount()))
    return {
        bytes(m.methodSignature()).decode()
        for m in methods
        if m.methodType() == QtCore.QMetaMethod.MethodType.Signal
        and bytes(m.name()).decode() == name
    }


def _accepted_arguments(slot: Callable[..., Any]) -> int | None:
    try:
        parameters = inspect.signature(slot).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def _check_type(owner: str, name: str, type_name: str, value: Any) -> None:
    accepted: dict[str, tuple[type, ...]] = {
        "bool": (bool, int),
        "QString": (str,),
        "int": (int, float),
        "double": (int, float),
    }
    if type_name in accepted and not isinstance(value, accepted[type_name]):
        raise TypeError(f"{owner}.{name} is {type_name}, not {type(value).__name__} ({value!r})")
