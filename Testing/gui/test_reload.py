"""Reloading the module, as developers do, reads all its code again and ends the old process."""

from __future__ import annotations

import importlib
import sys

import pytest

from Testing.fresh_python import printed
from Testing.slicer_scene import REPOSITORY

RELOAD = """
from Testing.gui import standins
standins.install()
from Testing.slicer_scene import start_scene
start_scene()
import sys, slicer
from Testing.gui.driver import PanelDriver, close_panels
from Testing.gui.standins.pythonqt import unwrap
from Testing.gui.volumes import add_head

def run():
    panel = PanelDriver()
    panel.choose_model("Median")
    panel.apply()
    panel.wait_for_end()
    return panel

add_head()
old = run()
worker = old.widget.logic.runner._worker
import MedEnhance
script = MedEnhance.MedEnhanceLogic().process(
    slicer.util.getNode("Head"), "denoise", "filter-median", wait=False
)
helpers = sys.modules["MedEnhanceSlicer.jobs"], sys.modules["MedEnhanceLib.volume"]
slicer.modules.medenhance.widgetRepresentation = lambda: old.parent
slicer.modules.MedEnhanceWidget = old.widget
old.widget.onReload()
print("ended:", not worker.alive)
print("script:", script.state)
print("announced:", unwrap(old.parent).__dict__["reloaded"])
from Testing.gui import driver
driver._open.clear()
new = run()
fresh = sys.modules["MedEnhanceSlicer.jobs"], sys.modules["MedEnhanceLib.volume"]
print("fresh:", all(a is not b for a, b in zip(helpers, fresh)))
print("status:", new.status)
close_panels()
"""


def test_reload() -> None:
    said = printed(RELOAD, REPOSITORY)
    assert said["ended"] == "True"
    assert said["script"] == "cancelled"
    assert said["announced"] == "True"
    assert said["fresh"] == "True"
    assert said["status"].startswith("Done: Head denoised (filtered)")


def test_an_older_slicer_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import MedEnhanceSlicer

    monkeypatch.setattr(sys, "version_info", (3, 9, 10))
    with pytest.raises(ImportError, match=r"needs Slicer 5\.10 or newer, .* Python 3\.9; install"):
        importlib.reload(MedEnhanceSlicer)
