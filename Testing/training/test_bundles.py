"""The shipped bundles: complete, intact, honest about their data, and runnable."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

from training.brain_scans import WITHOUT_SKULL
from training.data import read_splits
from training.network import build_network

ROOT = Path(__file__).parents[2]
CONFIGS = [
    path
    for path in sorted((ROOT / "training/configs").glob("*.json"))
    if (ROOT / "Resources/Models" / path.stem).exists()  # those that were published
]
REQUIRED_BY_MONAI = {
    "schema",
    "version",
    "changelog",
    "monai_version",
    "pytorch_version",
    "numpy_version",
    "required_packages_version",
    "task",
    "description",
    "authors",
    "copyright",
    "intended_use",
    "network_data_format",
}
LARGEST_BUNDLE = 12_000_000


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def bundle(request: pytest.FixtureRequest) -> Path:
    return ROOT / "Resources/Models" / request.param.stem


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_bundle_is_complete(bundle: Path) -> None:
    metadata = read(bundle / "configs/metadata.json")
    assert metadata.keys() >= REQUIRED_BY_MONAI
    assert metadata["medenhance"]["id"] == bundle.name
    assert metadata["medenhance"]["limits"]
    assert (bundle / "LICENSE").stat().st_size > 100
    assert metadata["medenhance"]["title"] in (bundle / "docs/README.md").read_text("utf-8")
    assert sum(f.stat().st_size for f in bundle.rglob("*") if f.is_file()) < LARGEST_BUNDLE


def test_weights_are_the_ones_described(bundle: Path) -> None:
    facts = read(bundle / "configs/metadata.json")["medenhance"]
    weights = bundle / facts["weights"]
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == facts["sha256"]
    network = build_network(read(bundle / "configs/inference.json")["network_def"])
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    assert facts["halo"] == getattr(network, "halo", None)
    multiple = facts["input"]["multiple"]
    size = [multiple * 4] * 3
    with torch.inference_mode():
        output = network.eval()(torch.rand(1, len(facts["input"]["channels"]), *size))
    assert list(output.shape[2:]) == size
    assert torch.isfinite(output).all()


def test_what_the_workflow_needs_is_stated(bundle: Path) -> None:
    needed = read(bundle / "configs/metadata.json")["required_packages_version"]
    names_us = "MedEnhanceLib" in (bundle / "configs/inference.json").read_text("utf-8")
    assert ("medenhance" in needed) == names_us


def test_finders_are_the_ones_described(bundle: Path) -> None:
    facts = read(bundle / "configs/metadata.json")["medenhance"].get("finder")
    if facts is None:
        assert not (bundle / "models/finder.pt").exists()
        return
    weights = bundle / facts["weights"]
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == facts["sha256"]
    network = build_network(facts["network_def"])
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    smallest = -(-int(facts["extent_mm"][0] / facts["spacing_mm"]) // facts["multiple"])
    size = [smallest * facts["multiple"]] * 3
    with torch.inference_mode():
        output = network.eval()(torch.rand(1, 1, *size))
    assert list(output.shape[1:]) == [len(facts["regions"]) + 1, *size]


def test_network_is_plain_data(bundle: Path) -> None:
    """The library builds the network from this alone, and runs no expression for it."""
    definition = json.dumps(read(bundle / "configs/inference.json")["network_def"])
    assert "$" not in definition
    assert "@" not in definition


def with_ancestors(config: dict) -> list[dict]:
    """The configuration, and those of the bundles whose weights it goes on from."""
    before = [p.stem for p in CONFIGS if f"/{p.stem}/models/" in config.get("init", "")]
    found = [read(ROOT / "training/configs" / f"{name}.json") for name in before]
    return [config, *(ancestor for c in found for ancestor in with_ancestors(c))]


def test_training_data_is_what_the_split_says(bundle: Path) -> None:
    config = read(ROOT / "training/configs" / f"{bundle.name}.json")
    parts = [config["bundle"]["training"]]
    if any(c.get("phantoms") for c in with_ancestors(config)):
        parts.append("brain_tissue")
    if "finder" in config["bundle"]:
        finder = read(ROOT / "training/configs/finders" / f"{config['bundle']['finder']}.json")
        parts.append(finder["bundle"]["training"])
    if "brain" in config:
        parts.append("mr_head")
    trained, held_out = (
        {s if isinstance(s, str) else s["subject"] for p in parts for s in read_splits()[p][part]}
        for part in ("training", "validation")
    )
    sets = read(bundle / "configs/metadata.json")["medenhance"]["training_data"]
    stated = {subject for row in sets for subject in row["subjects"]}
    # Of the scans that a part has learned from, those without a skull showed it nothing.
    assert stated == trained - ({WITHOUT_SKULL} if "brain" in config else set())
    assert not stated & held_out
    assert all(row["licence"] and row["source"] for row in sets)


@pytest.mark.parametrize("plain", ["mr-denoise-residual", "mr-super-resolution"])
def test_an_adversarial_model_tells_the_limits_of_its_plain_sibling(plain: str) -> None:
    siblings = (plain, f"{plain.removesuffix('-residual')}-adversarial")
    ours, theirs = (
        set(
            read(ROOT / "Resources/Models" / name / "configs/metadata.json")["medenhance"]["limits"]
        )
        for name in siblings
    )
    # How much it gains is each model's own.
    assert {limit for limit in ours if not limit.startswith("How much")} <= theirs
