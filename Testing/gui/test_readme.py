"""What README.md shows for Slicer's console runs as it is printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import slicer

from Testing.gui.batch import add_sequence
from Testing.gui.fakes import FakeWorker, catalog
from Testing.gui.volumes import add_head

README = Path(__file__).resolve().parents[2] / "README.md"


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
