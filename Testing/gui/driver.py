"""Drives the panel as a user does: by clicking and choosing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtTest, QtWidgets

from Testing.gui.standins.pythonqt import unwrap
from Testing.slicer_scene import REPOSITORY

PATIENCE_S = 120.0
PICTURES = REPOSITORY / "out" / "panel"
_open: list[PanelDriver] = []


class PanelDriver:
    """An open panel.

    Args:
        logic: a MedEnhanceLogic to use instead of the module's own.
    """

    def __init__(self, logic: Any = None) -> None:
        import qt
        import slicer

        import MedEnhance

        class Widget(MedEnhance.MedEnhanceWidget):  # type: ignore[misc]
            def createLogic(self) -> Any:
                return logic or super().createLogic()

        Widget.__name__ = "MedEnhanceWidget"
        self.parent = slicer.qSlicerScriptedLoadableModuleWidget()
        self.parent.setLayout(qt.QVBoxLayout())
        self.parent.setMRMLScene(slicer.mrmlScene)
        self.widget = Widget(self.parent)
        self.widget.setup()
        self.enter()
        self.parent.resize(360, 560)
        self.parent.show()
        _open.append(self)
        self.breathe()

    @property
    def ui(self) -> Any:
        return self.widget.ui

    @property
    def parameters(self) -> Any:
        return self.widget._parameterNode

    @property
    def status(self) -> str:
        return str(self.ui.statusLabel.text)

    def enter(self) -> None:
        """The user opens the module."""
        self.parent.isEntered = True
        self.widget.enter()

    def leave(self) -> None:
        """The user goes to another module."""
        self.parent.isEntered = False
        self.widget.exit()

    def click(self, name: str) -> None:
        """Click a button or check box; it must be visible and enabled."""
        widget = unwrap(getattr(self.ui, name))
        assert widget.isVisible(), f"{name} is hidden"
        assert widget.isEnabled(), f"{name} is disabled: {widget.toolTip()}"
        widget.click()
        self.breathe()

    def choose(self, name: str, text: str) -> None:
        """Choose the entry of a combo box that starts with the text."""
        widget = unwrap(getattr(self.ui, name))
        combo = widget if isinstance(widget, QtWidgets.QComboBox) else widget._combo
        entries = [combo.itemText(i) for i in range(combo.count())]
        matches = [i for i, entry in enumerate(entries) if entry.startswith(text)]
        assert matches, f"{name} offers {entries}, not '{text}'"
        if combo is widget:
            combo.setCurrentIndex(matches[0])
        else:
            widget.choose(matches[0])
        self.breathe()

    def choose_task(self, text: str) -> None:
        """Click one of the three large buttons, by the task's name."""
        names = {
            "Denoise": "denoiseButton",
            "Super-resolution": "superResolutionButton",
            "Segment": "segmentButton",
        }
        self.click(names[text])

    def choose_model(self, text: str) -> None:
        """Click the model in the list that starts with the text."""
        models = unwrap(self.ui.modelListWidget)
        entries = [models.item(row).text() for row in range(models.count())]
        row = next((n for n, entry in enumerate(entries) if entry.startswith(text)), None)
        assert row is not None, f"the models are {entries}, not '{text}'"
        assert models.isVisible() and models.isEnabled()
        assert not models.item(row).isHidden(), f"{entries[row]} is not shown"
        models.setCurrentRow(row)
        self.breathe()

    @property
    def model(self) -> str:
        """The chosen entry of the list of models."""
        return str(unwrap(self.ui.modelListWidget).currentItem().text())

    def type(self, name: str, text: str) -> None:
        """Type into a line of text."""
        getattr(self.ui, name).text = text
        self.breathe()

    def set_number(self, name: str, value: float) -> None:
        """Type a number."""
        getattr(self.ui, name).value = value
        self.breathe()

    def type_number(self, name: str, text: str) -> None:
        """Type a number key by key into a spin box, as yet without leaving it."""
        spin_box = unwrap(getattr(self.ui, name))
        assert spin_box.isVisible() and spin_box.isEnabled()
        spin_box.selectAll()
        QtTest.QTest.keyClicks(spin_box, text)
        self.breathe()

    def tick(self, row: int, ticked: bool) -> None:
        """Tick a structure of the segmentation model."""
        item = unwrap(self.ui.labelsListWidget).item(row)
        state = QtCore.Qt.CheckState
        item.setCheckState(state.Checked if ticked else state.Unchecked)
        self.breathe()

    def apply(self) -> Any:
        """Click Apply; the job that runs."""
        assert self.ui.applyButton.text == "Apply"
        self.click("applyButton")
        return self.widget.panel.job

    def wait_until(self, condition: Callable[[], Any]) -> None:
        """Let Slicer's event loop run until something is so."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, f"still waiting; the panel says '{self.status}'"
            self.breathe()
            time.sleep(0.01)

    def wait_for_end(self) -> None:
        """Let the run come to its end."""
        self.wait_until(lambda: self.widget.panel.job is None)

    def breathe(self) -> None:
        """Let Qt handle what is pending."""
        QtWidgets.QApplication.processEvents()

    def picture(self, name: str, width: int = 360) -> Path:
        """Write the panel's picture to out/panel."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        native = unwrap(self.parent)
        for _ in range(3):
            native.updateGeometry()
            self.breathe()
            native.resize(width, native.heightForWidth(width))
        self.breathe()
        path = PICTURES / f"{name}.png"
        assert native.grab().save(str(path))
        return path

    def close(self) -> None:
        """The application closes the module."""
        self.widget.cleanup()
        unwrap(self.parent).deleteLater()


OpenPanel = Callable[..., PanelDriver]


def close_panels() -> None:
    """Close what the tests opened."""
    while _open:
        _open.pop().close()
    QtWidgets.QApplication.processEvents()
