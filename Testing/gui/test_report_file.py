"""The file of a report."""

from __future__ import annotations

from pathlib import Path

import pytest
from MedEnhanceSlicer.resultNode import ResultNode

from MedEnhanceLib.errors import FileError
from Testing.gui.driver import PanelDriver
from Testing.gui.results import head, show
from Testing.slicer.grids import bent_transform
from Testing.slicer.results import denoised, segmented


def test_a_report_that_cannot_be_written_whole_leaves_the_old_one(
    panel: PanelDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from MedEnhanceSlicer.reportFile import saveReport

    def half(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    old = tmp_path / "report.html"
    old.write_text("the old report")
    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(FileError, match="No space left"):
        saveReport(ResultNode(denoised(head())), old)
    assert old.read_text() == "the old report" and list(tmp_path.iterdir()) == [old]


def test_an_ending_that_is_added_leads_to_no_file_that_is_there(
    panel: PanelDriver, tmp_path: Path
) -> None:
    from MedEnhanceSlicer.reportFile import saveReport

    result = ResultNode(denoised(head()))
    assert saveReport(result, tmp_path / "report") == tmp_path / "report.html"
    (tmp_path / "report.html").write_text("precious")
    with pytest.raises(FileError, match=r"There is a 'report.html' already"):
        saveReport(result, tmp_path / "report")
    assert (tmp_path / "report.html").read_text() == "precious"
    saveReport(result, tmp_path / "report.html")


def test_a_result_that_was_warped_with_its_input_is_compared_and_reported(
    panel: PanelDriver, tmp_path: Path
) -> None:
    from MedEnhanceSlicer.reportFile import saveReport

    node, segmentation = denoised(head()), segmented(head())
    warp = bent_transform()
    for moved in (head(), node, segmentation):
        moved.SetAndObserveTransformNodeID(warp.GetID())
    show(panel, node)
    assert panel.ui.resultNoteLabel.text == "" and panel.ui.blendWidget.visible
    for result in (node, segmentation):
        path = saveReport(ResultNode(result), tmp_path / f"{result.GetName()}.html")
        assert path.read_text("utf-8").count("<img") == 1
