"""README.md's lines for Slicer's console run, and what it and errors name in the panel is there."""

from __future__ import annotations

import ast
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import slicer

from Testing.gui.batch import add_sequence
from Testing.gui.fakes import FakeWorker, catalog
from Testing.gui.volumes import add_head

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
OF_SLICER = {"medenhance", "sample data", "edit > application settings > modules"}


class PromptWorker(FakeWorker):
    """Answers at once."""

    def submit(self, *arguments: Any, **named: Any) -> str:
        job = super().submit(*arguments, **named)
        self.succeed()
        return job


def test_the_lines_for_the_console_run(
    scene: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from MedEnhanceSlicer import jobs, modelFolders

    monkeypatch.setattr(jobs, "_shared", jobs.JobRunner(PromptWorker()))
    monkeypatch.setattr(modelFolders, "readCatalog", catalog)
    add_head()
    add_sequence().SetName("Sequence")
    region = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    region.SetCenter(12, 12, 6)
    region.SetSize(18, 18, 10)
    made: dict[str, Any] = {"getNode": slicer.util.getNode}
    exec(console_lines(), made)
    assert made["beat"].GetNumberOfDataNodes() == 2
    assert made["labels"].IsA("vtkMRMLSegmentationNode")
    assert "<Job 'Head': done>" in capsys.readouterr().out


def console_lines() -> str:
    found = re.search(
        r"Python console:\n\n```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL
    )
    assert found is not None
    return found[1]


def test_names_in_the_steps_for_slicer_stand_in_the_panel() -> None:
    steps = README.read_text("utf-8").split("## In 3D Slicer")[1].split("The following pictures")[0]
    named = {plain(" ".join(name.split())) for name in re.findall(r"\*+([^*]+)\*+", steps)}
    assert "apply" in named
    assert named - OF_SLICER <= set(texts_in_the_panel())


def test_errors_point_to_places_that_the_panel_has() -> None:
    told = " ".join(texts_of(ROOT / "MedEnhanceLib"))
    named = [
        n for place in re.findall(r"\(in the panel: (.*?)\)", told) for n in place.split(" > ")
    ]
    assert "Precision" in named
    assert {plain(name) for name in named} <= set(texts_in_the_panel())


def texts_in_the_panel() -> Iterator[str]:
    """What stands on widgets: in the forms, or put there by the code."""
    yield from (plain(text) for text in texts_of(ROOT / "MedEnhance"))
    for form in (ROOT / "MedEnhance/Resources/UI").glob("*.ui"):
        for prop in ElementTree.parse(form).iter("property"):
            if prop.get("name") == "text":
                yield plain(prop.findtext("string", ""))


def texts_of(folder: Path) -> Iterator[str]:
    """All literals in the code below a folder."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def plain(text: str) -> str:
    """A name without what a label adds to it."""
    return text.lower().rstrip(".:")
