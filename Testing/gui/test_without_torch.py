"""The module opens and filters run where neither torch nor monai is installed."""

from __future__ import annotations

from pathlib import Path

from Testing.fresh_python import printed
from Testing.slicer_scene import REPOSITORY

HIDE = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "monai", "safetensors"):
            return None
        return super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""

OPEN = """
from Testing.gui import standins
standins.install()
from Testing.slicer_scene import start_scene
start_scene()
from Testing.gui.driver import PanelDriver, close_panels
from Testing.gui.volumes import add_head
import sys, slicer

add_head()
panel = PanelDriver()
panel.ui.setupCollapsibleButton.collapsed = False
panel.breathe()
print("packages:", panel.ui.packagesLabel.text)
models = panel.widget.logic.catalog.models("denoise")
model = next((m for m in models if m.is_trained and m.modality == "MR"), None)
print("trained:", model is not None)
if model is not None:
    panel.choose_model(model.title)
    slicer.util.confirmOkCancelDisplay = lambda *args, **kwargs: False
    panel.click("applyButton")
    print("declined:", panel.status)
panel.choose_model("Median")
panel.apply()
panel.wait_for_end()
print("filter:", panel.status)
close_panels()
print("imported:", sorted({"torch", "monai"} & set(sys.modules)))
"""


def test_panel_without_torch(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDE)
    said = printed(OPEN, REPOSITORY, tmp_path)
    assert said["packages"].startswith("Missing or too old: torch, monai")
    assert said["trained"] == "True"
    assert "as you chose" in said["declined"]
    assert said["filter"].startswith("Done: Head denoised (filtered)")
    assert said["imported"] == "[]"
