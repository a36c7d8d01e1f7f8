"""Made-up scans and tiny configurations, so that whole trainings take seconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import training.data
from training.parallel import Processes
from training.recipe import Config, Recipe
from training.train import Training

CONFIGS = Path(__file__).parents[2] / "training/configs"
TINY = {"batch": 1, "patch": [16, 16, 16], "steps": 2, "validate_every": 1, "phantoms": 0}
ALONE = Processes(torch.device("cpu"))


Network = TypeVar("Network", bound=torch.nn.Module)


def awake(network: Network, std: float = 0.3) -> Network:
    """With random weights everywhere, the last layer's too, in double precision."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return network.double().eval()


def whole_and_halved(
    kind: type[Training], config: Config, recipe: Recipe, folder: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Checkpoints of a run in one go, and of one that was stopped after a step and given again."""
    kind(config, recipe, folder / "whole", ALONE).run()
    kind(config | {"steps": 1}, recipe, folder / "halved", ALONE).run()
    kind(config, recipe, folder / "halved", ALONE).run()
    whole, halved = (
        torch.load(folder / run / "checkpoint.pt", weights_only=True) for run in ("whole", "halved")
    )
    return whole, halved


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one made-up scan for each part of a made-up split."""
    rng = np.random.default_rng(0)
    split: dict[str, Any] = {"training": [], "validation": []}
    for part, subjects in split.items():
        voxels = np.kron(rng.random((6, 4, 4)), np.ones((20, 20, 20))) * 100
        sitk.WriteImage(
            sitk.GetImageFromArray(voxels.astype(np.float32)), str(tmp_path / f"{part}.nii.gz")
        )
        facts = {"subject": part, "name": part, "source": "made up", "licence": "CC0-1.0"}
        subjects.append({**facts, "files": [f"{part}.nii.gz"]})
    monkeypatch.setattr(training.data, "read_splits", lambda: {"mr_head": split})
    return tmp_path


@pytest.fixture
def tiny_config() -> Callable[[str], dict[str, Any]]:
    """A shipped model's configuration, cut down to a network and patches of toy size."""

    def config(name: str) -> dict[str, Any]:
        whole = json.loads((CONFIGS / f"{name}.json").read_text(encoding="utf-8"))
        own = {"width": 4, "below": 4, "blocks": 1}
        smallest = own | {f"first_{name}": size for name, size in own.items()}
        whole["network_def"] |= {n: v for n, v in smallest.items() if n in whole["network_def"]}
        return whole | TINY

    return config
