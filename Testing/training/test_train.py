"""A whole tiny run: train, stop, go on, publish."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from training.network import build_network
from training.publish import publish
from training.recipe import make_recipe
from training.train import Training, learning_rate

TinyConfig = Callable[[str], dict[str, Any]]


@pytest.mark.parametrize("name", ["mr-denoise-residual", "mr-super-resolution-residual"])
def test_training_goes_on_where_it_stopped(name: str, data: Path, tiny_config: TinyConfig) -> None:
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


def test_a_published_run_can_be_read_and_used(data: Path, tiny_config: TinyConfig) -> None:
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
