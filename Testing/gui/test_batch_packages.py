"""Runs of several jobs ask for the packages of the models that they would run, and of no others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import slicer
from MedEnhanceSlicer import dependencies

from Testing.gui.batch import add_sequence, answer, with_batch
from Testing.gui.driver import PanelDriver
from Testing.gui.fakes import FakeWorker
from Testing.gui.volumes import add_head
from Testing.slicer_scene import set_modality


@pytest.fixture
def panel(panel: PanelDriver) -> PanelDriver:
    return with_batch(panel)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions of a computer without PyTorch, all of which are declined."""
    questions: list[str] = []

    def decline(text: str, *_args: Any) -> bool:
        questions.append(text)
        return False

    monkeypatch.setattr(dependencies, "missingPackages", lambda: ["torch", "monai"])
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", decline)
    return questions


def add_ct_sequence() -> None:
    sequence = add_sequence()
    for index in range(sequence.GetNumberOfDataNodes()):
        frame = sequence.GetNthDataNode(index)
        voxels = slicer.util.arrayFromVolume(frame).astype(np.int16)
        voxels[:, :, :12] -= 1100
        slicer.util.updateVolumeFromArray(frame, voxels)


@pytest.mark.parametrize("kind", ["Sequence", "Recipe", "Queue"])
def test_a_best_fit_that_is_a_filter_needs_no_packages(
    panel: PanelDriver, worker: FakeWorker, asked: list[str], kind: str
) -> None:
    set_modality(slicer.util.getNode("Head"), "CT")
    add_ct_sequence()
    panel.choose("sequenceSelector", "Perfusion")
    panel.choose_task("Super-resolution")
    panel.click("addStepButton")
    panel.click("tickAllButton")
    panel.click(f"run{kind}Button")
    answer(panel, worker, 2 if kind == "Sequence" else 1)
    panel.wait_for_end()
    assert not asked and worker.jobs[-1][2].startswith("filter-")


@pytest.mark.parametrize("kind", ["Sequence", "Recipe", "Queue"])
def test_a_best_fit_that_is_a_network_asks_before_it_runs(
    panel: PanelDriver, worker: FakeWorker, asked: list[str], kind: str
) -> None:
    add_sequence()
    panel.choose("sequenceSelector", "Perfusion")
    panel.choose_model("Median")
    panel.click("addStepButton")
    panel.choose_model("Best fit")
    panel.click("addStepButton")
    panel.click("tickAllButton")
    panel.click(f"run{kind}Button")
    assert len(asked) == 1 and not worker.jobs
    assert "not installed, as you chose" in panel.status


def test_a_queue_that_is_resumed_asks_for_what_is_not_done(
    panel: PanelDriver, worker: FakeWorker, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_modality(add_head("Second"), "CT")
    panel.choose_task("Super-resolution")
    panel.click("tickAllButton")
    monkeypatch.setattr(dependencies, "missingPackages", list)
    panel.click("runQueueButton")
    answer(panel, worker, 1)
    panel.wait_until(lambda: len(worker.jobs) == 2)
    panel.click("cancelQueueButton")
    panel.wait_for_end()
    monkeypatch.setattr(dependencies, "missingPackages", lambda: ["torch"])
    panel.click("resumeQueueButton")
    answer(panel, worker, 3)
    panel.wait_for_end()
    assert not asked and panel.status == "Queue: 2 done."


def test_what_was_said_of_an_installation_does_not_outlive_it(
    panel: PanelDriver, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed: list[str] = []
    monkeypatch.setattr(dependencies, "isInstalled", installed.__contains__)
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *_args: True)
    panel.ui.setupCollapsibleButton.collapsed = False
    panel.click("tickAllButton")
    monkeypatch.setattr(dependencies, "installTorch", lambda: None)
    monkeypatch.setattr(dependencies, "installPackages", lambda _names: None)
    panel.click("runQueueButton")
    assert "could not be installed" in panel.status and not panel.ui.batchLabel.text
    assert panel.ui.packagesLabel.text.startswith("Missing or too old: torch")
    monkeypatch.setattr(
        dependencies, "installTorch", lambda: installed.extend(dependencies.REQUIRED)
    )
    panel.choose("guideSelector", "Head")
    panel.click("runQueueButton")
    assert panel.ui.packagesLabel.text.startswith("Installed")
    assert "The guide is not used here" in panel.ui.batchLabel.text
    answer(panel, worker, 1)
    panel.wait_for_end()
    panel.apply()
    assert not panel.ui.batchLabel.text
