"""The inference process: takes jobs from its standard input and reports events.

`enhance` runs on the main thread. A second thread reads the input, so that a cancellation is heard
while a job runs, and so that the end of the input ends the process at once: that is how it learns
that the program which started it is gone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TextIO

from MedEnhanceLib.costs import keep_imports
from MedEnhanceLib.errors import CancelledError, MedEnhanceError, WorkerError
from MedEnhanceLib.private import is_running, remove_folder
from MedEnhanceLib.progress import CANCELLED
from MedEnhanceLib.result import Progress, Result
from MedEnhanceLib.system_memory import short_of_memory
from MedEnhanceLib.volume import Volume
from MedEnhanceLib.worker.folder import (
    discard_files,
    guide_file,
    input_file,
    output_file,
    store_voxels,
    take_voxels,
    uncertainty_file,
)
from MedEnhanceLib.worker.protocol import (
    HEARD,
    LISTENING,
    LONGEST_LINE,
    Event,
    Header,
    Job,
    from_line,
    to_line,
)

OWNER_CHECK_SECONDS = 2.0
# Of a job as it is repeated to whoever sent nonsense.
LONGEST_NAME = 64

Enhance = Callable[..., Result]
FindCatalog = Callable[[Sequence[str], Sequence[str]], Any]


def serve(
    enhance: Enhance | None = None,
    find_catalog: FindCatalog | None = None,
    arguments: Sequence[str] | None = None,
) -> NoReturn:
    """Serve jobs until the input ends; then remove the private folder and exit.

    Args:
        enhance: what to run, with the signature of `MedEnhanceLib.enhance`, which is the default.
        find_catalog: makes the catalogue of models from the folders named by the user and the
            ids of bundles that the user trusts.
        arguments: of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where voxels are exchanged")
    parser.add_argument("--owner", type=int, default=0, help="process that started this one")
    chosen = parser.parse_args(arguments)
    # Windows removes no folder that a process stands in.
    os.chdir(chosen.folder.parent)
    source, sink = _private_channel()
    server = Server(source, sink, chosen.folder, enhance or _enhance, find_catalog or _catalog)
    server.greet()
    threading.Thread(target=server.listen, daemon=True).start()
    if chosen.owner and is_running(chosen.owner):
        threading.Thread(target=server.watch, args=(chosen.owner,), daemon=True).start()
    server.work()


def _private_channel() -> tuple[BinaryIO, BinaryIO]:
    """Input and output under other descriptors, so that no library can read or write them.

    What anything prints afterwards goes to stderr.
    """
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return source, sink


def _enhance(volume: Volume, task: Any, **arguments: Any) -> Result:
    from MedEnhanceLib.enhancement import enhance

    return enhance(volume, task, **arguments)


def _catalog(folders: Sequence[str], trusted: Sequence[str]) -> Any:
    from MedEnhanceLib.catalog import Catalog

    return Catalog.default(extra_folders=folders, trusted=trusted)


class Server:
    """State shared by the thread that works and the thread that listens.

    Attributes:
        jobs: those that were taken in and are still to be done.
    """

    def __init__(
        self,
        source: BinaryIO,
        sink: BinaryIO,
        folder: Path,
        enhance: Enhance,
        find_catalog: FindCatalog,
    ) -> None:
        self._source, self._sink, self._folder = source, sink, folder
        self._enhance, self._find_catalog = enhance, find_catalog
        self._sending = threading.Lock()
        self.jobs: queue.Queue[Job] = queue.Queue()
        # Names of jobs that are not over, and of those among them that were cancelled.
        self._pending: set[str] = set()
        self._cancelled: set[str] = set()
        self._modules = len(sys.modules)

    def greet(self) -> None:
        """Tell the client that from now on it is heard."""
        self._send(Event(LISTENING))

    def listen(self) -> None:
        """Take in lines until there are no more, then end the process."""
        try:
            while line := self._source.readline(LONGEST_LINE):
                self._obey(line)
        finally:
            self.end()

    def watch(self, owner: int) -> None:
        """End the process when its owner is gone, should the input be held open by another."""
        while is_running(owner):
            time.sleep(OWNER_CHECK_SECONDS)
        self.end()

    def work(self) -> NoReturn:
        """Run one job after the other."""
        while True:
            self.do(self.jobs.get())

    def do(self, job: Job) -> None:
        """Run a job and tell how it ended."""
        event = self._run(job)
        self._keep_imports()
        self._pending.discard(job.id)
        self._cancelled.discard(job.id)
        self._send(event)

    def _keep_imports(self) -> None:
        """After a job that imported something, which is mostly the first one."""
        if len(sys.modules) > self._modules:
            keep_imports()
            self._modules = len(sys.modules)

    def _obey(self, line: bytes) -> None:
        name = ""
        try:
            data = from_line(line)
            name = str(data.get("id", ""))[:LONGEST_NAME]
            if data["do"] == "run":
                job = Job.from_json(data)
                self._send(Event(HEARD, job.id))
                self._pending.add(job.id)
                self.jobs.put(job)
            elif data["do"] == "cancel":
                self._cancelled |= self._pending & {name}
            else:
                raise ValueError(f"nothing is called '{data['do']}'")
        except MedEnhanceError as error:
            self._send(_failure(name, error, str(error)))
        except Exception as error:
            # Whatever a line holds, the process lives on.
            sentence = "The inference process was sent a line that is not a job; run it again."
            self._send(Event("error", name, message=sentence, details=repr(error)[:500]))

    def _run(self, job: Job) -> Event:
        try:
            volume = self._taken(job.volume, input_file(self._folder, job.id))
            guide = job.guide and self._taken(job.guide, guide_file(self._folder, job.id))
            with warnings.catch_warnings():
                self._pass_on_warnings(job.id)
                result = self._enhance(
                    volume,
                    job.task,
                    model=job.model,
                    options=job.options,
                    guide=guide,
                    catalog=self._find_catalog(job.model_folders, job.trusted),
                    progress=lambda progress: self._report(job.id, progress),
                    cancel=lambda: job.id in self._cancelled,
                )
            if job.id in self._cancelled:
                return Event("cancelled", job.id, message=CANCELLED)
            self._hand_over(result, job.id)
            return Event("result", job.id, result=result)
        except CancelledError:
            return Event("cancelled", job.id, message=CANCELLED)
        except MedEnhanceError as error:
            return self._failed(job, error, str(error))
        except ModuleNotFoundError as error:
            return self._failed(
                job, error, f"The Python package '{error.name}' is missing; install it first."
            )
        except Exception as error:
            sentence = short_of_memory(error) or self._without_paths(_unexpected(error))
            return self._failed(job, error, sentence)

    def _taken(self, header: Header, file: Path) -> Volume:
        try:
            voxels = take_voxels(file)
        except (OSError, EOFError, ValueError) as error:
            raise WorkerError(
                "The voxels did not arrive whole at the inference process; run it again."
            ) from error
        return header.with_voxels(voxels)

    def _hand_over(self, result: Result, job: str) -> None:
        try:
            store_voxels(result.output.voxels, output_file(self._folder, job))
            if result.uncertainty is not None:
                store_voxels(result.uncertainty.voxels, uncertainty_file(self._folder, job))
        except OSError as error:
            if not self._folder.is_dir():
                raise WorkerError(
                    "The folder of the inference process was removed while it worked; run it again."
                ) from error
            raise WorkerError(
                f"The result cannot be handed over ({error.strerror}); free some space on the disk "
                f"of '{self._folder.parent}' and run it again."
            ) from error

    def _failed(self, job: Job, error: BaseException, sentence: str) -> Event:
        discard_files(self._folder, job.id)
        trace = "".join(traceback.format_exception(error))
        event = _failure(job.id, error, sentence)
        return replace(event, details=self._without_paths(trace))

    def _without_paths(self, text: str) -> str:
        """Where the user keeps things is not for whoever reads a report of the fault."""
        text = text.replace(str(self._folder), "<private folder>")
        with contextlib.suppress(RuntimeError):
            home = str(Path.home())
            if len(home) > 1:
                text = text.replace(home, "~")
        return text

    def _report(self, job: str, progress: Progress) -> None:
        self._send(Event("progress", job, progress=progress))

    def _pass_on_warnings(self, job: str) -> None:
        """Let MedEnhance's own warnings reach the user; those of libraries stay on stderr."""
        show = warnings.showwarning

        def pass_on(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if category.__module__.startswith("MedEnhanceLib."):
                self._send(Event("warning", job, message=str(message)))
            else:
                show(message, category, filename, lineno, file, line)

        warnings.showwarning = pass_on

    def _send(self, event: Event) -> None:
        try:
            with self._sending:
                self._sink.write(to_line(event.to_json()))
                self._sink.flush()
        except OSError:
            # Nobody listens any more.
            self.end()

    def end(self) -> NoReturn:
        """Leave nothing behind and end the process."""
        remove_folder(self._folder)
        # Not sys.exit: the other thread may be deep in a network, and must not be waited for.
        os._exit(0)


def _failure(job: str, error: BaseException, sentence: str) -> Event:
    return Event("error", job, message=sentence, error=type(error).__name__)


def _unexpected(error: Exception) -> str:
    what = " ".join(str(error).split())[:200]
    return (
        f"The run failed unexpectedly ({type(error).__name__}{': ' + what if what else ''}); try "
        "another model or report this with the details."
    )
