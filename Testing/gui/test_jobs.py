"""What a run does when its process misbehaves, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from MedEnhanceSlicer import jobs

from MedEnhanceLib.errors import VolumeError, WorkerError
from MedEnhanceLib.task import Task
from Testing.gui.fakes import FakeWorker, catalog
from Testing.gui.volumes import add_head


def job_on(runner: Any, heard: list[str]) -> Any:
    import MedEnhance

    logic = MedEnhance.MedEnhanceLogic(runner, catalog())
    return logic.process(
        add_head(),
        "denoise",
        model="filter-median",
        wait=False,
        onEvent=lambda job: heard.append(job.state),
    )


def test_a_process_that_cannot_be_asked_fails_the_run(scene: Any) -> None:
    worker = FakeWorker()
    heard: list[str] = []
    job = job_on(jobs.JobRunner(worker), heard)

    def broken() -> list[Any]:
        raise OSError("the pipe is closed")

    worker.poll = broken  # type: ignore[method-assign]
    sentence = r"^The run failed \(OSError: the pipe is closed\); see the error log"
    with pytest.raises(WorkerError, match=sentence):
        job.wait()
    assert job.state == jobs.FAILED and heard == [jobs.FAILED]
    assert not job.runner.busy


def test_a_listener_that_fails_does_not_stop_the_run(scene: Any) -> None:
    import MedEnhance

    worker = FakeWorker()
    logic = MedEnhance.MedEnhanceLogic(jobs.JobRunner(worker), catalog())

    def listener(job: Any) -> None:
        raise ValueError("listener")

    job = logic.process(add_head(), "denoise", wait=False, onEvent=listener)
    worker.report(0.5, "network")
    worker.succeed()
    assert job.wait().GetName() == "Head denoised (AI-processed)"


def test_a_result_that_cannot_be_stored_leaves_no_node(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from MedEnhanceSlicer import outputs

    worker = FakeWorker()
    job = job_on(jobs.JobRunner(worker), [])

    def full(*_args: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(outputs, "fillVolumeNode", full)
    worker.succeed()
    with pytest.raises(WorkerError, match=r"^The run failed \(MemoryError\); "):
        job.wait()
    assert isinstance(job.error.__cause__, MemoryError)
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1


def test_models_of_the_user_are_named_by_folder() -> None:
    class Bundle:
        folder = Path("/models/mine")
        shipped = False

    assert jobs.modelFolders(Bundle()) == (str(Path("/models/mine")),)
    Bundle.shipped = True
    assert jobs.modelFolders(Bundle()) == ()
    assert jobs.modelFolders(catalog().find("filter-median")) == ()


def test_a_volume_that_cannot_be_examined_is_refused(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from MedEnhanceSlicer import modelList

    def broken(*_args: Any) -> None:
        raise FloatingPointError("overflow")

    monkeypatch.setattr(modelList, "suitability", broken)
    choice = modelList.Choice(catalog(), add_head(), Task.DENOISE, "filter-median")
    assert not choice.mayRun
    assert "overflow" in choice.suitability.reasons[0]
    with pytest.raises(VolumeError, match="could not be examined"):
        choice.require()


def test_a_job_that_was_not_started_says_so(scene: Any) -> None:
    import MedEnhance

    logic = MedEnhance.MedEnhanceLogic(jobs.JobRunner(FakeWorker()), catalog())
    job = logic.newJob(add_head(), "denoise")
    for call in (job.wait, job.cancel):
        with pytest.raises(WorkerError, match="'Head' was not started"):
            call()
    job = logic.runner.start(job)
    job.cancel()
    assert job.cancelling


def test_two_jobs_at_once_are_refused(scene: Any) -> None:
    runner = jobs.JobRunner(FakeWorker())
    job_on(runner, [])
    with pytest.raises(WorkerError, match="still working on 'Head'"):
        job_on(runner, [])
