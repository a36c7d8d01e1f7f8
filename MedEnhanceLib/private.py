"""Private folders: only this user can enter them, and whoever dies leaves none behind for long.

A folder's name says which process it belongs to, so that there is no moment at which a folder has
no owner. Whoever makes a folder next sweeps up those whose owner is no more.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ATTEMPTS = 20
# Position of the start time in /proc/PID/stat, counted behind the command's name; see proc(5).
START_FIELD = 19


def make_folder(prefix: str, place: Path | None = None) -> Path:
    """A new folder of mode 0700, named ``prefix`` and its owner, this process.

    Args:
        place: where to; by default the folder for temporary files.

    Raises:
        OSError: when none can be made there.
    """
    owner = f"{os.getpid()}-{_started(os.getpid())}-{_home()}-"
    return Path(tempfile.mkdtemp(prefix=prefix + owner, dir=place))


def remove_folder(folder: Path) -> None:
    """Remove the folder, again if something was still being written into it."""
    for _ in range(ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


def sweep(prefix: str, place: Path | None = None) -> None:
    """Remove the folders of this user's processes that are no more.

    A process of another computer (or container) that shares the place cannot be asked whether it
    lives; its folders are left alone.
    """
    place = Path(tempfile.gettempdir()) if place is None else place
    for entry in _entries(place, prefix):
        # Another program may sweep at the same time; what is gone needs no sweeping.
        with suppress(OSError):
            if _is_mine(entry) and _is_forgotten(entry.name[len(prefix) :]):
                remove_folder(Path(entry.path))


def _entries(place: Path, prefix: str) -> list[os.DirEntry[str]]:
    """What is called so in a place; nothing where that cannot be looked into."""
    try:
        with os.scandir(place) as entries:
            return [entry for entry in entries if entry.name.startswith(prefix)]
    except OSError:
        return []


@contextmanager
def staging(prefix: str, place: Path) -> Iterator[Path]:
    """A private folder for the length of a ``with`` block; earlier forgotten ones are swept up.

    Raises:
        OSError: when none can be made there.
    """
    sweep(prefix, place)
    stage = make_folder(prefix, place)
    try:
        yield stage
    finally:
        remove_folder(stage)


def is_running(pid: int) -> bool:
    """Whether there is a process of this number."""
    if sys.platform == "win32":
        return _is_running_on_windows(pid)
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _is_running_on_windows(pid: int) -> bool:
    # os.kill(pid, 0) would send a Ctrl+C there instead of asking.
    if sys.platform != "win32":
        return False
    import ctypes

    synchronize, access_denied, still_running = 0x00100000, 5, 0x102
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    handle = kernel.OpenProcess(synchronize, False, pid)
    if not handle:
        return ctypes.get_last_error() == access_denied
    try:
        return bool(kernel.WaitForSingleObject(handle, 0) == still_running)
    finally:
        kernel.CloseHandle(handle)


def _is_mine(entry: os.DirEntry[str]) -> bool:
    # A link could lead anywhere, so only a real folder counts.
    if not entry.is_dir(follow_symlinks=False):
        return False
    return not hasattr(os, "getuid") or entry.stat(follow_symlinks=False).st_uid == os.getuid()


def _is_forgotten(owner: str) -> bool:
    """Whether the process that a folder's name speaks of was of this computer, and has ended."""
    named = re.match(r"(\d{1,10})-(\d{1,20})-([0-9a-f]{12})-", owner)
    if named is None or named[3] != _home():
        return False
    pid, started = int(named[1]), named[2]
    # Numbers are used again, at the latest after the computer was started anew.
    return not is_running(pid) or started != _started(pid)


def _started(pid: int) -> str:
    """When a process began, in ticks since the computer did; "0" where that is not told."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        return str(int(stat.rpartition(")")[2].split()[START_FIELD]))
    except (OSError, IndexError, ValueError):
        return "0"


def _home() -> str:
    """What tells this computer, and the container if this is one, from others."""
    container = ""
    with suppress(OSError):
        container = os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(f"{socket.gethostname()} {container}".encode()).hexdigest()[:12]
