"""The private folder through which voxels travel, and the sweeping up of forgotten ones."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PREFIX = "medenhance-worker-"
OWNER_FILE = "owner.json"
ATTEMPTS = 20


def make_folder() -> Path:
    """A new folder that only this user can enter, marked as belonging to this process."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    owner = {"pid": os.getpid(), "host": socket.gethostname()}
    (folder / OWNER_FILE).write_text(json.dumps(owner), encoding="utf-8")
    return folder


def remove_folder(folder: Path) -> None:
    """Remove the folder, again if something was still being written into it."""
    for _ in range(ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


def remove_stale_folders() -> None:
    """Remove the folders of this user's processes that are no more.

    A process of another computer (or container) that shares the folder for temporary files cannot
    be asked whether it lives; its folders are left alone.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if _is_mine(folder) and _is_forgotten(folder):
            remove_folder(folder)


def store_voxels(voxels: NDArray[Any], path: Path) -> None:
    """Write the array so that the name appears only once the file is whole."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, voxels, allow_pickle=False)
    os.replace(part, path)


def take_voxels(path: Path) -> NDArray[Any]:
    """Read the array and delete its file."""
    with path.open("rb") as file:
        voxels: NDArray[Any] = np.load(file, allow_pickle=False)
    path.unlink()
    return voxels


def input_file(folder: Path, job: str) -> Path:
    """Where a job's voxels lie."""
    return folder / f"{job}.in.npy"


def guide_file(folder: Path, job: str) -> Path:
    """Where the voxels of its guide lie, when there is one."""
    return folder / f"{job}.guide.npy"


def output_file(folder: Path, job: str) -> Path:
    """Where the voxels of its result lie."""
    return folder / f"{job}.out.npy"


def uncertainty_file(folder: Path, job: str) -> Path:
    """Where the voxels of its result's uncertainty lie, when that was asked for."""
    return folder / f"{job}.uncertainty.npy"


def discard_files(folder: Path, job: str) -> None:
    """Delete whatever is left of a job."""
    for file in folder.glob(f"{job}.*"):
        with contextlib.suppress(OSError):
            file.unlink()


def is_running(pid: int) -> bool:
    """Whether there is a process of this number."""
    if sys.platform == "win32":
        return _is_running_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
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


def _is_mine(folder: Path) -> bool:
    try:
        # A link could lead anywhere, so only a real folder counts.
        facts = folder.lstat()
    except OSError:
        return False
    if not folder.is_dir() or folder.is_symlink():
        return False
    return not hasattr(os, "getuid") or facts.st_uid == os.getuid()


def _is_forgotten(folder: Path) -> bool:
    try:
        owner = json.loads((folder / OWNER_FILE).read_text(encoding="utf-8"))
        pid, host = int(owner["pid"]), str(owner["host"])
    except (OSError, ValueError, TypeError, KeyError):
        return False
    return host == socket.gethostname() and not is_running(pid)
