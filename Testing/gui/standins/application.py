"""`slicer.app` and `slicer.modules` as far as a scripted module needs them."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtWidgets

from .pythonqt import unwrap

MODULE_FILE = Path(__file__).resolve().parents[3] / "MedEnhance" / "MedEnhance.py"


class Application:
    """The application object; anything it lacks raises AttributeError."""

    isStandIn = True
    SIGNALS = ("startupCompleted()", "aboutToQuit()")

    def __init__(self) -> None:
        self.applicationName = "Slicer"
        self.temporaryPath = QtCore.QDir.tempPath()
        self.slots: dict[str, list[Callable[..., Any]]] = {name: [] for name in self.SIGNALS}
        self.testing = True
        self.manager = ModuleManager()
        self.overrideCursors = 0
        self.stored = Settings()
        self.views: Any = None

    def connect(self, signature: str, slot: Callable[..., Any]) -> bool:
        self.slots[signature].append(slot)
        return True

    def disconnect(self, signature: str, slot: Callable[..., Any]) -> bool:
        self.slots[signature].remove(slot)
        return True

    def topLevelWidgets(self) -> list[Any]:
        """There is no main window."""
        return []

    def processEvents(self) -> None:
        QtWidgets.QApplication.processEvents()

    def testingEnabled(self) -> bool:
        return self.testing

    def moduleManager(self) -> ModuleManager:
        return self.manager

    def layoutManager(self) -> Any:
        return self.views

    def settings(self) -> Settings:
        return self.stored

    def userSettings(self) -> Settings:
        return self.stored

    def commandOptions(self) -> Any:
        return types.SimpleNamespace(noMainWindow=True, testingEnabled=self.testing)

    def setOverrideCursor(self, cursor: Any) -> None:
        unwrap(cursor)
        self.overrideCursors += 1

    def restoreOverrideCursor(self) -> None:
        self.overrideCursors -= 1

    def translate(self, _context: str, text: str) -> str:
        return text


class ModuleManager:
    """Unloading is announced to the module's widget."""

    def __init__(self) -> None:
        self.slots: list[Callable[[str], Any]] = []

    def connect(self, signature: str, slot: Callable[[str], Any]) -> bool:
        assert signature == "moduleAboutToBeUnloaded(QString)"
        self.slots.append(slot)
        return True

    def disconnect(self, signature: str, slot: Callable[[str], Any]) -> bool:
        assert signature == "moduleAboutToBeUnloaded(QString)"
        self.slots.remove(slot)
        return True


class Settings:
    """Settings that last as long as the application object."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def value(self, key: str, default: Any = None) -> Any:
        return self._values.get(key, default)

    def setValue(self, key: str, value: Any) -> None:
        self._values[key] = value

    def contains(self, key: str) -> bool:
        return key in self._values

    def clear(self) -> None:
        self._values.clear()

    def remove(self, key: str) -> None:
        self._values.pop(key, None)


def install(slicer: Any) -> None:
    """Set `slicer.app` and `slicer.modules`."""
    slicer.app = Application()
    slicer.modules = types.SimpleNamespace(medenhance=types.SimpleNamespace(path=str(MODULE_FILE)))
    slicer.selfTests = {}
