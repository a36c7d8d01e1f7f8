"""Teaching the finder on label maps: sides stay sides, whatever is done to the head."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from MedEnhanceLib.bundle import read_bundle
from training import finding, publish
from training.network import build_network

CONFIGS = Path(__file__).parents[2] / "training/configs"
FINDER = json.loads((CONFIGS / "finders/hippocampus-finder.json").read_text(encoding="utf-8"))
MODEL = json.loads((CONFIGS / "mr-hippocampus-unet.json").read_text(encoding="utf-8"))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A label map of a block head of 100 mm with two hippocampi, its axes as FreeSurfer's."""
    labels = np.zeros((64, 64, 64), np.uint8)  # RAS (k, j, i)
    labels[7:57, 7:57, 7:57] = 3
    labels[26:34, 20:40, 16:22] = 17
    labels[26:34, 20:40, 42:48] = 53
    labels = labels.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    image = sitk.GetImageFromArray(labels)
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    sitk.WriteImage(sitk.DICOMOrient(image, "LIA"), str(tmp_path / "head.nii.gz"))
    subject = {"subject": "head", "name": "Made up", "source": "none", "licence": "CC0-1.0"}
    subjects = [{**subject, "files": ["head.nii.gz"]}]
    splits = {
        "brain_tissue": {"training": subjects, "validation": subjects},
        "hippocampus": {
            "name": "Crops",
            "source": "none",
            "licence": "CC0-1.0",
            "training": ["a"],
            "validation": ["b"],
        },
    }
    for module in (finding, publish):
        monkeypatch.setattr(module, "read_splits", lambda: splits)
    return tmp_path


def small_finder() -> dict[str, Any]:
    return {**FINDER, "patch": [32, 32, 32], "spacing_mm": 5, "batch": 2}


def test_a_head_is_read_by_tissue_in_ras(data: Path) -> None:
    (head,) = finding.heads(data, "training")
    assert head.tissues.shape == (100, 100, 100)
    left, right = (np.argwhere(head.tissues.numpy() == side).mean(0) for side in (1, 2))
    assert left == pytest.approx([45.5, 45.5, 23.5])
    assert right == pytest.approx([45.5, 45.5, 75.5])
    assert head.middle == pytest.approx((left + right) / 2)


def test_sides_stay_sides_and_images_normal(data: Path) -> None:
    """Mirrored or not, the left hippocampus has the smaller index towards the right."""
    recipe = finding.Finding(small_finder(), data)
    seen = 0
    for seed in range(12):
        batch = recipe.batch(np.random.default_rng(seed))
        assert batch.inputs.shape == (2, 1, 32, 32, 32)
        assert torch.isfinite(batch.inputs).all()
        assert torch.allclose(batch.target.sum(1), torch.ones(2, 32, 32, 32), atol=1e-5)
        for target in batch.target.numpy():
            if min(target[1].sum(), target[2].sum()) > 8:
                left, right = (finding.centre_of_mass(target[side]) for side in (1, 2))
                assert left[2] < right[2]
                seen += 1
    assert seen >= 10


def test_a_batch_depends_on_its_seed_alone(data: Path) -> None:
    recipe = finding.Finding(small_finder(), data)
    first, second = (recipe.batch(np.random.default_rng(4)) for _ in range(2))
    assert torch.equal(first.inputs, second.inputs)
    assert torch.equal(first.target, second.target)


def test_the_loss_falls_towards_the_truth(data: Path) -> None:
    recipe = finding.Finding(small_finder(), data)
    batch = recipe.batch(np.random.default_rng(3))
    truth = 20 * (batch.target - 0.5)
    nothing = torch.zeros_like(truth)
    nothing[:, 0] = 20
    swapped = truth[:, [0, 2, 1]]
    losses = [float(recipe.loss(output, batch)) for output in (truth, nothing, swapped)]
    assert losses[0] < min(losses[1:])


def test_the_distance_is_measured_where_there_is_something(data: Path) -> None:
    target = np.zeros((3, 16, 16, 16), np.float32)
    target[1, 4:7, 5:8, 6:9] = 1
    target[0] = 1 - target[1]

    class Shifted(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scores = torch.zeros(1, 3, 16, 16, 16)
            scores[0, 1, 4:7, 5:8, 8:11] = 20
            return scores

    errors = finding.centre_errors(Shifted(), np.zeros((16, 16, 16), np.float32), target)
    assert errors == pytest.approx([2.0])


def test_a_bundle_is_published_with_its_finder(data: Path) -> None:
    runs = data / "runs"
    for config in (MODEL, FINDER):
        (runs / config["id"]).mkdir(parents=True)
        torch.manual_seed(0)
        network = build_network(config["network_def"])
        torch.save(network.state_dict(), runs / config["id"] / "best.pt")
    folder = publish.publish(MODEL, runs / MODEL["id"], data / "models")
    bundle = read_bundle(folder, shipped=True)
    assert bundle.finder is not None
    assert bundle.finder_model is not None
    weights = folder / "models/finder.pt"
    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert bundle.finder_model.verify_weights() == found
    assert [region.name for region in bundle.finder.regions] == ["Left", "Right"]
    assert [row["name"] for row in bundle.training_data] == [
        "Crops",
        "Made up",
    ]
