"""Private folders: nobody else can enter, and none is left for long."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from MedEnhanceLib import private
from MedEnhanceLib.private import make_folder, staging, sweep
from Testing.left_behind import left_behind

posix = pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
PREFIX = ".medenhance-"
NOBODY = 65_534


@posix
def test_nobody_else_can_enter(tmp_path: Path) -> None:
    folder = make_folder(PREFIX, tmp_path)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs another user")
def test_another_user_sees_nothing(tmp_path: Path) -> None:
    folder = make_folder(PREFIX, tmp_path)
    (folder / "x.npy").write_bytes(b"voxels")
    for parent in (tmp_path, *list(tmp_path.parents)[:2]):
        parent.chmod(0o755)
    for look in (f"os.listdir({str(folder)!r})", f"open({str(folder / 'x.npy')!r})"):
        code = f"import os; os.setgid({NOBODY}); os.setuid({NOBODY}); {look}"
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "PermissionError" in ran.stderr


def test_only_what_is_forgotten_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten = tmp_path / left_behind(PREFIX, tmp_path)
    (forgotten / "x.npy").write_bytes(b"voxels")
    mine = make_folder(PREFIX, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("socket.gethostname", lambda: "another-computer")
        elsewhere = tmp_path / left_behind(PREFIX)
        elsewhere = elsewhere.with_name(elsewhere.name.replace(real_home(), private._home()))
    elsewhere.mkdir()
    kept = [mine, elsewhere, tmp_path / f"{PREFIX}strange", tmp_path / "somebody-elses"]
    kept[-2].mkdir()
    kept[-1].mkdir()
    file = tmp_path / left_behind(PREFIX)
    file.touch()
    kept.append(file)
    if os.name != "nt":
        link, target = tmp_path / left_behind(PREFIX), tmp_path / "target"
        target.mkdir()
        link.symlink_to(target, target_is_directory=True)
        kept += [link, target]
    sweep(PREFIX, tmp_path)
    assert not forgotten.exists()
    assert all(path.exists() for path in kept)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="users are told apart by POSIX's numbers")
def test_what_another_user_forgot_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten = tmp_path / left_behind(PREFIX, tmp_path)
    monkeypatch.setattr(os, "getuid", lambda: NOBODY)
    sweep(PREFIX, tmp_path)
    assert forgotten.exists()


def test_one_that_vanishes_does_not_keep_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two programs that start together sweep together."""
    forgotten = [tmp_path / left_behind(PREFIX, tmp_path) for _ in range(3)]
    is_mine, asked = private._is_mine, []

    def gone_at_first(entry: os.DirEntry[str]) -> bool:
        asked.append(entry.path)
        if len(asked) == 1:
            raise FileNotFoundError(entry.path)
        return is_mine(entry)

    monkeypatch.setattr(private, "_is_mine", gone_at_first)
    sweep(PREFIX, tmp_path)
    assert len(asked) == 3
    assert [str(path) for path in forgotten if path.exists()] == [asked[0]]


def real_home() -> str:
    """How this computer is named in the names of folders."""
    code = "from MedEnhanceLib import private; print(private._home())"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="tells no start of processes")
def test_a_number_that_is_used_again_does_not_keep_a_folder(tmp_path: Path) -> None:
    """After the computer was started anew, another program soon has the dead one's number."""
    mine = make_folder(PREFIX, tmp_path)
    pid, started, rest = mine.name[len(PREFIX) :].split("-", 2)
    before = tmp_path / f"{PREFIX}{pid}-{int(started) + 1}-{rest}"
    before.mkdir()
    sweep(PREFIX, tmp_path)
    assert mine.exists() and not before.exists()


def test_staging_is_gone_however_it_ends(tmp_path: Path) -> None:
    (tmp_path / left_behind(PREFIX)).mkdir()
    with pytest.raises(KeyboardInterrupt), staging(PREFIX, tmp_path) as stage:
        (stage / "half").write_text("x")
        assert list(tmp_path.iterdir()) == [stage]
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_not_there_is_no_trouble(tmp_path: Path) -> None:
    sweep(PREFIX, tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
