"""Killed at any moment, no disk, no memory, no folder, no privacy, no end: nothing is lost."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from MedEnhanceLib import Geometry, Volume
from MedEnhanceLib.errors import MedEnhanceError, WorkerError
from MedEnhanceLib.worker import Worker
from MedEnhanceLib.worker.process import own_environment
from Testing.counts import count

from .conftest import FAKE, last_event, poll_until

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
LIMITED = [sys.executable, str(Path(__file__).with_name("limited_server.py"))]
ROOT = str(Path(__file__).parents[2])
# Lines of the worker's own code at which it is killed; about 230 are run for a job.
KILLED_AT = (1, 25, 40, 60, 75, 90, 105, 120, 135, 150, 165, 180, 195, 210, 225)
MANY, SOME, FEW = 1_000, 200, 60
BIG = Volume(np.zeros((40, 40, 40), np.int16), Geometry((40, 40, 40)))


@linux
@pytest.mark.parametrize("line", KILLED_AT)
def test_killed_at_any_moment(volume: Volume, temporary: Path, line: int) -> None:
    """The job ends with the whole result or one sentence; the next one runs; nothing is left."""
    environment = {**os.environ, "KILL_AT_LINE": str(line)}
    with Worker(command=FAKE, environment=environment) as worker:
        worker.submit(volume, "denoise")
        event = last_event(worker)
        if event.result is None:
            assert "ended unexpectedly (killed" in event.message
            assert list(temporary.iterdir()) == []
        else:
            np.testing.assert_array_equal(event.result.volume.voxels, volume.voxels * 2)
        del environment["KILL_AT_LINE"]
        worker._environment = environment
        worker.submit(volume, "denoise")
        with contextlib.suppress(WorkerError):
            # It may have been killed after it had handed over the first result.
            worker.wait()
        if not worker.alive:
            worker.submit(volume, "denoise")
            np.testing.assert_array_equal(worker.wait().volume.voxels, volume.voxels * 2)
    count("moments of being killed")
    assert list(temporary.iterdir()) == []


@linux
def test_killed_while_writing_the_result(worker: Worker, volume: Volume, temporary: Path) -> None:
    worker.submit(volume, "denoise", "die writing")
    with pytest.raises(WorkerError, match="killed"):
        worker.wait()
    assert list(temporary.iterdir()) == []
    worker.submit(volume, "denoise")
    assert worker.wait().volume.geometry == volume.geometry


@linux
def test_a_result_that_does_not_fit_on_the_disk(worker: Worker, temporary: Path) -> None:
    worker.submit(BIG, "denoise", "full")
    event = last_event(worker)
    assert (event.kind, event.error) == ("error", "WorkerError")
    assert "cannot be handed over (" in event.message and "free some space" in event.message
    assert worker.alive and list(temporary.rglob("*.*npy*")) == []
    small = Volume(np.ones((2, 2, 2), np.int16), Geometry((2, 2, 2)))
    worker.submit(small, "denoise")
    np.testing.assert_array_equal(worker.wait().volume.voxels, small.voxels * 2)


@contextlib.contextmanager
def small_files(largest: int) -> Iterator[None]:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@linux
def test_an_input_that_does_not_fit_on_the_disk(worker: Worker, temporary: Path) -> None:
    """numpy itself tells no reason when a file ends early."""
    with small_files(50_000), pytest.raises(WorkerError, match=r"\((No space|File too).*free some"):
        worker.submit(BIG, "denoise")
    assert not worker.busy and list(temporary.rglob("*.*npy*")) == []


def test_a_folder_that_is_taken_away_between_jobs(
    worker: Worker, volume: Volume, temporary: Path
) -> None:
    import shutil

    worker.submit(volume, "denoise")
    worker.wait()
    (folder,) = temporary.iterdir()
    shutil.rmtree(folder)
    worker.submit(volume, "denoise")
    assert worker.wait().volume.geometry == volume.geometry


def test_a_folder_that_is_taken_away_during_a_job(
    worker: Worker, volume: Volume, temporary: Path
) -> None:
    worker.submit(volume, "denoise", "remove folder")
    with pytest.raises(WorkerError, match="removed while it worked; run it again"):
        worker.wait()
    worker.submit(volume, "denoise")
    assert worker.wait().volume.geometry == volume.geometry


def test_two_at_once_leave_each_other_alone(volume: Volume, temporary: Path) -> None:
    with Worker(command=FAKE) as first:
        first.submit(volume, "denoise", "wait")
        poll_until(first, lambda event: event.kind == "progress")
        with Worker(command=FAKE) as second:
            second.submit(volume, "denoise")
            assert second.wait().provenance["pid"] != first._process._popen.pid
            assert len(list(temporary.iterdir())) == 2
        assert len(list(temporary.iterdir())) == 1
        first.cancel()
        assert last_event(first).kind == "cancelled"
        first.submit(volume, "denoise")
        assert first.wait().volume.geometry == volume.geometry


@linux
def test_the_channel_is_open_to_nobody_else(worker: Worker, volume: Volume, tmp_path: Path) -> None:
    with open(tmp_path / "patient.txt", "w") as ours, Worker(command=FAKE) as other:
        os.set_inheritable(ours.fileno(), True)
        other.submit(volume, "denoise")
        other.wait()
        worker.submit(volume, "denoise", "describe")
        facts = worker.wait().provenance
        channel = {
            os.readlink(f"/proc/self/fd/{pipe.fileno()}")
            for pipe in (worker._process._popen.stdin, worker._process._popen.stdout)
        }
        others = {
            os.readlink(f"/proc/self/fd/{n}")
            for n in os.listdir("/proc/self/fd")
            if n > "2" and os.path.exists(f"/proc/self/fd/{n}")
        } - channel
    pipes = {name for name in facts["open"] if name.startswith("pipe:")}
    # Its input, its output and what it prints, which the client reads.
    assert len(pipes) == 3 and channel <= pipes
    assert len(pipes & others) == 1
    assert not any("patient" in name for name in facts["open"])
    # A program that the process starts gets neither; its fourth descriptor is the listing itself.
    assert not any(end in facts["child"][0] for end in channel)
    assert "/dev/null" in facts["child"][0]
    assert facts["child"][1] == "4"


@linux
def test_a_thousand_jobs_leave_no_trace(worker: Worker, volume: Volume, temporary: Path) -> None:
    def held() -> tuple[int, int, int]:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * 4, len(os.listdir("/proc/self/fd")), threading.active_count()

    def job() -> dict:
        worker.submit(volume, "denoise", "measure")
        return worker.wait().provenance

    for _ in range(50):
        job()
    before, ours = job(), held()
    for _ in range(MANY):
        last = job()
    count("jobs in a row", MANY)
    after = held()
    assert last["pid"] == before["pid"]
    assert (last["files"], last["threads"]) == (before["files"], before["threads"])
    assert after[1:] == ours[1:]
    assert last["kilobytes"] - before["kilobytes"] < 2_000
    assert after[0] - ours[0] < 4_000
    (folder,) = temporary.iterdir()
    assert list(folder.iterdir()) == []


@linux
@pytest.mark.parametrize(("model", "jobs"), [("filter-median", SOME), ("tiny-denoiser", FEW)])
def test_many_real_jobs_leave_no_trace(
    tmp_path: Path, temporary: Path, model: str, jobs: int
) -> None:
    from Testing.lib.conftest import denoiser_bundle

    denoiser_bundle(tmp_path / "models")
    voxels = np.random.default_rng(0).normal(500, 30, (12, 16, 16)).astype(np.float32)
    noisy = Volume(voxels, Geometry((16, 16, 12)), "MR")
    with Worker() as worker:

        def job() -> int:
            worker.submit(noisy, "denoise", model, model_folders=[tmp_path / "models"])
            worker.wait()
            pid = worker._process._popen.pid
            files = len(os.listdir(f"/proc/{pid}/fd"))
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            return pages * 4, files, len(os.listdir(f"/proc/{pid}/task"))

        for _ in range(30):
            before = job()
        for _ in range(jobs):
            after = job()
        count("jobs in a row", jobs)
        assert after[1:] == before[1:]
        assert after[0] - before[0] < 6_000
        (folder,) = temporary.iterdir()
        assert list(folder.iterdir()) == []


@linux
@pytest.mark.parametrize(("megabytes", "is_enough"), [(600, True), (60, False)])
def test_a_process_short_of_memory(
    tmp_path: Path, temporary: Path, megabytes: int, is_enough: bool
) -> None:
    """It does with what there is, or gives up in one sentence; it never hangs."""
    from Testing.lib.conftest import denoiser_bundle, head_like

    denoiser_bundle(tmp_path / "models")
    head = Volume(head_like((64, 96, 96)), Geometry((96, 96, 64)), "MR")
    environment = {**os.environ, "MEGABYTES": str(megabytes), "PYTHONPATH": ROOT}
    with Worker(command=LIMITED, environment=environment) as worker:
        worker.submit(head, "denoise", "tiny-denoiser", model_folders=[tmp_path / "models"])
        event = last_event(worker)
        assert (event.result is not None) == is_enough, event.message
        if not is_enough:
            assert isinstance(event.exception, MedEnhanceError)
            assert "There is not enough memory" in event.message
    assert list(temporary.iterdir()) == []


def test_the_process_finds_this_library_first_and_holds_its_memory_in_large_pages() -> None:
    elsewhere = os.path.abspath("elsewhere")
    found = own_environment({"PYTHONPATH": elsewhere})
    assert found["PYTHONPATH"].split(os.pathsep) == [ROOT, elsewhere]
    assert found["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
    given = {"GLIBC_TUNABLES": "glibc.malloc.check=1", "OPENBLAS_NUM_THREADS": "4"}
    assert own_environment(given).items() >= given.items()


def test_folders_of_the_environment_are_meant_where_the_client_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process stands in another one."""
    monkeypatch.chdir(tmp_path)
    relative = {"PYTHONPATH": f"a{os.pathsep}{os.pathsep}b", "MEDENHANCE_MODELS": "models"}
    found = own_environment({**relative, "MEDENHANCE_CACHE": ""})
    here = os.getcwd()
    assert found["PYTHONPATH"].split(os.pathsep)[1:] == [f"{here}{os.sep}{name}" for name in "ab"]
    assert found["MEDENHANCE_MODELS"] == os.path.join(here, "models")
    assert found["MEDENHANCE_CACHE"] == ""


def test_what_was_imported_is_no_longer_searched_for_garbage() -> None:
    """In a process of its own, as this one must still be searched."""
    code = "import gc; from MedEnhanceLib.costs import keep_imports; keep_imports(); "
    asked = [sys.executable, "-c", code + "print(gc.get_freeze_count(), len(gc.get_objects()))"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True, env=own_environment())
    frozen, searched = map(int, said.stdout.split())
    assert frozen > 10_000 > searched
