"""How much memory this process can still take without harm to itself and others."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
CONTROL_GROUP = Path("/sys/fs/cgroup")
NO_ROOM = ("failed to map segment", "Cannot allocate")
"""What is said of a native module that cannot be loaded for want of memory."""


@dataclass(frozen=True)
class _ControlGroups:
    """How a version of Linux's control groups calls its files; the second has no controllers."""

    controller: str
    limit: str
    used: str
    files: str

    def root(self) -> Path:
        return CONTROL_GROUP / self.controller


CONTROL_GROUPS = (
    _ControlGroups("", "memory.max", "memory.current", "inactive_file"),
    _ControlGroups(
        "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
    ),
)


def available_bytes() -> int | None:
    """Memory that is free or can be freed at once, within all limits; None where none tells."""
    known = [
        size
        for size in (_free_in_system(), _free_in_control_groups(), _free_in_address_space())
        if size is not None
    ]
    return max(0, min(known)) if known else None


def _free_in_system() -> int | None:
    if sys.platform == "win32":
        return _free_on_windows()
    fields = _fields(PROC / "meminfo")
    if "MemAvailable" in fields:
        return fields["MemAvailable"]
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    except (ValueError, OSError):
        return None


def _free_in_control_groups() -> int | None:
    """What a container or a cluster's queue lets this process have.

    Its limit may be that of any group around the process's own.
    """
    free = [
        size
        for folder, version in _control_groups()
        for group in (folder, *folder.parents)
        if (size := _free_in_control_group(version.root() / group, version)) is not None
    ]
    return min(free, default=None)


def _control_groups() -> Iterator[tuple[Path, _ControlGroups]]:
    """The process's own groups that may limit its memory, below the root of all groups."""
    try:
        lines = (PROC / "self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    # Lines such as "4:cpu,memory:/queue/job"; within a container the roots alone may be there.
    for line in ["0::/", "0:memory:/", *lines]:
        _, controllers, folder = line.split(":", 2)
        for version in CONTROL_GROUPS:
            if version.controller in controllers.split(","):
                yield Path(folder.lstrip("/")), version


def _free_in_control_group(group: Path, version: _ControlGroups) -> int | None:
    limit, used = _number(group / version.limit), _number(group / version.used)
    if limit is None or used is None:
        return None
    # Files that were read lately count as used, but are given up when memory is wanted.
    files = _fields(group / "memory.stat", unit=1).get(version.files, 0)
    return limit - used + files


def _free_in_address_space() -> int | None:
    """Up to the limit of the shell (`ulimit -v`)."""
    if sys.platform == "win32":
        return None
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    used = _fields(PROC / "self/status").get("VmSize")
    return None if limit == resource.RLIM_INFINITY or used is None else limit - used


def _fields(path: Path, unit: int = 1024) -> dict[str, int]:
    """Numbers by name from lines such as "MemAvailable:  1024 kB"; empty when unreadable."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    words = [line.replace(":", " ").split() for line in lines]
    return {w[0]: int(w[1]) * unit for w in words if len(w) > 1 and w[1].isdigit()}


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _free_on_windows() -> int | None:
    if sys.platform != "win32":
        return None

    class Status(ctypes.Structure):
        """MEMORYSTATUSEX of the Windows API."""

        _fields_ = [
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *[
                (name, ctypes.c_ulonglong)
                for name in ("total", "free", "page", "page_free", "space", "space_free", "more")
            ],
        ]

    status = Status(length=ctypes.sizeof(Status))
    known = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    return int(status.free) if known else None


def short_of_memory(error: BaseException) -> str:
    """What to tell the user of an error by which Python says that memory is short; "" of others."""
    refused = isinstance(error, OSError) and error.errno == errno.ENOMEM
    if refused or isinstance(error, MemoryError):
        return "The computer ran out of memory; crop the volume or use smaller tiles."
    unloaded = isinstance(error, ImportError) and any(word in str(error) for word in NO_ROOM)
    if unloaded or isinstance(error, SystemError):
        return (
            "A native module failed as it does when memory is short; close other programs, crop "
            "the volume or use smaller tiles."
        )
    return ""
