"""Reports: where they are saved, of which result, and what is in the file."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import slicer
from MedEnhanceSlicer.resultNode import ResultNode

from MedEnhanceLib.errors import FileError
from Testing.gui.driver import PanelDriver
from Testing.gui.fakes import FakeWorker
from Testing.gui.results import head, show
from Testing.slicer.grids import bent_transform
from Testing.slicer.results import denoised, segmented


@pytest.fixture
def panel(views: Any, panel: PanelDriver) -> PanelDriver:
    """In an application with views."""
    return panel


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


@pytest.mark.parametrize("name", ["report.html", "report.pdf", "report"])
def test_a_report_is_saved(
    panel: PanelDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    from MedEnhanceSlicer import reportPart

    head().SetName("Doe Jane 1970-01-02")
    show(panel, denoised(slicer.util.getNode("Doe Jane 1970-01-02")))
    monkeypatch.setattr(reportPart, "askForFile", lambda parent: str(tmp_path / name))
    panel.click("saveReportButton")
    (path,) = tmp_path.iterdir()
    assert path.name in panel.ui.reportNoteLabel.text
    content = path.read_bytes()
    assert content.startswith(b"%PDF" if name.endswith("pdf") else b"<!DOCTYPE html>")
    assert b"Doe Jane" not in content and b"1970-01-02" not in content
    if not name.endswith("pdf"):
        assert b"data:image/png" in content and b"Research use only" in content


def test_a_report_is_proposed_beside_the_scene(
    scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from MedEnhanceSlicer import reportFile

    def dialog(_parent: Any, _title: str, proposed: str, _kinds: str) -> str:
        return proposed

    native = SimpleNamespace(QFileDialog=SimpleNamespace(getSaveFileName=dialog))
    monkeypatch.setattr(reportFile, "qt", native)
    scene.SetRootDirectory(str(tmp_path))
    assert Path(reportFile.askForFile()) == tmp_path / "medenhance_report.html"


def test_a_report_that_cannot_be_written_says_so(
    panel: PanelDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from MedEnhanceSlicer import reportPart

    show(panel, segmented(head()))
    nowhere = str(tmp_path / "nowhere" / "report.html")
    monkeypatch.setattr(reportPart, "askForFile", lambda parent: nowhere)
    panel.click("saveReportButton")
    assert "choose another folder" in panel.ui.reportNoteLabel.text
    monkeypatch.setattr(reportPart, "askForFile", lambda parent: "")
    panel.click("saveReportButton")


def test_a_report_says_that_the_input_is_another_one(panel: PanelDriver, tmp_path: Path) -> None:
    from MedEnhanceSlicer.reportFile import saveReport

    node = denoised(head(), strength=0.5)
    node.SetAttribute("MedEnhance.Provenance", '{"input_sha256": "another"}')
    content = saveReport(ResultNode(node), tmp_path / "report.html").read_text("utf-8")
    assert "no longer, what the model saw" in content and "data:image/png" not in content


def test_a_report_is_of_the_result_that_it_was_asked_for(
    panel: PanelDriver, worker: FakeWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from MedEnhanceSlicer import reportPart

    wanted = show(panel, denoised(head()))
    saved: list[Any] = []

    def run_ends(parent: Any) -> str:
        panel.apply()
        worker.succeed()
        panel.wait_for_end()
        assert panel.ui.resultSelector.currentNode() is not wanted
        return str(tmp_path / "report.html")

    def save(result: Any, path: str) -> str:
        saved.append(result.node)
        return path

    monkeypatch.setattr(reportPart, "askForFile", run_ends)
    monkeypatch.setattr(reportPart, "saveReport", save)
    panel.click("saveReportButton")
    assert saved == [wanted]


def test_a_report_of_a_result_that_is_removed_meanwhile_is_not_saved(
    panel: PanelDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from MedEnhanceSlicer import reportPart

    denoised(head())
    node = show(panel, denoised(head()))

    def removed(parent: Any) -> str:
        slicer.mrmlScene.RemoveNode(node)
        return str(tmp_path / "report.html")

    monkeypatch.setattr(reportPart, "askForFile", removed)
    panel.click("saveReportButton")
    assert "was removed from the scene" in panel.ui.reportNoteLabel.text
    assert not list(tmp_path.iterdir())


def test_a_report_of_a_result_on_another_grid_has_no_picture(
    panel: PanelDriver, tmp_path: Path
) -> None:
    from MedEnhanceSlicer.reportFile import saveReport

    node = denoised(head())
    slicer.util.updateVolumeFromArray(node, slicer.util.arrayFromVolume(node)[:, :-2].copy())
    content = saveReport(ResultNode(node), tmp_path / "report.html").read_text("utf-8")
    assert "in the place of the result" in content and "data:image/png" not in content
