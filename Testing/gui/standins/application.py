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
        self.views: Any = None

    def connect(self, signature: str, slot: Callable[..., Any]) -> bool:
        self.slots[signature].append(slot)
        return True

    def disconnect(self, signature: str, slot: Callable[..., Any]) -> bool:
        self.slots[signature].remove(slot)
        return True

    def processEvents(self) -> None:
        QtWidgets.QApplication.processEvents()

    def testingEnabled(self) -> bool:
        return self.testing

    def moduleManager(self) -> ModuleManager:
        return self.manager

    def layoutManager(self) -> Any:
        return self.views

    def settings(self) -> Settings:
        return Settings()

    def userSettings(self) -> Settings:
        return Settings()

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
    """Empty settings."""

    def value(self, _key: str, default: Any = None) -> Any:
        return default

    def contains(self, _key: str) -> bool:
        return False


def install(slicer: Any) -> None:
    """Set `slicer.app` and `slicer.modules`."""
    slicer.app = Application()
    slicer.modules = types.SimpleNamespace(medenhance=types.SimpleNamespace(path=str(MODULE_FILE)))
    slicer.selfTests = {}
