"""The command line as a process of its own: Ctrl-C, a polite kill, and starting quickly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from MedEnhanceLib import write_image
from Testing.cli.conftest import scan

PROGRAM = (sys.executable, "-m", "MedEnhanceLib.cli")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
@pytest.mark.parametrize(
    ("name", "code", "why"),
    [
        ("SIGINT", 130, "cancelled"),
        ("SIGTERM", 143, "ended by SIGTERM, as at a queue's time limit"),
        ("SIGHUP", 129, "ended by SIGHUP, as when its terminal is closed"),
    ],
)
def test_cancelling_leaves_nothing_behind(
    root: Path, tmp_path: Path, name: str, code: int, why: str
) -> None:
    # Large enough to be still at work when the signal comes.
    write_image(scan((96, 160, 160)), tmp_path / "scan.nii")
    process = subprocess.Popen(
        [*PROGRAM, *["denoise", "scan.nii", "out.nii", "--removed", "r.nii", "--report", "r.json"]],
        cwd=tmp_path,
        env=_environment(root),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=heed_signals,
    )
    assert process.stderr is not None
    # Said when the outputs have been checked, the volume has been read and the work begins.
    assert "chosen for this volume" in process.stderr.readline()
    process.send_signal(getattr(signal, name))
    _, said = process.communicate(timeout=120)
    assert process.returncode == code
    assert [path.name for path in tmp_path.iterdir()] == ["scan.nii"]
    assert "Traceback" not in said
    assert said.strip().endswith(f"medenhance: {why}; nothing was written.")


def heed_signals() -> None:
    """A shell's background jobs ignore Ctrl-C and hand that on; a user's own do not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_a_failure_is_one_line_on_the_error_stream(root: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [*PROGRAM, "denoise", "nowhere.nii", "out.nii"],
        cwd=tmp_path,
        env=_environment(root),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == ["medenhance: 'nowhere.nii' does not exist; check the path."]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other pipes")
@pytest.mark.parametrize(
    "arguments", [["models", "--markdown"], ["models", "mr-brain-tissue-unet"], ["--version"]]
)
def test_a_closed_pipe_is_left_without_a_word(root: Path, arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*PROGRAM, *arguments],
        env=_environment(root),
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=120,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_listing_models_loads_no_network_library(root: Path) -> None:
    code = (
        "import sys\n"
        "from MedEnhanceLib.cli.main import app\n"
        "app(['models', '--json'], standalone_mode=False)\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'monai', 'PIL')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=_environment(root), capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def _environment(root: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(root)}
