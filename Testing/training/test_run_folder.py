"""What a run leaves on disk: whole files, and a curve that tells each step once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from MedEnhanceLib.errors import FileError
from training.recipe import make_recipe
from training.run_folder import RunFolder, append_row
from training.train import Training
from training.whole_files import written_whole

from .conftest import ALONE

TinyConfig = Callable[[str], dict[str, Any]]
SCALARS = ("loss", "validation/score")


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    target = tmp_path / "mask.nii.gz"
    with pytest.raises(KeyboardInterrupt), written_whole(target) as partial:
        assert partial.name.endswith("mask.nii.gz")
        partial.write_text("half of it")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    with written_whole(target) as partial:
        partial.write_text("all of it")
    assert [path.name for path in tmp_path.iterdir()] == ["mask.nii.gz"]
    assert target.read_text() == "all of it"


def test_steps_that_are_made_again_stand_once_in_the_curve(
    data: Path, tiny_config: TinyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config("mr-denoise-residual") | {"steps": 3}
    recipe = make_recipe(config, data)
    first = Training(config, recipe, data / "run", ALONE)
    keep, kept = first.folder.write_checkpoint, []

    def stopped_before_the_second(state: dict[str, Any]) -> None:
        if kept:
            raise KeyboardInterrupt
        kept.append(state["step"])
        keep(state)

    monkeypatch.setattr(first.folder, "write_checkpoint", stopped_before_the_second)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    Training(config, recipe, data / "run", ALONE).run()
    rows = (data / "run/curve.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "1", "2", "3"]


def test_every_validation_is_shown_by_tensorboard(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step in (5, 10):
        folder.report(step, 60.0, {"loss": 1.0 / step}, {"score": float(step)})
    folder.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    shown = {name: [(e.step, e.value) for e in events.Scalars(name)] for name in SCALARS}
    assert shown["validation/score"] == [(5, 5.0), (10, 10.0)]
    assert shown["loss"] == [(5, pytest.approx(0.2)), (10, pytest.approx(0.1))]


def test_other_columns_are_not_put_under_the_heading(tmp_path: Path) -> None:
    append_row(tmp_path / "curve.csv", {"step": 1, "loss": 2.0})
    with pytest.raises(FileError, match=r"other columns than this run \(step, dice\)"):
        append_row(tmp_path / "curve.csv", {"step": 2, "dice": 0.5})
    assert (tmp_path / "curve.csv").read_text().split() == ["step,loss", "1,2.0"]


def test_a_run_that_ended_early_says_so(
    data: Path,
    tiny_config: TinyConfig,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = tiny_config("mr-denoise-residual") | {"steps": 20, "patience": 2}
    recipe = make_recipe(config, data)
    monkeypatch.setattr(recipe, "validate", lambda network: {"score": 1.0})
    Training(config, recipe, data / "run", ALONE).run()
    assert "ended at step" not in capsys.readouterr().out
    Training(config | {"steps": 200}, recipe, data / "run", ALONE).run()
    assert "ended at step 3, as validation had not improved 2 times" in capsys.readouterr().out


def test_a_run_that_ended_before_its_first_checkpoint_begins_a_new_curve(
    data: Path, tiny_config: TinyConfig
) -> None:
    config = tiny_config("mr-denoise-residual") | {"steps": 2}
    recipe = make_recipe(config, data)
    Training(config, recipe, data / "run", ALONE).run()
    (data / "run/checkpoint.pt").unlink()
    Training(config, recipe, data / "run", ALONE).run()
    rows = (data / "run/curve.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "1", "2"]


def test_a_run_goes_on_with_the_weight_decay_it_is_told(
    data: Path, tiny_config: TinyConfig
) -> None:
    config = tiny_config("mr-denoise-residual") | {"steps": 1}
    recipe = make_recipe(config, data)
    Training(config, recipe, data / "run", ALONE).run()
    resumed = Training(config | {"weight_decay": 0.5}, recipe, data / "run", ALONE)
    assert [group["weight_decay"] for group in resumed.optimiser.param_groups] == [0.5]


def test_damaged_files_of_a_run_are_told_in_a_sentence(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.write_checkpoint({"step": 1})
    whole = (tmp_path / "run/checkpoint.pt").read_bytes()
    for damaged in (b"", whole[:100], b"rubbish"):
        (tmp_path / "run/checkpoint.pt").write_bytes(damaged)
        with pytest.raises(FileError, match="is damaged"):
            folder.read_checkpoint(ALONE.device)
    (tmp_path / "run/curve.csv").touch()
    folder.forget_after(3)
    folder.report(5, 60.0, {"loss": 1.0}, {"score": 2.0})
    assert len((tmp_path / "run/curve.csv").read_text().splitlines()) == 2
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="cannot be written"):
        RunFolder(tmp_path / "file/run")


def test_a_full_disk_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path)

    def full(*_: object) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64")

    monkeypatch.setattr("torch.save", full)
    with pytest.raises(FileError, match="free some space"):
        folder.write_best({})
