"""Crashes, orphans, garbage on the pipe and folders left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from MedEnhanceLib.errors import WorkerError
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.private import is_running
from MedEnhanceLib.volume import Volume
from MedEnhanceLib.worker import Worker, client
from MedEnhanceLib.worker.folder import PREFIX, output_file
from MedEnhanceLib.worker.process import Process, Tail
from MedEnhanceLib.worker.protocol import Header, Job, from_line
from Testing.left_behind import left_behind

from .conftest import FAKE, MANY_POLLS, last_event, poll_until

HERE = Path(__file__).parent
posix = pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")


def wait_until_gone(pid: int, folder: Path) -> None:
    """A bounded wait until there is neither the process nor anything in the folder."""
    waiting = subprocess.Popen([sys.executable, "-c", WATCHER, str(pid), str(folder)])
    assert waiting.wait() == 0, f"process {pid} or {list(folder.iterdir())} is still there"


WATCHER = """
import os, sys, time
from MedEnhanceLib.private import is_running
def dead(pid):
    if not is_running(pid):
        return True
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return False
for _ in range(1200):
    if dead(int(sys.argv[1])) and not os.listdir(sys.argv[2]):
        sys.exit(0)
    time.sleep(0.05)
sys.exit(1)
"""


def test_a_crash_costs_the_job_and_the_next_one_starts_anew(
    worker: Worker, volume: Volume, temporary: Path
) -> None:
    worker.submit(volume, "denoise", "exit")
    event = last_event(worker)
    assert (event.kind, event.error) == ("error", "WorkerError")
    assert "exit code 7" in event.message and "run it again" in event.message
    assert "last words" in event.details
    assert not worker.alive and not worker.busy
    assert list(temporary.iterdir()) == []
    worker.submit(volume, "denoise")
    np.testing.assert_array_equal(worker.wait().volume.voxels, volume.voxels * 2)


@posix
def test_a_killed_process_raises_in_wait(worker: Worker, volume: Volume) -> None:
    worker.submit(volume, "denoise", "die")
    with pytest.raises(WorkerError, match="killed, often for lack of memory"):
        worker.wait()


@posix
def test_a_process_that_died_between_jobs_is_replaced(worker: Worker, volume: Volume) -> None:
    worker.submit(volume, "denoise")
    pid = worker.wait().provenance["pid"]
    os.kill(pid, signal.SIGKILL)
    for _ in range(MANY_POLLS):
        if not worker.alive:
            break
        assert worker.poll(0.05) == []
    worker.submit(volume, "denoise")
    assert worker.wait().provenance["pid"] != pid


@posix
def test_a_forked_child_leaves_its_parent_the_folder(worker: Worker, volume: Volume) -> None:
    worker.submit(volume, "denoise")
    worker.wait()
    child = os.fork()
    if child == 0:
        worker.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert worker._process is not None and worker._process.folder.is_dir()


def test_a_command_that_is_no_worker(volume: Volume, temporary: Path) -> None:
    with Worker(command=[sys.executable, "-c", "raise SystemExit('not a worker')"]) as worker:
        worker.submit(volume, "denoise")
        event = last_event(worker)
        assert (event.kind, event.error) == ("error", "WorkerError")
        assert "ended unexpectedly" in event.message and "not a worker" in event.details
    assert list(temporary.iterdir()) == []


def test_closing_while_a_job_runs(volume: Volume, temporary: Path) -> None:
    for force in (False, True):
        worker = Worker(command=FAKE)
        worker.submit(volume, "denoise", "deaf")
        poll_until(worker, lambda event: event.kind == "progress")
        worker.close(force)
        assert not worker.alive and not worker.busy
        assert worker.poll() == []
        assert list(temporary.iterdir()) == []


def test_a_forgotten_worker_ends(volume: Volume, temporary: Path) -> None:
    worker = Worker(command=FAKE)
    worker.submit(volume, "denoise")
    pid = worker.wait().provenance["pid"]
    with pytest.warns(ResourceWarning, match="still running"):
        del worker
    wait_until_gone(pid, temporary)


@posix
def test_a_worker_whose_parent_is_killed_goes_with_its_folder(temporary: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, str(HERE / "forgetful_parent.py"), str(temporary), *FAKE],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(HERE.parent.parent)},
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert is_running(pid) and list(temporary.iterdir())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until_gone(pid, temporary)


@posix
def test_a_worker_behind_a_killed_launcher_goes_too(volume: Volume, temporary: Path) -> None:
    launcher = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"
    worker = Worker(command=[sys.executable, "-c", launcher, *FAKE])
    worker.submit(volume, "denoise")
    pid = worker.wait().provenance["pid"]
    launcher_pid = worker._process._popen.pid
    assert pid != launcher_pid
    worker.submit(volume, "denoise", "deaf")
    poll_until(worker, lambda event: event.kind == "progress")
    os.kill(launcher_pid, signal.SIGKILL)
    assert last_event(worker).kind == "error"
    wait_until_gone(pid, temporary)


@posix
def test_a_worker_whose_owner_is_gone_ends_though_its_input_is_held_open(
    volume: Volume, temporary: Path
) -> None:
    """As by a program that the owner started; here the input stays this process's."""
    owner = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    )
    adopted = "import os, sys; os.execv(sys.executable, [*sys.argv[2:-1], sys.argv[1]])"
    with Worker(command=[sys.executable, "-c", adopted, str(owner.pid), *FAKE]) as worker:
        worker.submit(volume, "denoise")
        pid = worker.wait().provenance["pid"]
        owner.communicate()
        wait_until_gone(pid, temporary)


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"\xff\xfe\n",
        b"[1, 2]\n",
        b"{}\n",
        b'{"do": "dance"}\n',
    ],
)
def test_garbage_to_the_process_is_answered_and_survived(
    worker: Worker, volume: Volume, line: bytes
) -> None:
    worker.submit(volume, "denoise", "wait")
    worker._process.send(line)
    event = last_event(worker)
    assert event.kind == "error" and "not a job" in event.message
    assert worker.alive


def test_a_job_cannot_name_a_file_elsewhere(volume: Volume) -> None:
    for name in ("../escape", "a/b", "", "c:x"):
        with pytest.raises(WorkerError, match="no name for a job"):
            Job(name, "denoise", "auto", None, (), (), Header.of(volume))


def test_garbage_from_the_process_is_noted_and_survived(worker: Worker, volume: Volume) -> None:
    # The fake greets before it takes hold of its channel, as a launcher might.
    worker.submit(volume, "denoise")
    worker.wait()
    assert "a launcher's greeting" in worker._process.said()
    worker.submit(volume, "denoise", "exit")
    assert "a launcher's greeting" in last_event(worker).details


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"null",
        b'{"kind": "party"}',
        b'{"kind": "progress", "job": "", "progress": {"speed": 3}, "result": null}',
        b'{"kind": "result"',
        b'{"kind": "result", "job": "another"}',
    ],
)
def test_lines_that_are_no_events_are_never_taken_for_one(
    worker: Worker, volume: Volume, line: bytes
) -> None:
    worker.submit(volume, "denoise", "wait")
    assert worker._heard(line) == []
    assert worker.busy
    worker.cancel()
    assert last_event(worker).kind == "cancelled"


@pytest.mark.parametrize("voxels", [None, b"", b"nonsense", b"\x93NUMPY\x01\x00"])
def test_a_result_without_readable_voxels_is_an_error(
    worker: Worker, volume: Volume, voxels: bytes | None
) -> None:
    job = worker.submit(volume, "denoise", "wait")
    if voxels is not None:
        output_file(worker._process.folder, job).write_bytes(voxels)
    facts = {"task": "denoise", "geometry": volume.geometry.to_json(), "evidence": []}
    facts.update(provenance={}, warnings=[], modality="", units="")
    event = {"kind": "result", "job": job, "progress": None, "message": "", "details": ""}
    line = json.dumps({**event, "error": "", "result": facts}).encode()
    (heard,) = worker._heard(line)
    assert (heard.kind, heard.job, heard.error) == ("error", job, "WorkerError")
    assert "cannot be read" in heard.message
    assert not worker.busy


def test_the_process_alone_speaks_the_protocol(temporary: Path) -> None:
    process = Process(FAKE, None)
    process.send(b"hello?\n")
    escaping = {"do": "run", "id": "../../escape", "task": "denoise", "model": "double"}
    volume = Header(Geometry((1, 1, 1)), "", "")
    escaping.update(options=None, model_folders=[], trusted=[], volume=volume.to_json())
    process.send(json.dumps(escaping).encode() + b"\n")
    lines: list[bytes] = []
    for _ in range(MANY_POLLS):
        lines += process.receive(0.05)
        if len(lines) == 4:
            break
    assert lines[0].strip() == b"a launcher's greeting"
    assert from_line(lines[1])["kind"] == "listening"
    assert from_line(lines[2])["kind"] == "error"
    assert "no name for a job" in from_line(lines[3])["message"]
    process.end(60)
    assert process.exit_code == 0
    assert list(temporary.iterdir()) == []


def test_a_launcher_that_does_not_pass_its_input_on_is_told(
    volume: Volume, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "HEARING_SECONDS", 0.5)
    with Worker(command=[sys.executable, str(HERE / "deaf_launcher.py"), *FAKE]) as worker:
        worker.submit(volume, "denoise")
        event = last_event(worker)
        assert (event.kind, event.error) == ("error", "WorkerError")
        assert "does not receive its jobs" in event.message
        assert not worker.alive and list(temporary.iterdir()) == []


def test_a_job_that_was_heard_may_take_its_time(worker: Worker, volume: Volume) -> None:
    for _ in range(2):
        worker.submit(volume, "denoise", "wait")
        poll_until(worker, lambda event: event.kind == "progress")
        assert worker._heard_by == float("inf")
        worker.cancel()
        assert last_event(worker).kind == "cancelled"


def test_starting_sweeps(worker: Worker, volume: Volume, temporary: Path) -> None:
    left = temporary / left_behind(PREFIX)
    left.mkdir()
    (left / "x.in.npy").write_bytes(b"voxels")
    worker.submit(volume, "denoise")
    worker.wait()
    assert not left.exists()


def test_what_was_printed_is_kept_within_bounds() -> None:
    tail = Tail(100)
    for number in range(1000):
        tail.add(f"{number:07d}\n".encode())
    text = tail.text()
    assert len(text) <= 100
    assert text.endswith("0000999\n")
