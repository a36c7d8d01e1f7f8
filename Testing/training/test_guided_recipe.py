"""Pairs of contrasts, and a whole guided training in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import training.data
import training.guides
import training.phantoms
from MedEnhanceLib.engine.networks import GuidedDenoiser, NoiseAwareDenoiser
from training.guided import GuidedDenoising, validation_case
from training.guides import made_up_contrast, misplaced, moved, pairs

SHAPE = (24, 48, 48)


def write(path: Path, voxels: np.ndarray, spacing: tuple[float, ...], shift: float) -> None:
    image = sitk.GetImageFromArray(voxels.astype(np.float32))
    image.SetSpacing(spacing)
    image.SetOrigin((shift, shift, 0.0))
    sitk.WriteImage(image, str(path))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One head in two contrasts for each part; the T1 on a coarser grid of its own."""
    split: dict[str, Any] = {"training": [], "validation": []}
    rng = np.random.default_rng(0)
    for part, subjects in split.items():
        tissue = np.kron(rng.integers(1, 4, (4, 6, 6)), np.ones((6, 8, 8)))
        write(tmp_path / f"{part}_T2.nii.gz", 30 * tissue, (1, 1, 1), 0.0)
        coarse = tissue.reshape(24, 24, 2, 24, 2).mean(axis=(2, 4))
        write(tmp_path / f"{part}_T1.nii.gz", 100 - 20 * coarse, (2, 2, 1), 0.5)
        facts = {"subject": part, "name": part, "source": "made up", "licence": "CC0-1.0"}
        subjects.append({**facts, "files": [f"{part}_T1.nii.gz", f"{part}_T2.nii.gz"]})
    write(tmp_path / "labels.nii.gz", np.kron(rng.integers(0, 5, (4, 8, 8)), np.ones((6,) * 3)),
          (1, 1, 1), 0.0)  # fmt: skip
    labels = {"training": [{"subject": "a", "files": ["labels.nii.gz"]}], "validation": []}
    splits = {"mr_head": split, "brain_tissue": labels}
    for module in (training.data, training.guides, training.phantoms):
        monkeypatch.setattr(module, "read_splits", lambda: splits)
    return tmp_path


@pytest.fixture
def recipe(data: Path, monkeypatch: pytest.MonkeyPatch) -> GuidedDenoising:
    monkeypatch.setattr("training.guided.FITTING_BATCHES", 2)
    torch.save(NoiseAwareDenoiser(4, 1).state_dict(), data / "first.pt")
    config = {"batch": 2, "patch": [16, 16, 16], "noise": [0.02, 0.1]}
    return GuidedDenoising({**config, "first_stage": str(data / "first.pt")}, data)


def test_pairs_lie_on_each_other(data: Path) -> None:
    found = {pair.name: pair for pair in pairs(data, "training")}
    assert set(found) == {"training T1 by T2", "training T2 by T1"}
    pair = found["training T2 by T1"]
    inner = (slice(2, -2),) * 3
    for image, guide in zip(pair.image, pair.guide, strict=True):
        assert image.voxels.shape == guide.voxels.shape
        assert np.corrcoef(image.voxels[inner].ravel(), guide.voxels[inner].ravel())[0, 1] < -0.9


def test_a_guide_is_moved_by_so_many_voxels() -> None:
    guide = np.random.default_rng(0).random((8, 10, 12)).astype(np.float32)
    shifted = moved(guide, (0, 2, 0), (0, 0, 0))
    np.testing.assert_allclose(shifted[:, :-2], guide[:, 2:], atol=1e-6)
    assert not np.allclose(misplaced(guide, np.random.default_rng(1)), guide, atol=0.05)


def test_a_made_up_contrast_has_the_same_edges() -> None:
    image = np.kron(np.random.default_rng(0).random((3, 3, 3)), np.ones((6, 6, 6)))
    image = image.astype(np.float32)
    other = made_up_contrast(image, np.random.default_rng(2))
    assert other.shape == image.shape and other.dtype == np.float32
    assert not np.allclose(other, image, atol=0.05)
    flat = np.abs(np.diff(image, axis=0)) == 0
    assert np.abs(np.diff(other, axis=0))[flat].max() < 0.1


def test_a_batch_has_four_channels_and_the_same_chance_gives_the_same(
    recipe: GuidedDenoising,
) -> None:
    first, again = (recipe.batch(np.random.default_rng([3, 5])) for _ in range(2))
    assert first.inputs.shape == (2, 4, 16, 16, 16)
    assert first.target.shape == first.weight.shape == (2, 1, 16, 16, 16)
    assert first.inputs.dtype == first.target.dtype == first.weight.dtype == torch.float32
    assert torch.equal(first.inputs, again.inputs)
    assert (first.inputs[:, 3] > 0).all()


def test_training_leaves_the_first_stage_alone(recipe: GuidedDenoising) -> None:
    network = GuidedDenoiser(4, 1, first_width=4, first_blocks=1)
    recipe.prepare(network)
    before = [p.clone() for p in network.first.parameters()]
    optimiser = torch.optim.AdamW(network.parameters(), 0.001)
    losses = []
    for _ in range(12):
        batch = recipe.batch(np.random.default_rng(1))
        optimiser.zero_grad()
        loss = recipe.loss(network(batch.inputs), batch)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert all(map(torch.equal, before, network.first.parameters()))


def test_validation_sees_both_places_of_the_guide(recipe: GuidedDenoising, data: Path) -> None:
    network = GuidedDenoiser(4, 1, first_width=4, first_blocks=1).eval()
    measures = recipe.validate(network)
    assert measures["score"] == pytest.approx(0, abs=1e-3)  # untrained: the first stage's output
    assert len(measures) == 5
    (pair,) = [p for p in pairs(data, "validation") if p.name.endswith("by T1")]
    _, near, far, _ = validation_case(pair)
    assert not np.allclose(near, far)
