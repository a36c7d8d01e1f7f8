"""A Python of its own, for what would change the one that runs the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def printed(code: str, folder: Path, *first: Path) -> dict[str, str]:
    """The lines "name: value" that some code prints.

    It runs in ``folder``, which is searched for modules after those named ``first``.
    """
    path = os.pathsep.join(map(str, [*first, folder]))
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return dict(line.split(": ", 1) for line in run.stdout.splitlines() if ": " in line)
