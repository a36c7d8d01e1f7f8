"""Where the brain ends: scans with masks, the recipe, and the network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from torch.nn import functional

import training.data
import training.tissue_maps
from MedEnhanceLib.engine.networks import TissueGuessUNet
from MedEnhanceLib.errors import FileError
from training.brain_mask import BrainMask, Sample, middle_of, recoloured, sampled
from training.brain_scans import BrainScan, brain_scans, files_with_skull
from training.network import build_network

from .test_brain_tissue import made_up_head

CONFIG = Path(__file__).parents[2] / "training/configs/stages/brain-mask.json"
SPACING = (1.0, 1.25, 2.0)
RADIUS_MM, SHIFT_MM = 16.0, 6.0
NETWORK = "MedEnhanceLib.engine.networks.BrainUNet"


def ball(radius: float) -> np.ndarray:
    """1 in a ball that lies off the middle, upwards (k): (k, j, i) of 48 mm along each axis."""
    sides = [round(48 / step) for step in SPACING[::-1]]
    k, j, i = ((np.arange(n) - (n - 1) / 2) * s for n, s in zip(sides, SPACING[::-1], strict=True))
    far = (k[:, None, None] - SHIFT_MM) ** 2 + j[None, :, None] ** 2 + i[None, None] ** 2
    return (far < radius**2).astype(np.float32)


def write(voxels: np.ndarray, path: Path) -> None:
    """An image whose axes (i, j) run to the left and back, as LPS does."""
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(SPACING)
    sitk.WriteImage(image, str(path))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A head and a scan for either part, masks beside; and a brain that was cut out."""
    parts: dict[str, list[dict[str, object]]] = {"training": [], "validation": []}
    for part, subjects in parts.items():
        subjects.append({"subject": part, "files": [f"{part}.nii.gz", f"cstar_{part}.nii.gz"]})
        sitk.WriteImage(sitk.GetImageFromArray(made_up_head()), str(tmp_path / f"{part}_map.nii"))
        write(200 * ball(20) + 100 * ball(RADIUS_MM), tmp_path / f"{part}.nii.gz")
        (tmp_path / f"cstar_{part}.nii.gz").touch()
        (tmp_path / "masks").mkdir(exist_ok=True)
        write(ball(RADIUS_MM), tmp_path / "masks" / f"{part}.nii.gz")
    maps = {p: [{"subject": p, "files": [f"{p}_map.nii"]}] for p in parts}
    monkeypatch.setattr(training.data, "read_splits", lambda: {"mr_head": parts})
    monkeypatch.setattr(training.tissue_maps, "read_splits", lambda: {"brain_tissue": maps})
    return tmp_path


def recipe(data: Path) -> BrainMask:
    config = json.loads(CONFIG.read_text(encoding="utf-8"))
    parts = {"masks": str(data / "masks"), "guess": str(data / "guess.pt")}
    views = {"least_view": [16, 16, 16], "largest_view": [16, 24, 32]}
    changes = {"batch": 2, "patch": [16, 16, 16], **views, **parts}
    return BrainMask(config | changes, data)


def test_it_learns_from_the_training_part(data: Path) -> None:
    made = recipe(data)
    assert [head.name for head in (*made.painted, *made.scanned)] == ["training", "training"]


def test_a_brain_that_was_cut_out_is_no_head(data: Path) -> None:
    assert [name for name, _ in files_with_skull(data, "training")] == ["training"]


def test_scans_and_their_masks_are_turned_and_lie_on_each_other(data: Path) -> None:
    (scan,) = brain_scans(data, "validation", data / "masks")
    assert scan.image.shape == scan.brain.shape == (24, 24, 24)
    true_ml = 4 / 3 * np.pi * RADIUS_MM**3 / 1000
    assert float(scan.brain.sum()) * 8 / 1000 == pytest.approx(true_ml, rel=0.05)
    assert float(scan.image.max()) == pytest.approx(1, abs=0.02)
    # Up stays up.
    assert middle_of(scan.brain)[0] > middle_of(scan.brain)[1] + SHIFT_MM / 2
    assert float(scan.image[scan.brain > 0.99].min()) > 0.9


def test_a_missing_mask_names_the_way_out(data: Path) -> None:
    with pytest.raises(FileError, match=r"training\.nii\.gz' is missing; run"):
        brain_scans(data, "training", data / "none")


def test_samples_lie_where_they_were_asked_for() -> None:
    k, j, i = torch.meshgrid(*[torch.arange(n).float() for n in (5, 6, 7)], indexing="ij")
    places = torch.stack([k, j, i])[:, 1:4, 1:5, 1:6] + 0.25
    found = sampled(torch.stack([k, 10 * j + i]), places)
    assert torch.allclose(found[0], places[0], atol=1e-4)
    assert torch.allclose(found[1], 10 * places[1] + places[2], atol=1e-4)
    assert not sampled(torch.ones(1, 4, 4, 4), torch.full((3, 1, 1, 1), 9.0)).any()


def test_air_stays_dark_whatever_else_is_recoloured() -> None:
    image = torch.linspace(0, 1, 64).reshape(4, 4, 4)
    found = recoloured(image, np.random.default_rng(0))
    assert float(found[0, 0, 0]) == 0
    assert float(found.min()) >= 0 and float(found.max()) <= 1
    assert not torch.equal(found.reshape(-1), found.reshape(-1).sort().values)


def test_half_of_a_batch_was_scanned(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taught = recipe(data)
    scan = taught._scanned
    names: list[str] = []

    def noted(chosen: BrainScan, view: list[int], rng: np.random.Generator) -> Sample:
        names.append(chosen.name)
        return scan(chosen, view, rng)

    monkeypatch.setattr(taught, "_scanned", noted)
    batch = taught.batch(np.random.default_rng(0))
    assert names == ["training"]
    assert batch.inputs.shape == batch.target.shape
    assert float(batch.target.min()) >= 0 and float(batch.target.max()) <= 1
    assert float(batch.target[1].sum()) > 0


def test_views_differ_in_size(data: Path) -> None:
    taught = recipe(data)
    rng = np.random.default_rng(0)
    shapes = {tuple(taught.batch(rng).inputs.shape[2:]) for _ in range(8)}
    assert len(shapes) > 2
    assert {k for k, _, _ in shapes} == {16}
    assert {i for _, _, i in shapes} <= {16, 24, 32}


def test_it_starts_as_the_network_that_guesses_tissues(data: Path) -> None:
    torch.manual_seed(0)
    guess = TissueGuessUNet(4, [8, 8]).eval()
    torch.save(guess.state_dict(), data / "guess.pt")
    network = build_network({"_target_": NETWORK, "channels": [8, 8]}).eval()
    recipe(data).prepare(network)
    coarse = torch.rand(1, 1, 6, 6, 6)
    with torch.inference_mode():
        found = network(functional.interpolate(coarse, scale_factor=2.0))
        scores = guess(coarse)
    brain = scores[:, 1:].mean(1, keepdim=True) - scores[:, :1]
    expected = functional.interpolate(brain, scale_factor=2.0)
    assert torch.allclose(found, expected, atol=1e-4)


def test_the_brain_is_learned(data: Path) -> None:
    taught = recipe(data)
    torch.manual_seed(0)
    network = build_network({"_target_": NETWORK, "channels": [8, 8]})
    descent = torch.optim.Adam(network.parameters(), 0.02)
    rng = np.random.default_rng(0)
    before = taught.validate(network.eval())["score"]
    for _ in range(15):
        batch = taught.batch(rng)
        loss = taught.loss(network.train()(batch.inputs), batch)
        descent.zero_grad()
        loss.backward()
        descent.step()
    after = taught.validate(network.eval())
    assert after["score"] > before + 0.05
    assert set(after) == {"painted", "scanned", "score"}


@pytest.mark.parametrize("shape", [(8, 8, 8), (1, 5, 3), (70, 64, 51)])
def test_any_size_is_kept(shape: tuple[int, int, int]) -> None:
    network = build_network({"_target_": NETWORK, "channels": [8, 8]}).eval()
    with torch.inference_mode():
        odds = network(torch.rand(2, 1, *shape))
    assert odds.shape == (2, 1, *shape)
    assert torch.isfinite(odds).all()
