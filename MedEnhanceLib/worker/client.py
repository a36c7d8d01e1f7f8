"""The client's side: give the inference process a job, hear of it, get the result."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

from numpy.typing import NDArray

from MedEnhanceLib.errors import WorkerError
from MedEnhanceLib.options import Options, options_from_json
from MedEnhanceLib.progress import CANCELLED
from MedEnhanceLib.result import Result
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Volume, check_is_volume
from MedEnhanceLib.worker.folder import (
    discard_files,
    guide_file,
    input_file,
    output_file,
    store_voxels,
    take_voxels,
    uncertainty_file,
)
from MedEnhanceLib.worker.process import Process, default_command
from MedEnhanceLib.worker.protocol import (
    LAST_KINDS,
    LISTENING,
    OUTPUT,
    SIGNS,
    Event,
    Header,
    Job,
    from_line,
    to_line,
)

POLL_SECONDS = 0.003
WAIT_SECONDS = 0.05
CLOSE_SECONDS = 3.0
CANCEL_SECONDS = 20.0
HEARING_SECONDS = 60.0
NOTE_LENGTH = 500
DEAF = (
    "The inference process runs but does not receive its jobs, as behind a launcher that does not "
    "pass its input on; start it with Python itself, or report this with the details."
)
UNREADABLE = "The result of the inference process cannot be read; run it again."


class Worker:
    """A process that runs one job at a time and keeps its models between jobs.

    To be used from one thread. Nothing is started before the first job; after a crash, or after
    `close`, the next job starts a new process.

    Args:
        python: the Python to run it with, by default the one that runs this. Slicer must name
            its PythonSlicer, since its own executable is the application.
        environment: variables for the process, by default those of this one.
        command: the whole command, for special ways to start it, with absolute paths; ``python``
            is then not used.
    """

    def __init__(
        self,
        python: str | os.PathLike[str] | None = None,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] | None = None,
    ) -> None:
        self._python, self._environment, self._command = python, environment, command
        self._process: Process | None = None
        self._job = ""
        self._cancelled = False
        self._deadline = float("inf")
        # Until when the first job of a process must have been heard; known once it listens, since
        # nobody knows how long a start from a slow disk takes.
        self._heard_by = float("inf")

    @property
    def busy(self) -> bool:
        """Whether a job has been given whose last event has not been heard yet."""
        return bool(self._job)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.exit_code is None

    @property
    def pid(self) -> int | None:
        """The number of the process, None when there is none."""
        return None if self._process is None else self._process.pid

    def submit(
        self,
        volume: Volume,
        task: Task | str,
        model: str = "auto",
        options: Options | dict[str, Any] | None = None,
        model_folders: Iterable[str | os.PathLike[str]] = (),
        trusted: Iterable[str] = (),
        guide: Volume | None = None,
    ) -> str:
        """Begin a job and return its name. The arguments are those of `enhance` and `Catalog`.

        Raises:
            WorkerError: when a job is running, or the process cannot be started.
            OptionsError: when the options make no sense.
            VolumeError: when something else is given for a volume.
        """
        if self.busy:
            raise WorkerError(
                "The inference process is still working; wait for its result or cancel it first."
            )
        task = Task.named(str(task))
        check_is_volume(volume, "volume")
        if guide is not None:
            check_is_volume(guide, "guide")
        job = Job(
            id=secrets.token_hex(8),
            task=task,
            model=model,
            options=options_from_json(task, options) if isinstance(options, dict) else options,
            model_folders=tuple(os.path.abspath(folder) for folder in model_folders),
            trusted=tuple(trusted),
            volume=Header.of(volume),
            guide=None if guide is None else Header.of(guide),
        )
        self._hand_over(job, volume, guide)
        self._job, self._cancelled, self._deadline = job.id, False, float("inf")
        return job.id

    def poll(self, patience: float = POLL_SECONDS) -> list[Event]:
        """What has happened since the last call, after at most ``patience`` seconds.

        Progress, then exactly one last event per job: result, error or cancelled. A process that
        died is reported as an error.
        """
        process = self._process
        if process is None:
            return []
        # Asked first, so that whatever it said before it ended is heard below.
        exit_code = process.exit_code
        events = [event for line in process.receive(patience) for event in self._heard(line)]
        if self.busy and (exit_code is not None or time.monotonic() > self._heard_by):
            # Its last words may still be on the way through the pipe.
            rest = process.receive(WAIT_SECONDS)
            events += [event for line in rest for event in self._heard(line)]
        if exit_code is not None:
            events += self._died(exit_code)
        elif self.busy and time.monotonic() > self._heard_by:
            deaf = Event("error", message=DEAF, details=process.said(), error="WorkerError")
            events.append(self._over(deaf))
            self.close(force=True)
        elif self.busy and time.monotonic() > self._deadline:
            events.append(self._over(Event("cancelled", self._job, message=CANCELLED)))
            self.close(force=True)
        return events

    def wait(self, on_event: Callable[[Event], None] | None = None) -> Result:
        """Wait for the job's result.

        Args:
            on_event: called with every event.

        Raises:
            MedEnhanceError: of the kind that the job failed with; `CancelledError` when it was
                cancelled; `WorkerError` when there is no job, or the process died.
        """
        if not self.busy:
            raise WorkerError("There is no job to wait for; submit one first.")
        while True:
            for event in self.poll(WAIT_SECONDS):
                if on_event is not None:
                    on_event(event)
                if event.result is not None:
                    return event.result
                if event.is_last:
                    raise event.exception

    def cancel(self, grace: float = CANCEL_SECONDS) -> None:
        """Ask the job to stop; the event "cancelled" follows.

        Args:
            grace: seconds after which a process that does not obey is ended by force.
        """
        if not self.busy or self._process is None or self._cancelled:
            return
        self._cancelled = True
        self._deadline = time.monotonic() + grace
        # A process that is gone is reported by the next poll.
        with contextlib.suppress(OSError):
            self._process.send(to_line({"do": "cancel", "id": self._job}))

    def close(self, force: bool = False) -> None:
        """End the process and remove everything it left; a running job is dropped silently.

        Args:
            force: do not give it time to end by itself.
        """
        process, self._process, self._job = self._process, None, ""
        self._heard_by = float("inf")
        if process is not None:
            process.end(0.0 if force else CLOSE_SECONDS)

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _hand_over(self, job: Job, volume: Volume, guide: Volume | None) -> None:
        process = self._running_process()
        try:
            store_voxels(volume.voxels, input_file(process.folder, job.id))
            if guide is not None:
                store_voxels(guide.voxels, guide_file(process.folder, job.id))
        except OSError as error:
            discard_files(process.folder, job.id)
            raise WorkerError(
                f"The voxels cannot be handed to the inference process ({error.strerror}); free "
                f"some space on the disk of '{process.folder.parent}'."
            ) from error
        try:
            process.send(to_line({"do": "run", **job.to_json()}))
        except OSError:
            # It ended just now. The next poll reports that, with its last words.
            process.end(0.0)

    def _running_process(self) -> Process:
        process = self._process
        # Those who tidy up folders for temporary files may have taken it away.
        if process is not None and (process.exit_code is not None or not process.folder.is_dir()):
            self.close()
        if self._process is None:
            command = self._command or default_command(self._python)
            self._process = Process(command, self._environment)
        return self._process

    def _heard(self, line: bytes) -> list[Event]:
        """The event in a line; none when it is garbage, which is only noted."""
        assert self._process is not None
        is_last = False
        try:
            data = from_line(line)
            if data["kind"] in SIGNS:
                is_first = data["kind"] == LISTENING
                self._heard_by = time.monotonic() + HEARING_SECONDS if is_first else float("inf")
                return []
            if data["job"] not in ("", self._job) or not self.busy:
                # The end of a job that was given up.
                return []
            is_last = data["kind"] in LAST_KINDS
            event = Event.from_json(data, self._fetched)
        except Exception as error:
            # A launcher or a wrapper may print before the process takes hold of its channel, and
            # there is no end to what can be wrong with a line.
            self._process.note(f"[not an event: {line[:NOTE_LENGTH]!r} ({error})]")
            if not is_last:
                return []
            event = Event("error", message=UNREADABLE, details=str(error), error="WorkerError")
        return [self._over(event) if event.is_last else event]

    def _fetched(self, job: str, part: str) -> NDArray[Any]:
        assert self._process is not None
        file = output_file if part == OUTPUT else uncertainty_file
        return take_voxels(file(self._process.folder, job))

    def _died(self, exit_code: int) -> list[Event]:
        said = self._process.said() if self._process is not None else ""
        job = self._job
        self.close(force=True)
        if not job:
            return []
        if self._cancelled:
            return [Event("cancelled", job, message=CANCELLED, details=said)]
        sentence = (
            f"The inference process ended unexpectedly ({_explained(exit_code)}); run it again, "
            "with smaller tiles or on the CPU if it was short of memory."
        )
        return [Event("error", job, message=sentence, details=said, error="WorkerError")]

    def _over(self, event: Event) -> Event:
        """The job's last event, as it is told."""
        assert self._process is not None
        job, self._job = self._job, ""
        discard_files(self._process.folder, job)
        if self._cancelled:
            return Event("cancelled", job, message=CANCELLED, details=event.details)
        return replace(event, job=job)


def _explained(exit_code: int) -> str:
    if exit_code == -9:
        return "killed, often for lack of memory"
    if exit_code < 0:
        return f"signal {-exit_code}"
    # Windows reports its faults as large numbers, known by their hexadecimal form.
    return f"exit code {exit_code:#x}" if exit_code > 0xFFFF else f"exit code {exit_code}"
