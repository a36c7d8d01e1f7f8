"""What tests of the results section have in common."""

from __future__ import annotations

from typing import Any

import slicer

from Testing.gui.driver import PanelDriver
from Testing.gui.standins.pythonqt import unwrap


def head() -> Any:
    return slicer.util.getNode("Head")


def composite(name: str = "Red") -> Any:
    return slicer.app.layoutManager().sliceWidget(name).sliceLogic().GetSliceCompositeNode()


def show(panel: PanelDriver, node: Any) -> Any:
    """Let the panel find a result that was made elsewhere."""
    panel.leave()
    panel.enter()
    panel.breathe()
    if panel.ui.resultSelector.currentNode() is not node:
        panel.ui.resultSelector.setCurrentNode(node)
        panel.breathe()
    assert panel.ui.resultSelector.currentNode() is node
    return node


def row_of(table: Any, row: int) -> list[str]:
    native = unwrap(table)
    return [native.item(row, c).text() for c in range(3)]


def click_row(panel: PanelDriver, table: Any, row: int) -> None:
    unwrap(table).cellClicked.emit(row, 1)
    panel.breathe()


def blend(panel: PanelDriver, strength: float) -> None:
    panel.set_number("blendSlider", strength)
    result = panel.ui.resultSelector.currentNode()
    panel.wait_until(lambda: result.GetAttribute("MedEnhance.Strength") == repr(strength))
