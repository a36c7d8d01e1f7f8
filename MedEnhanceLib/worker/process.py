"""The inference process as its client holds it: started, written to, listened to, ended."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, BinaryIO

import MedEnhanceLib
from MedEnhanceLib.errors import WorkerError
from MedEnhanceLib.private import make_folder, remove_folder, sweep
from MedEnhanceLib.user_folders import FOLDERS
from MedEnhanceLib.worker.folder import PREFIX

KEPT_BYTES = 64 * 1024
BLOCK = 4096
# From <winbase.h>; the names are missing from subprocess on other systems.
NO_WINDOW, OWN_GROUP = 0x08000000, 0x00000200


class Process:
    """A running process, its private folder, and two threads that empty its pipes.

    The threads, and not the caller, wait for the pipes, which works alike on every system. They
    hold no reference to this object, so that forgetting it ends the process.

    Attributes:
        folder: where voxels are exchanged.

    Raises:
        WorkerError: when the process cannot be started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None) -> None:
        sweep(PREFIX)
        try:
            self.folder = make_folder(PREFIX)
        except OSError as error:
            raise WorkerError(
                f"The folder for temporary files cannot be used ({error.strerror}); free some "
                "space there."
            ) from error
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._said = Tail(KEPT_BYTES)
        try:
            self._popen = subprocess.Popen(
                [*command, "--folder", str(self.folder), "--owner", str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=own_environment(environment),
                # Python looks for modules where it is started first of all, so that must be a place
                # without any; what lies in the user's folder could be named like a library.
                cwd=self.folder,
                # Ctrl+C in a terminal is the client's to handle, so the process has its own group.
                start_new_session=os.name == "posix",
                creationflags=NO_WINDOW | OWN_GROUP if os.name == "nt" else 0,
            )
        except OSError as error:
            remove_folder(self.folder)
            raise WorkerError(
                f"The inference process cannot be started with '{command[0]}' "
                f"({error.strerror}); check that this Python is installed."
            ) from error
        self._letting_go = weakref.finalize(
            self, _let_go, self._popen.stdin, self.folder, os.getpid()
        )
        for read, pipe, target in (
            (_read_lines, self._popen.stdout, self._lines),
            (_read_all, self._popen.stderr, self._said),
        ):
            threading.Thread(target=read, args=(pipe, target), daemon=True).start()

    @property
    def pid(self) -> int:
        """The system's number of the process."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._popen.poll()

    def send(self, line: bytes) -> None:
        """Give it a line; raises `OSError` when it is gone."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(line)
        self._popen.stdin.flush()

    def receive(self, patience: float) -> list[bytes]:
        """The lines it has sent, waiting for the first one for ``patience`` seconds.

        Waiting, however short, is what lets the reading threads run at all in a program such as
        Slicer, whose event loop otherwise keeps the interpreter to itself.
        """
        lines: list[bytes] = []
        with contextlib.suppress(queue.Empty):
            while True:
                lines.append(self._lines.get(timeout=0 if lines else patience))
        return lines

    def said(self) -> str:
        """The last that it, and everything in it, has printed."""
        return self._said.text()

    def note(self, text: str) -> None:
        """Add a line to what it said."""
        self._said.add(f"{text}\n".encode())

    def end(self, patience: float) -> None:
        """End it, by force when it does not go within ``patience`` seconds; remove the folder."""
        _close(self._popen.stdin)
        try:
            self._popen.wait(patience)
        except subprocess.TimeoutExpired:
            self._kill()
        self._letting_go()

    def _kill(self) -> None:
        with contextlib.suppress(OSError):
            if os.name == "posix":
                os.killpg(self._popen.pid, signal.SIGKILL)
            else:
                self._popen.kill()
        self._popen.wait()


class Tail:
    """The last bytes of a stream, safe to use from two threads."""

    def __init__(self, size: int) -> None:
        self._size, self._kept = size, 0
        self._blocks: deque[bytes] = deque()
        self._lock = threading.Lock()

    def add(self, block: bytes) -> None:
        """Append a block, and forget the oldest ones when there are too many."""
        with self._lock:
            self._blocks.append(block)
            self._kept += len(block)
            while len(self._blocks) > 1 and self._kept - len(self._blocks[0]) >= self._size:
                self._kept -= len(self._blocks.popleft())

    def text(self) -> str:
        """What is kept."""
        with self._lock:
            return b"".join(self._blocks)[-self._size :].decode("utf-8", "replace")


def default_command(python: str | os.PathLike[str] | None) -> list[str]:
    """How the process is started with this Python, or with the one that runs now.

    Raises:
        WorkerError: when what runs now is another program that has Python in it.
    """
    found = _own_python() if python is None else _absolute(os.fspath(python))
    if found is None:
        raise WorkerError(
            f"'{Path(sys.executable).name}' is not Python itself, so the inference process cannot "
            "be started with it; give the path of PythonSlicer."
        )
    return [found, "-m", "MedEnhanceLib.worker"]


def _absolute(program: str) -> str:
    """A program given by its path rather than its name must be found from any folder."""
    return os.path.abspath(program) if os.path.dirname(program) else program


def _own_python() -> str | None:
    if "python" in Path(sys.executable).name.lower():
        return sys.executable
    # In Slicer the executable is Slicer, which would open a second window.
    return shutil.which("PythonSlicer")


def own_environment(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment, in which this very library is the one that is found first.

    Folders in it are those that are meant here, though the process stands in another one.
    """
    environment = dict(os.environ if given is None else given)
    for variable in FOLDERS.keys() & environment.keys():
        if environment[variable]:
            environment[variable] = os.path.abspath(environment[variable])
    folders = [str(Path(MedEnhanceLib.__file__).resolve().parent.parent)]
    named = environment.get("PYTHONPATH", "").split(os.pathsep)
    folders += [os.path.abspath(folder) for folder in named if folder]
    environment["PYTHONPATH"] = os.pathsep.join(folders)
    # Slabs of a volume are worked on in threads; those of numpy's matrix products would wait for
    # more work in a loop and be in their way.
    environment.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Memory is given out and taken back all the time. In large pages, as Linux has them, that
    # saves a fifth of the time beyond the network.
    environment.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    return environment


def _close(pipe: IO[bytes] | None) -> None:
    """Tell the process that its input has ended, by which it ends."""
    # What could not be sent to a dead process is tried once more here.
    with contextlib.suppress(OSError):
        if pipe is not None:
            pipe.close()


def _let_go(pipe: IO[bytes] | None, folder: Path, owner: int) -> None:
    # A forked child ends with all that its parent still needs.
    if os.getpid() != owner:
        return
    _close(pipe)
    remove_folder(folder)


def _read_lines(pipe: BinaryIO, lines: queue.SimpleQueue[bytes]) -> None:
    with contextlib.suppress(OSError, ValueError), pipe:
        for line in pipe:
            lines.put(line)


def _read_all(pipe: BinaryIO, said: Tail) -> None:
    with contextlib.suppress(OSError, ValueError), pipe:
        while block := os.read(pipe.fileno(), BLOCK):
            said.add(block)
