"""The finder that lays an atlas over the head: what it says where, and its bundle."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from MedEnhanceLib.bundle import read_bundle
from MedEnhanceLib.engine.networks import AtlasFinder, atlas_finder
from MedEnhanceLib.engine.networks.tissue_atlas import ATLAS_SHAPE
from training import publish
from training.hippocampus_finder import mean_regions, middles
from training.network import build_network
from training.tissue_atlas import shares_of
from training.tissue_heads import Head
from training.tissue_maps import TissueMap, read_table

CONFIGS = Path(__file__).parents[2] / "training/configs"
FINDER = json.loads((CONFIGS / "finders/hippocampus-finder.json").read_text(encoding="utf-8"))
MODEL = json.loads((CONFIGS / "mr-hippocampus-unet.json").read_text(encoding="utf-8"))
WHITE, LEFT, RIGHT = 2, 17, 53


def made_up_head() -> Head:
    """A ball of white matter, 80 mm wide, with a hippocampus 20 mm left and right of its middle."""
    table = read_table()
    k, j, i = np.indices((100, 100, 100)) - 49.5
    labels = np.where(k**2 + j**2 + i**2 < 40**2, WHITE, 0)
    labels[45:53, 40:60, 26:34] = LEFT
    labels[45:53, 40:60, 66:74] = RIGHT
    rows = table.row_of_label[labels]
    return Head(TissueMap("made up", rows), table.tissues)


def test_hippocampi_stay_on_their_sides_in_the_atlas() -> None:
    head, table = made_up_head(), read_table()
    regions = mean_regions([head], table, shares_of(head, table))
    assert regions.shape == (3, *ATLAS_SHAPE)
    assert regions.min() >= 0
    left, right = middles(regions[1:]).tolist()
    assert left[2] == pytest.approx(-20, abs=2.5)
    assert right[2] == pytest.approx(20, abs=2.5)
    assert regions[1:].amax((1, 2, 3)).min() > 0.8


@pytest.mark.parametrize(("agreed", "is_likely"), [(0.8, True), (0.5, False)])
def test_regions_need_an_atlas_that_agrees(
    monkeypatch: pytest.MonkeyPatch, agreed: float, is_likely: bool
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(atlas_finder, "agreement", lambda *_: agreed)
    head, table = made_up_head(), read_table()
    network = AtlasFinder([8, 8], 2).eval()
    network.atlas.shares.copy_(shares_of(head, table))
    network.regions.copy_(mean_regions([head], table, network.atlas.shares[0]))
    with torch.inference_mode():
        scores = network(torch.rand(1, 1, 50, 54, 42))
    assert scores.shape == (1, 3, 50, 54, 42)
    assert torch.isfinite(scores).all()
    assert bool((scores.softmax(1)[:, 1:].amax((0, 2, 3, 4)) > 0.5).all()) == is_likely


def test_agreement_is_one_of_equals_and_none_of_strangers() -> None:
    shares = torch.rand(4, 6, 6, 6).softmax(0)
    assert atlas_finder.agreement(shares, shares) == pytest.approx(1)
    apart = torch.zeros(2, 4, 4, 4, 4)
    apart[0, 1, 0] = apart[1, 1, 3] = 1
    assert atlas_finder.agreement(*apart) == pytest.approx(0)


def test_a_bundle_is_published_with_its_finder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    licence = {"source": "none", "licence": "CC0-1.0"}
    splits: dict[str, Any] = {
        "brain_tissue": {"training": [{"subject": "head", "name": "Made up", **licence}]},
        "hippocampus": {"name": "Crops", **licence, "training": ["a"], "validation": ["b"]},
    }
    monkeypatch.setattr(publish, "read_splits", lambda: splits)
    runs = tmp_path / "runs"
    for config in (MODEL, FINDER):
        (runs / config["id"]).mkdir(parents=True)
        torch.manual_seed(0)
        network = build_network(config["network_def"])
        torch.save(network.state_dict(), runs / config["id"] / "best.pt")
    folder = publish.publish(MODEL, runs / MODEL["id"], tmp_path / "models")
    bundle = read_bundle(folder, shipped=True)
    assert bundle.finder is not None
    assert bundle.finder_model is not None
    weights = folder / "models/finder.pt"
    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert bundle.finder_model.verify_weights() == found
    assert [region.name for region in bundle.finder.regions] == ["Left", "Right"]
    assert [row["name"] for row in bundle.training_data] == ["Crops", "Made up"]
