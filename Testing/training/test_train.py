"""A whole tiny run: train, stop, go on, publish."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import training.data
from training.network import build_network
from training.publish import publish
from training.recipe import make_recipe
from training.train import Training, learning_rate

CONFIGS = Path(__file__).parents[2] / "training/configs"
TINY = {
    "mr-denoise-residual": {"width": 4, "blocks": 1},
    "mr-super-resolution-residual": {"width": 4, "blocks": 1},
}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one made-up scan for each part of a made-up split."""
    rng = np.random.default_rng(0)
    split: dict[str, Any] = {"training": [], "validation": []}
    for part, subjects in split.items():
        voxels = np.kron(rng.random((6, 6, 6)), np.ones((20, 20, 20))) * 100
        sitk.WriteImage(
            sitk.GetImageFromArray(voxels.astype(np.float32)), str(tmp_path / f"{part}.nii.gz")
        )
        facts = {"subject": part, "name": part, "source": "made up", "licence": "CC0-1.0"}
        subjects.append({**facts, "files": [f"{part}.nii.gz"]})
    monkeypatch.setattr(training.data, "read_splits", lambda: {"mr_head": split})
    return tmp_path


def tiny_config(name: str) -> dict[str, Any]:
    config = json.loads((CONFIGS / f"{name}.json").read_text(encoding="utf-8"))
    config["network_def"] |= TINY[name]
    return config | {"batch": 1, "patch": [16, 16, 16], "steps": 2, "validate_every": 1}


@pytest.mark.parametrize("name", TINY)
def test_training_goes_on_where_it_stopped(name: str, data: Path) -> None:
    config = tiny_config(name)
    recipe = make_recipe(config, data)
    cpu = torch.device("cpu")
    Training(config, recipe, data / "whole", cpu).run()
    first = Training(config, recipe, data / "halved", cpu)
    first._learn()
    first._report(_Silent(), 1.0)
    first._save()
    Training(config, recipe, data / "halved", cpu).run()
    whole, halved = (
        torch.load(data / run / "checkpoint.pt", weights_only=True) for run in ("whole", "halved")
    )
    assert whole["step"] == halved["step"] == 2
    for key, value in whole["network"].items():
        torch.testing.assert_close(value, halved["network"][key])
    assert len((data / "halved/curve.csv").read_text().splitlines()) == 3


class _Silent:
    """A TensorBoard writer that keeps nothing."""

    def add_scalar(self, *args: object) -> None: ...

    def flush(self) -> None: ...


def test_a_published_run_can_be_read_and_used(data: Path) -> None:
    config = tiny_config("mr-denoise-residual")
    Training(config, make_recipe(config, data), data / "run", torch.device("cpu")).run()
    folder = publish(config, data / "run", data / "models")
    metadata = json.loads((folder / "configs/metadata.json").read_text(encoding="utf-8"))
    network = build_network(config["network_def"])
    network.load_state_dict(torch.load(folder / "models/model.pt", weights_only=True))
    assert metadata["medenhance"]["halo"] == network.halo
    assert "Not measured yet" in (folder / "docs/README.md").read_text(encoding="utf-8")


def test_learning_rate_rises_and_falls() -> None:
    config = {"learning_rate": 1.0, "warm_up": 10, "steps": 110}
    rates = [learning_rate(step, config) for step in range(120)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[10:110] == sorted(rates[10:110], reverse=True)
    assert rates[-1] == pytest.approx(0.01)
