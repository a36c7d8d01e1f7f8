"""Pairs of contrasts, and a whole guided training in seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import training.data
import training.guided
import training.guides
import training.phantoms
from MedEnhanceLib.engine.networks import GuidedDenoiser, RefinedDenoiser
from MedEnhanceLib.engine.networks.guided import CANDIDATES, FEATURES
from training.guides import misplaced, moved, pairs
from training.network import build_network

PLAIN = {"width": 4, "below": 4, "blocks": 1, "first_width": 4, "first_below": 4, "first_blocks": 1}
NETWORK = {
    "_target_": "MedEnhanceLib.engine.networks.GuidedDenoiser",
    "width": 8,
    "plain": PLAIN,
}


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


def test_pairs_lie_on_each_other(data: Path) -> None:
    (pair,) = pairs(data, "training", "T1")
    assert (pair.subject, pair.name) == ("training", "T2 by T1")
    inner = (slice(2, -2),) * 3
    for image, guide in zip(pair.image, pair.guide, strict=True):
        assert image.voxels.shape == guide.voxels.shape
        assert np.corrcoef(image.voxels[inner].ravel(), guide.voxels[inner].ravel())[0, 1] < -0.9


def test_gates_learn_from_the_training_part(data: Path) -> None:
    assert [whose for whose, *_ in training.guided.clean_blocks(data)] == ["training", "phantoms"]


def test_a_guide_is_moved_by_so_many_voxels() -> None:
    guide = np.random.default_rng(0).random((8, 10, 12)).astype(np.float32)
    shifted = moved(guide, (0, 2, 0), (0, 0, 0))
    np.testing.assert_allclose(shifted[:, :-2], guide[:, 2:], atol=1e-6)
    assert not np.allclose(misplaced(guide, np.random.default_rng(1)), guide, atol=0.05)


def test_gates_are_fitted_and_the_rest_is_left_alone(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Untrained, the plain denoiser hardly denoises: any guide in place must help."""
    monkeypatch.setattr("training.guided.PHANTOMS", 1)
    monkeypatch.setattr("training.guided.CROP", (12, 24, 24))
    monkeypatch.setattr("training.guided.MARGIN", 2)
    torch.manual_seed(0)
    torch.save(RefinedDenoiser(**PLAIN).state_dict(), data / "first.pt")
    config = {"id": "guided", "network_def": NETWORK, "first_stage": str(data / "first.pt")}
    config |= {"crops": 1, "steps": 100, "learning_rate": 0.01, "weight_decay": 0.0, "seed": 1}
    (data / "config.json").write_text(json.dumps(config))
    arguments = ["--config", "config.json", "--data", ".", "--runs", "runs"]
    monkeypatch.chdir(data)
    monkeypatch.setattr("sys.argv", ["guided", *arguments])
    training.guided.main()
    gains = [float(line.split()[-2]) for line in capsys.readouterr().out.splitlines()]
    assert len(gains) == 2 * 4 and gains[0] > 0.2
    state = torch.load(data / "runs/guided/best.pt", weights_only=True)
    first = torch.load(data / "first.pt", weights_only=True)
    assert all(torch.equal(state[f"plain.{name}"], value) for name, value in first.items())
    # What was made of these scans and this denoiser is not taken for that of others.
    assert [path.name for path in (data / "runs").iterdir()] == ["guided"]


def test_voxels_in_a_list_are_gated_as_in_an_image() -> None:
    network = build_network(NETWORK)
    assert isinstance(network, GuidedDenoiser)
    for parameter in network.gates.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    features, changes = torch.randn(64, FEATURES), torch.randn(64, CANDIDATES)
    image = features.T.reshape(1, FEATURES, 4, 4, 4)
    shares = network.shares(image).reshape(CANDIDATES, 64).T
    added = training.guided.added_by(network, features, changes)
    torch.testing.assert_close(added, (shares * changes).sum(dim=1))
