"""``import-model``: what it says, and what it refuses."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from Testing.cli.conftest import Run
from Testing.lib.conftest import denoiser_bundle


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDENHANCE_MODELS", str(tmp_path / "user"))
    return tmp_path / "user"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """What looks like TorchScript; it is never loaded here."""
    with zipfile.ZipFile(tmp_path / "net.ts", "w") as packed:
        packed.writestr("net/code/__torch__/x.py", "")
    return tmp_path / "net.ts"


def test_help_names_all_channels_and_the_usual_patch(run: Run) -> None:
    told = run("import-model", "--help").stdout
    assert "profile" in told and "96" in told


def test_a_bundle_is_listed_afterwards(run: Run, tmp_path: Path, user: Path) -> None:
    done = run("import-model", denoiser_bundle(tmp_path, "of-mine"))
    assert done.exit_code == 0, done.output
    assert "Imported of-mine" in done.stdout and str(user) in done.stdout
    assert json.loads(run("models", "of-mine", "--json").stdout)["shipped"] is False
    again = run("import-model", tmp_path / "of-mine")
    assert again.exit_code == 1 and "--replace" in again.stderr
    assert run("import-model", tmp_path / "of-mine", "--replace").exit_code == 0


def test_who_has_no_home_says_where_to(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("MEDENHANCE_MODELS")
    monkeypatch.setattr(Path, "home", nobody)
    bundle = denoiser_bundle(tmp_path, "of-mine")
    done = run("import-model", bundle)
    assert done.exit_code == 1 and "no home folder" in done.stderr
    done = run("import-model", bundle, "--into", tmp_path / "other")
    assert done.exit_code == 0 and "found with --models" in done.stdout


def test_a_network_says_what_it_needs(run: Run, tmp_path: Path, program: Path) -> None:
    words = ("--title", "My liver", "--task", "segment", "--label", "Liver", "--label", "Vessels")
    more = ("--spacing", 1.5, 1.5, 2, "--orientation", "RAS", "--patch", 64, 64, 32)
    done = run("import-model", program, *words, *more, "--into", tmp_path / "other")
    assert done.exit_code == 0, done.output
    assert "--trust my-liver" in done.stdout and "--models" in done.stdout
    told = json.loads(run("models", "my-liver", "--json", "--models", tmp_path / "other").stdout)
    assert [row["name"] for row in told["labels"]] == ["Liver", "Vessels"]
    assert "TorchScript" in told["runs_own_code"]


def test_refusals(run: Run, tmp_path: Path, user: Path, program: Path) -> None:
    bundle = denoiser_bundle(tmp_path, "of-mine")
    for words, part in [
        ((program,), "needs --title and --task"),
        ((program, "--title", "x", "--task", "cook"), "no task 'cook'"),
        ((program, "--title", "x", "--task", "segment"), "needs labels"),
        ((bundle, "--title", "x"), "leave --title"),
        ((bundle, "--modality", "CT", "--label", "Liver"), "leave --modality and --label out"),
        ((bundle, "--spacing", 1, 1, 2, "--axis-order", "ijk"), "--spacing and --axis-order"),
        ((tmp_path / "nothing",), "does not exist"),
    ]:
        done = run("import-model", *words)
        assert done.exit_code == 1 and part in done.stderr
        assert done.stderr.count("\n") == 1
    assert not user.exists() or not list(user.iterdir())
