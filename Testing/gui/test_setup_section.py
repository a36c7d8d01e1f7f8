"""Settings and set-up: folders, import, trust, what is remembered, whether all is in place."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import qt
import slicer

from MedEnhanceLib.catalog import Catalog
from MedEnhanceLib.resources import models_folder
from Testing.gui.driver import OpenPanel, PanelDriver
from Testing.gui.fakes import FakeWorker
from Testing.gui.volumes import add_head


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's models are kept away from those of whoever runs the tests."""
    monkeypatch.setenv("MEDENHANCE_MODELS", str(tmp_path / "own"))


@pytest.fixture
def panel(open_panel: OpenPanel, worker: FakeWorker) -> PanelDriver:
    from MedEnhanceSlicer.jobs import JobRunner

    import MedEnhance

    add_head()
    opened = open_panel(MedEnhance.MedEnhanceLogic(JobRunner(worker)))
    opened.ui.setupCollapsibleButton.collapsed = False
    opened.breathe()
    return opened


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of a shipped bundle under another name."""
    folder = tmp_path / "brought" / "my-denoiser"
    shutil.copytree(models_folder() / "mr-denoise-residual", folder)
    path = folder / "configs" / "metadata.json"
    data = json.loads(path.read_text("utf-8"))
    data["medenhance"].update(id="my-denoiser", title="My own denoiser")
    path.write_text(json.dumps(data), "utf-8")
    return folder


def section(panel: PanelDriver) -> Any:
    return panel.widget.panel._setup


def test_a_folder_of_models_is_listed_and_forgotten(panel: PanelDriver, bundle: Path) -> None:
    section(panel).addFolder(str(bundle.parent))
    panel.choose_model("My own denoiser")
    panel.ui.foldersListWidget.setCurrentRow(0)
    panel.click("removeFolderButton")
    with pytest.raises(AssertionError, match="not 'My own"):
        panel.choose_model("My own denoiser")
    assert bundle.is_dir()


def test_a_folder_without_models_is_told(panel: PanelDriver, bundle: Path, tmp_path: Path) -> None:
    section(panel).addFolder(str(bundle.parent))
    assert panel.ui.importLabel.text == f"Models in {bundle.parent} are listed now."
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing"):
        section(panel).addFolder(str(tmp_path / name))
        assert panel.ui.importLabel.text.startswith(f"No model was found in {tmp_path / name};")


def test_models_that_cannot_be_used_are_told_in_the_next_scene(
    panel: PanelDriver, bundle: Path
) -> None:
    (bundle / "configs" / "metadata.json").write_text("{nope", "utf-8")
    section(panel).addFolder(str(bundle.parent))
    slicer.mrmlScene.Clear(0)
    assert "'my-denoiser'" in panel.ui.logTextEdit.plainText


def test_folders_are_not_part_of_the_scene(panel: PanelDriver, bundle: Path) -> None:
    section(panel).addFolder(str(bundle.parent))
    node = panel.widget.logic.getParameterNode().parameterNode
    assert not any(str(bundle.parent) in node.GetParameter(n) for n in node.GetParameterNames())


def test_a_bundle_is_imported(panel: PanelDriver, bundle: Path) -> None:
    section(panel).importModel(str(bundle / "configs" / "metadata.json"))
    assert "'My own denoiser' is listed now" in panel.ui.importLabel.text
    panel.choose_model("My own denoiser")


@pytest.mark.parametrize(
    "facts",
    [
        {"contrasts": [1, None]},
        {"contrasts": "T1"},
        {"training_data": ["a scan"]},
        {"results": [3]},
        {"ranges": {"{x}_mm": [0, 1]}},
        {"limits": [{"a": 1}]},
    ],
)
def test_odd_facts_of_a_bundle_do_not_stop_the_panel(
    panel: PanelDriver, bundle: Path, facts: dict[str, Any]
) -> None:
    path = bundle / "configs" / "metadata.json"
    data = json.loads(path.read_text("utf-8"))
    data["medenhance"].update(facts)
    path.write_text(json.dumps(data), "utf-8")
    section(panel).addFolder(str(bundle.parent))
    catalog = panel.widget.logic.catalog
    if any(model.id == "my-denoiser" for model in catalog.models()):
        panel.choose_model("My own denoiser")
        assert "'my-denoiser'" in panel.ui.suitabilityLabel.text
    else:
        assert any("my-denoiser" in problem for problem in catalog.problems)
    panel.choose_model("Median")
    assert panel.ui.applyButton.enabled


def test_rubbish_is_refused_in_a_sentence(panel: PanelDriver, tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish.zip"
    rubbish.write_bytes(b"no zip at all")
    section(panel).importModel(str(rubbish))
    assert "rubbish.zip" in panel.ui.importLabel.text
    assert "#d55e00" in panel.ui.importLabel.styleSheet
    (tmp_path / "network.ts").write_bytes(b"no zip either")
    section(panel).importModel(str(tmp_path / "network.ts"))
    assert panel.ui.importFormWidget.visible and not panel.ui.importLabel.visible
    panel.choose("importTaskComboBox", "Segment")
    panel.click("importAddButton")
    assert "name the structures that it finds" in panel.ui.importLabel.text


def test_a_network_asks_for_its_use_and_for_trust(
    panel: PanelDriver, worker: FakeWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    file = tmp_path / "blur.ts"
    torch.jit.save(torch.jit.script(torch.nn.Conv3d(1, 1, 3, padding=1)), str(file))
    section(panel).importModel(str(file))
    assert panel.ui.importTitleLineEdit.text == "blur"
    panel.type("importTitleLineEdit", "Blur")
    panel.choose("importTaskComboBox", "Denoise")
    panel.click("importAddButton")
    assert "'Blur' is listed now" in panel.ui.importLabel.text
    assert not panel.ui.importFormWidget.visible
    panel.choose_model("Blur")
    assert "(in Slicer, Apply asks;" in panel.ui.suitabilityLabel.text
    asked: list[str] = []
    answer = [False]

    def confirm(text: str, *_: Any, textFormat: int) -> bool:
        # A title may be written as HTML that would change the question.
        assert textFormat == qt.Qt.PlainText
        asked.append(text)
        return answer[0]

    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", confirm)
    panel.click("applyButton")
    assert "Trust this model" in asked[0]
    assert panel.widget.panel.job is None and "trust" in panel.status
    assert not worker.jobs
    answer[0] = True
    panel.click("applyButton")
    assert worker.jobs[-1][2] == "blur"


@pytest.fixture
def foreign(bundle: Path) -> Path:
    """A bundle that would run code."""
    path = bundle / "configs" / "inference.json"
    data = json.loads(path.read_text("utf-8"))
    data["network_def"]["in_channels"] = "$1 + 1"
    path.write_text(json.dumps(data), "utf-8")
    return bundle


def trusted(logic: Any) -> bool:
    logic.forgetModels()
    return bool(logic.catalog.find("my-denoiser").trusted)


def test_other_code_under_a_trusted_name_is_not_trusted(panel: PanelDriver, foreign: Path) -> None:
    logic = panel.widget.logic
    section(panel).addFolder(str(foreign.parent))
    assert not trusted(logic)
    logic.trust(logic.catalog.find("my-denoiser"))
    assert trusted(logic)
    path = foreign / "configs" / "inference.json"
    path.write_text(path.read_text("utf-8").replace("$1 + 1", "$2 + 0"), "utf-8")
    assert not trusted(logic)


def test_files_that_change_after_the_list_was_read_are_asked_for_anew(
    panel: PanelDriver, worker: FakeWorker, foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        slicer.util, "confirmYesNoDisplay", lambda text, *_, **__: asked.append(text)
    )
    logic = panel.widget.logic
    section(panel).addFolder(str(foreign.parent))
    logic.trust(logic.catalog.find("my-denoiser"))
    panel.choose_model("My own denoiser")
    path = foreign / "configs" / "inference.json"
    path.write_text(path.read_text("utf-8").replace("$1 + 1", "$2 + 0"), "utf-8")
    panel.click("applyButton")
    seen = Catalog.default([foreign.parent], worker.trusted)
    assert worker.trusted and not seen.find("my-denoiser").trusted
    worker.fail("Not trusted.", "TrustError")
    panel.wait_for_end()
    panel.click("applyButton")
    assert len(asked) == 1 and len(worker.jobs) == 1


def test_a_folder_named_like_a_trusted_model_is_not_trusted(
    panel: PanelDriver, foreign: Path, tmp_path: Path
) -> None:
    logic = panel.widget.logic
    section(panel).addFolder(str(foreign.parent))
    logic.trust(logic.catalog.find("my-denoiser"))
    other = tmp_path / "other" / "my-denoiser"
    shutil.copytree(foreign, other)
    path = other / "configs" / "metadata.json"
    path.write_text(path.read_text("utf-8").replace('"my-denoiser"', '"another"'), "utf-8")
    section(panel).addFolder(str(other.parent))
    assert trusted(logic)
    assert not logic.catalog.find("another").trusted


def test_the_panel_opens_without_the_weights_of_a_trusted_model(
    panel: PanelDriver, open_panel: OpenPanel, foreign: Path
) -> None:
    logic = panel.widget.logic
    section(panel).addFolder(str(foreign.parent))
    model = logic.catalog.find("my-denoiser")
    logic.trust(model)
    model.weights.write_bytes(b"damaged")
    panel.close()
    opened = open_panel()
    assert opened.ui.applyButton.enabled
    assert not trusted(opened.widget.logic)


def test_choices_are_remembered_between_starts(
    panel: PanelDriver, worker: FakeWorker, open_panel: OpenPanel
) -> None:
    panel.choose_task("Super-resolution")
    panel.choose("precisionComboBox", "32 bits")
    panel.apply()
    worker.succeed()
    panel.wait_for_end()
    panel.leave()
    slicer.mrmlScene.Clear(1)
    add_head()
    panel.enter()
    assert panel.ui.superResolutionButton.checked
    assert panel.parameters.precision.value == "float32"


def test_choices_are_recalled_where_an_emptied_node_got_its_usual_values(
    panel: PanelDriver, worker: FakeWorker
) -> None:
    """As Slicer's wrappers of earlier visits give it when the scene is closed."""
    panel.choose_task("Super-resolution")
    panel.apply()
    worker.succeed()
    panel.wait_for_end()
    node = panel.parameters.parameterNode
    panel.leave()
    slicer.mrmlScene.Clear(0)
    node.SetParameter("task", "DENOISE")
    add_head()
    panel.enter()
    assert panel.ui.superResolutionButton.checked


def test_the_check_tells_what_is_there(panel: PanelDriver) -> None:
    panel.click("checkSetupButton")
    assert not panel.ui.checkSetupButton.enabled
    panel.wait_until(lambda: panel.ui.checkSetupButton.enabled)
    said = panel.ui.setupLabel.text
    assert "Runs are computed on: CPU" in said
    assert "torch" in said and "models are whole" in said
    panel.picture("14-check-setup")


def test_the_check_may_have_much_to_tell(
    panel: PanelDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a pipe holds."""
    from MedEnhanceSlicer import setupSection

    start = setupSection.subprocess.Popen
    found = dict.fromkeys(("packages", "models", "devices"), ())
    code = f"import json; print(json.dumps(dict({found}, ok=False, problems=['wrong'] * 50_000)))"
    monkeypatch.setattr(
        setupSection.subprocess,
        "Popen",
        lambda _command, **options: start([sys.executable, "-c", code], **options),
    )
    panel.click("checkSetupButton")
    panel.wait_until(lambda: panel.ui.checkSetupButton.enabled)
    assert panel.ui.setupLabel.text.count("wrong") == 50_000


def test_the_check_opens_no_console_on_windows(
    panel: PanelDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from MedEnhanceSlicer import setupSection

    given: dict[str, Any] = {}

    def start(_command: list[str], **options: Any) -> None:
        given.update(options)
        raise FileNotFoundError("PythonSlicer")

    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setattr(setupSection, "os", SimpleNamespace(name="nt", environ=os.environ))
    monkeypatch.setattr(setupSection.subprocess, "Popen", start)
    panel.click("checkSetupButton")
    assert given["creationflags"] == 0x08000000
    # Wherever the library was installed, it is found there, and all else as before; but nothing
    # in the folder in which Slicer was started.
    folders = given["env"]["PYTHONPATH"].split(os.pathsep)
    assert (Path(folders[0]) / "MedEnhanceLib/diagnosis.py").is_file()
    assert Path(given["cwd"]) == Path(folders[0])
    assert folders[1:] == [os.path.abspath("elsewhere")]
    assert "could not start (PythonSlicer)" in panel.ui.setupLabel.text
