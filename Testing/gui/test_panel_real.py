"""The panel and the console over the real inference process and real models."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import numpy as np
import pytest
import slicer

from MedEnhanceLib.catalog import Catalog
from MedEnhanceLib.errors import CancelledError, OptionsError, UnsuitableError
from MedEnhanceLib.task import Task
from Testing.gui.driver import OpenPanel, PanelDriver
from Testing.gui.volumes import add_head, add_noise


@pytest.fixture
def panel(open_panel: OpenPanel) -> PanelDriver:
    add_head()
    return open_panel()


def names() -> list[str]:
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [node.GetName() for node in nodes]


def process_id(panel: PanelDriver) -> int:
    return int(panel.widget.logic.runner._worker._process._popen.pid)


def start_long_run(panel: PanelDriver) -> Any:
    """A filter on a large volume, seen to be under way."""
    add_noise()
    panel.choose("inputSelector", "Noise")
    panel.choose_model("Non-local means")
    job = panel.apply()
    panel.wait_until(lambda: job.progress is not None)
    return job


def test_filter_runs_twice_in_one_process(panel: PanelDriver) -> None:
    panel.choose_model("Median")
    panel.apply()
    panel.wait_for_end()
    assert panel.status.startswith("Done: Head denoised (filtered)"), panel.status
    first = process_id(panel)
    panel.apply()
    panel.wait_for_end()
    assert process_id(panel) == first
    assert len(set(names())) == 3
    voxels = slicer.util.arrayFromVolume(slicer.util.getNode("Head denoised (filtered)"))
    before = slicer.util.arrayFromVolume(panel.parameters.inputVolume)
    assert voxels[:, :3, :3].std() < 0.5 * before[:, :3, :3].std()


@pytest.mark.parametrize("task", list(Task))
def test_shipped_network_through_the_panel(open_panel: OpenPanel, task: Task) -> None:
    from MedEnhanceSlicer import selfTest
    from MedEnhanceSlicer.parameters import TaskChoice

    samples = {
        Task.DENOISE: ("mr-denoise-residual", selfTest.HEAD, (16, 40, 40)),
        Task.SUPER_RESOLUTION: ("mr-super-resolution", selfTest.THICK_HEAD, (12, 40, 40)),
        Task.SEGMENT: ("mr-hippocampus-unet", selfTest.HIPPOCAMPUS, None),
    }
    modelId, *sample = samples[task]
    node = selfTest.loadSample(*sample)
    panel = open_panel()
    panel.choose_task(TaskChoice(task.value).label())
    model = Catalog.default().find(modelId)
    panel.choose_model(model.title)
    panel.apply()
    panel.wait_for_end()
    assert panel.status.startswith("Done"), panel.status
    assert panel.ui.resultsCollapsibleButton.visible
    panel.picture(f"20-real-{task.value}")
    outputs = slicer.util.getNodesByClass("vtkMRMLDisplayableNode")
    made = [n for n in outputs if n.GetAttribute("MedEnhance.Task") == task.value]
    assert len(made) == 1
    assert made[0].GetName().endswith("(AI-processed)")
    assert made[0].GetNodeReference("MedEnhance.Input") is node
    assert json.loads(made[0].GetAttribute("MedEnhance.Provenance"))["model"] == model.id


def test_cancel_stops_a_real_run(panel: PanelDriver) -> None:
    job = start_long_run(panel)
    before = names()
    panel.click("applyButton")
    panel.wait_for_end()
    assert job.state == "cancelled"
    assert names() == before
    panel.choose("inputSelector", "Head")
    panel.apply()
    panel.wait_for_end()
    assert panel.status.startswith("Done")


def test_scene_closed_during_a_real_run(panel: PanelDriver) -> None:
    job = start_long_run(panel)
    slicer.mrmlScene.Clear(0)
    panel.wait_for_end()
    assert job.state == "cancelled"
    assert names() == []
    assert "removed from the scene" in panel.status


def test_input_deleted_during_a_real_run(panel: PanelDriver) -> None:
    job = start_long_run(panel)
    slicer.mrmlScene.RemoveNode(job.inputNode)
    panel.wait_for_end()
    assert job.state == "cancelled"
    assert names() == ["Head"]


def test_a_killed_process_costs_only_the_run(panel: PanelDriver) -> None:
    job = start_long_run(panel)
    os.kill(process_id(panel), signal.SIGKILL)
    panel.wait_for_end()
    assert job.state == "failed"
    assert "ended unexpectedly" in panel.status
    panel.choose("inputSelector", "Head")
    panel.apply()
    panel.wait_for_end()
    assert panel.status.startswith("Done")


def test_the_process_ends_with_the_module(panel: PanelDriver) -> None:
    panel.choose_model("Median")
    panel.apply()
    panel.wait_for_end()
    worker = panel.widget.logic.runner._worker
    assert worker.alive
    panel.widget.cleanup()
    assert not worker.alive


def test_console_waits_and_gives_the_node(scene: Any) -> None:
    import MedEnhance

    node = add_head()
    heard: list[float] = []
    logic = MedEnhance.MedEnhanceLogic()
    output = logic.process(
        node,
        "denoise",
        model="filter-median",
        options={"strength": 0.5},
        outputName="Half",
        onEvent=lambda job: heard.append(job.progress.fraction if job.progress else 0.0),
    )
    assert output.GetName() == "Half"
    assert heard == sorted(heard) and len(heard) > 1
    assert json.loads(output.GetAttribute("MedEnhance.Provenance"))["options"]["strength"] == 0.5
    assert np.isfinite(slicer.util.arrayFromVolume(output)).all()
    logic.close()


def test_console_gets_a_job_that_can_be_cancelled(scene: Any) -> None:
    import MedEnhance

    logic = MedEnhance.MedEnhanceLogic()
    job = logic.process(add_noise(), "denoise", model="filter-non-local-means", wait=False)
    assert not job.finished
    job.cancel()
    with pytest.raises(CancelledError):
        job.wait()
    assert job.node is None
    logic.close()


def test_console_errors_say_what_to_do(scene: Any) -> None:
    import MedEnhance

    logic = MedEnhance.MedEnhanceLogic()
    node = add_head()
    with pytest.raises(OptionsError, match="There is no task 'sharpen'"):
        logic.process(node, "sharpen")
    with pytest.raises(OptionsError, match="'sigma' does not belong to denoise"):
        logic.process(node, "denoise", options={"sigma": 3})
    with pytest.raises(UnsuitableError, match="is for denoise, not for segment"):
        logic.process(node, "segment", model="filter-median")
