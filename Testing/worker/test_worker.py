"""Jobs that go well, and those that end with a sentence."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from MedEnhanceLib.errors import (
    CancelledError,
    MedEnhanceError,
    OptionsError,
    UnsuitableError,
    VolumeError,
    WorkerError,
)
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.options import DenoiseOptions
from MedEnhanceLib.result import Result
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Volume
from MedEnhanceLib.worker import Event, Worker
from MedEnhanceLib.worker.folder import input_file, output_file
from MedEnhanceLib.worker.protocol import Header, Job, from_line, to_line
from MedEnhanceLib.worker.server import Server

from .conftest import FAKE, last_event, poll_until


def test_a_volume_goes_and_comes_back_with_everything(worker: Worker, volume: Volume) -> None:
    events: list[Event] = []
    options = DenoiseOptions(strength=0.5, noise=12.0)
    job = worker.submit(volume, Task.DENOISE, "double", options, ["a b", Path("c")], ["mine"])
    result = worker.wait(events.append)
    np.testing.assert_array_equal(result.volume.voxels, volume.voxels * 2)
    assert result.volume.voxels.dtype == volume.voxels.dtype
    assert result.volume.geometry == volume.geometry
    assert (result.volume.modality, result.volume.units) == ("CT", "HU")
    assert (result.task, result.warnings) == (Task.DENOISE, ("mind this",))
    (measure,) = result.evidence
    assert (measure.name, measure.before, measure.after, measure.unit) == ("noise", 4.0, None, "%")
    assert result.provenance["options"] == options.to_json()
    assert result.provenance["catalog"] == {
        "folders": [os.path.abspath("a b"), os.path.abspath("c")],
        "trusted": ["mine"],
    }
    assert result.provenance["version"] == 3
    assert [event.kind for event in events] == ["progress", "progress", "result"]
    assert {event.job for event in events} == {job}
    progress = [event.progress for event in events if event.progress]
    assert [(p.fraction, p.phase, p.seconds_left) for p in progress] == [
        (0.25, "estimating noise", None),
        (1.0, "network", 0.0),
    ]


def test_a_segmentation_brings_its_labels(worker: Worker, volume: Volume) -> None:
    worker.submit(volume, "segment", "threshold")
    labelmap = worker.wait().labelmap
    np.testing.assert_array_equal(labelmap.voxels, volume.voxels > 0)
    (label,) = labelmap.labels
    assert (label.value, label.name, label.color) == (1, "bright", (1, 2, 3))
    assert (label.category, label.type) == (("SCT", "1", "a"), ("SCT", "2", "b"))


def test_the_process_stays_warm_and_channels_survive(worker: Worker, volume: Volume) -> None:
    two = Volume(np.stack([volume.voxels, -volume.voxels]).astype(np.float64), volume.geometry)
    pids = set()
    for given in (volume, two):
        worker.submit(given, "denoise")
        result = worker.wait()
        np.testing.assert_array_equal(result.volume.voxels, given.voxels * 2)
        pids.add(result.provenance["pid"])
    assert len(pids) == 1 and os.getpid() not in pids


def test_a_big_array_in_another_memory_order(worker: Worker) -> None:
    voxels = np.random.default_rng(0).normal(size=(300, 200, 150)).astype(np.float32).T
    worker.submit(Volume(voxels, Geometry((300, 200, 150))), "denoise")
    np.testing.assert_array_equal(worker.wait().volume.voxels, voxels * 2)


def test_what_libraries_print_does_not_reach_the_channel(worker: Worker, volume: Volume) -> None:
    events: list[Event] = []
    worker.submit(volume, "denoise", "chatter")
    result = worker.wait(events.append)
    np.testing.assert_array_equal(result.volume.voxels, volume.voxels * 2)
    assert [e.message for e in events if e.kind == "warning"] == ["slightly uneven"]


def test_nothing_starts_before_the_first_job_and_polling_then_is_empty(temporary: Path) -> None:
    worker = Worker()
    assert not worker.alive and not worker.busy
    assert worker.poll() == []
    worker.cancel()
    worker.close()
    with pytest.raises(WorkerError, match="no job to wait for"):
        worker.wait()
    assert list(temporary.iterdir()) == []


def test_one_job_at_a_time(worker: Worker, volume: Volume) -> None:
    worker.submit(volume, "denoise", "wait")
    assert worker.busy and worker.alive
    with pytest.raises(WorkerError, match="still working"):
        worker.submit(volume, "denoise")
    worker.cancel()
    assert last_event(worker).kind == "cancelled"
    assert not worker.busy and worker.alive


def test_cancelling_keeps_the_process(worker: Worker, volume: Volume) -> None:
    worker.submit(volume, "denoise", "wait")
    poll_until(worker, lambda event: event.kind == "progress")
    worker.cancel()
    worker.cancel()
    with pytest.raises(CancelledError, match="nothing was changed"):
        worker.wait()
    assert worker.alive
    worker.submit(volume, "denoise")
    assert worker.wait().volume.geometry == volume.geometry


def test_a_result_that_comes_after_cancelling_is_dropped(
    worker: Worker, volume: Volume, temporary: Path
) -> None:
    worker.submit(volume, "denoise", "late")
    poll_until(worker, lambda event: event.kind == "progress")
    worker.cancel()
    event = last_event(worker)
    assert (event.kind, event.result) == ("cancelled", None)
    assert list(temporary.rglob("*.npy")) == []


def test_a_run_that_is_cancelled_as_it_ends_hands_nothing_over(
    volume: Volume, tmp_path: Path
) -> None:
    """Neither that nor a cancellation that comes after the end is meant for the next run."""
    job = Job("ab12", Task.DENOISE, "auto", None, (), (), Header.of(volume))
    run = to_line({"do": "run", **job.to_json()})
    cancel = to_line({"do": "cancel", "id": job.id})
    said = io.BytesIO()
    at_the_end = iter([[cancel], []])

    def enhance(volume: Volume, task: Task, **_: object) -> Result:
        for line in next(at_the_end):
            server._obey(line)
        return Result(task, volume)

    server = Server(io.BytesIO(), said, tmp_path, enhance, lambda *_: None)
    for files in ([], [output_file(tmp_path, job.id)]):
        np.save(input_file(tmp_path, job.id), volume.voxels)
        server._obey(run)
        server.do(server.jobs.get())
        server._obey(cancel)
        assert list(tmp_path.glob("*.npy")) == files
    kinds = [from_line(line)["kind"] for line in said.getvalue().splitlines()]
    assert kinds == ["heard", "cancelled", "heard", "result"]


def test_a_process_that_ignores_cancelling_is_ended(
    worker: Worker, volume: Volume, temporary: Path
) -> None:
    worker.submit(volume, "denoise", "deaf")
    poll_until(worker, lambda event: event.kind == "progress")
    worker.cancel(grace=0.0)
    assert last_event(worker).kind == "cancelled"
    assert not worker.alive and not worker.busy
    assert list(temporary.iterdir()) == []


def test_errors_keep_their_class_and_sentence(worker: Worker, volume: Volume) -> None:
    worker.submit(volume, "denoise", "refuse")
    with pytest.raises(UnsuitableError, match="for CT, but the volume is MR"):
        worker.wait()
    worker.submit(volume, "denoise", "no-room")
    with pytest.raises(MedEnhanceError, match="as it does when memory is short"):
        worker.wait()
    worker.submit(volume, "denoise", "memory")
    with pytest.raises(MedEnhanceError, match="ran out of memory"):
        worker.wait()
    assert worker.alive


def test_an_unexpected_error_is_one_sentence_with_the_trace_beside(
    worker: Worker, volume: Volume
) -> None:
    worker.submit(volume, "denoise", "break")
    event = last_event(worker)
    assert event.kind == "error"
    assert event.message.startswith("The run failed unexpectedly (KeyError: ")
    assert "\n" not in event.message
    assert "Traceback" in event.details and "break_down" in event.details
    assert str(Path.home()) not in event.details + event.message
    assert type(event.exception) is MedEnhanceError


def test_bad_requests_are_refused_before_anything_starts(volume: Volume, temporary: Path) -> None:
    worker = Worker()
    with pytest.raises(OptionsError, match="no task 'polish'"):
        worker.submit(volume, "polish")
    with pytest.raises(OptionsError, match="does not belong to segment"):
        worker.submit(volume, "segment", options={"strength": 1})
    with pytest.raises(VolumeError, match="The guide is of type int, not a Volume"):
        worker.submit(volume, "denoise", guide=5)  # type: ignore[arg-type]
    assert not worker.alive
    assert list(temporary.iterdir()) == []


def test_a_python_that_is_not_there(volume: Volume, temporary: Path) -> None:
    worker = Worker(python="/nowhere/PythonSlicer")
    with pytest.raises(WorkerError, match="cannot be started with '/nowhere/PythonSlicer'"):
        worker.submit(volume, "denoise")
    assert not worker.busy and not worker.alive
    assert list(temporary.iterdir()) == []


def test_no_place_for_temporary_files(
    volume: Volume, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(temporary / "none"))
    with pytest.raises(WorkerError, match="folder for temporary files"):
        Worker(command=FAKE).submit(volume, "denoise")


def test_voxels_that_do_not_fit_on_the_disk(
    worker: Worker, volume: Volume, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("numpy.save", fail)
        with pytest.raises(WorkerError, match="No space left on device"):
            worker.submit(volume, "denoise")
    assert not worker.busy
    (folder,) = temporary.iterdir()
    assert list(folder.iterdir()) == []
    worker.submit(volume, "denoise")
    assert worker.wait().volume.geometry == volume.geometry


def test_an_application_is_not_taken_for_python(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/opt/Slicer/bin/SlicerApp-real")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(WorkerError, match="'SlicerApp-real' is not Python itself"):
        Worker().submit(volume, "denoise")


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
def test_the_folder_is_private_and_gone_afterwards(volume: Volume, temporary: Path) -> None:
    with Worker(command=FAKE) as worker:
        worker.submit(volume, "denoise", "wait")
        poll_until(worker, lambda event: event.kind == "progress")
        (folder,) = temporary.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        # The input has been taken in, so no voxels lie about while the job runs.
        assert list(folder.iterdir()) == []
    assert list(temporary.iterdir()) == []


def test_a_guide_goes_along(worker: Worker, volume: Volume) -> None:
    guide = Volume(np.full((3, 2, 2), 7.5), Geometry((2, 2, 3), (2.0, 2.0, 1.0)), "MR")
    worker.submit(volume, "denoise", guide=guide)
    told = worker.wait().provenance["guide"]
    assert told == {"sum": 90.0, "modality": "MR", "geometry": guide.geometry.to_json()}
    worker.submit(volume, "denoise")
    assert "guide" not in worker.wait().provenance


def test_uncertainty_comes_back(worker: Worker, volume: Volume, temporary: Path) -> None:
    worker.submit(volume, "denoise", "unsure")
    result = worker.wait()
    assert result.uncertainty is not None
    np.testing.assert_array_equal(result.uncertainty.voxels, np.abs(volume.voxels))
    assert result.uncertainty.geometry == volume.geometry
    (folder,) = temporary.iterdir()
    assert list(folder.iterdir()) == []
