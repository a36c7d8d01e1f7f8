"""How much memory this process can still take without harm to itself and others."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

PROC = Path("/proc")
CONTROL_GROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """Memory that is free or can be freed at once, within all limits; None where none tells."""
    known = [
        size
        for size in (_free_in_system(), _free_in_control_group(), _free_in_address_space())
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


def _free_in_control_group() -> int | None:
    """What a container or a cluster's queue lets this process have (control groups, version 2)."""
    limit, used = _number(CONTROL_GROUP / "memory.max"), _number(CONTROL_GROUP / "memory.current")
    if limit is None or used is None:
        return None
    # Files that were read lately count as used, but are given up when memory is wanted.
    files = _fields(CONTROL_GROUP / "memory.stat", unit=1).get("inactive_file", 0)
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
