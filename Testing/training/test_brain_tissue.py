"""Brain tissue: the label table, the network, synthesised contrasts and the recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import training.brain_tissue
import training.tissue_maps
from training.brain_tissue import BrainTissue
from training.data import read_splits
from training.network import build_network
from training.synthetic_contrast import STYLES, Painter, blurred, rician, stripped
from training.tables.brain_tissue import best_naming, phantom
from training.tissue_guess import TissueGuess, soft_dice
from training.tissue_heads import Head, field_of_view, nearest
from training.tissue_maps import TISSUES, TissueMap, read_map, read_table, tissue_dice

CONFIGS = Path(__file__).parents[2] / "training/configs"
SMALL = {"guess": [8, 8], "brain": [8, 8], "width": 8, "wider": 8, "blocks": [1, 1]}
FLUID, GREY, WHITE, BONE, SCALP = 24, 3, 2, 515, 511


def made_up_head() -> np.ndarray:
    """Shells of labels, white matter inside: (k, j, i)."""
    k, j, i = np.indices((44, 44, 44)) - 21.5
    radius = np.sqrt(k**2 + j**2 + i**2)
    labels = np.zeros(radius.shape, np.int16)
    for reach, label in ((21, SCALP), (18, BONE), (16, FLUID), (14, GREY), (9, WHITE)):
        labels[radius < reach] = label
    return labels


@pytest.fixture
def heads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a head for training and one for validation."""
    parts = {}
    for part in ("training", "validation"):
        sitk.WriteImage(sitk.GetImageFromArray(made_up_head()), str(tmp_path / f"{part}.nii.gz"))
        parts[part] = [{"subject": part, "files": [f"{part}.nii.gz"]}]
    monkeypatch.setattr(training.tissue_maps, "read_splits", lambda: {"brain_tissue": parts})
    return tmp_path


@pytest.fixture
def rows() -> torch.Tensor:
    table = read_table()
    return torch.from_numpy(table.row_of_label[made_up_head()].astype(np.int64))


def config(name: str) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads((CONFIGS / name).read_text(encoding="utf-8"))
    return whole


def fine_recipe(data: Path) -> tuple[BrainTissue, torch.nn.Module]:
    """The recipe of the second part on small heads, with an untrained first part."""
    parts = {name: data / f"{name}.pt" for name in ("guess", "brain", "atlas")}
    changes = {"batch": 2, "patch": [24, 24, 24], "head": [48, 48, 48], **parts}
    recipe = BrainTissue(config("mr-brain-tissue-unet.json") | changes, data)
    torch.manual_seed(0)
    network = build_network({"_target_": "MedEnhanceLib.engine.networks.TissueNet", **SMALL})
    network.atlas.shares.fill_(0.25)
    for name, path in parts.items():
        torch.save(getattr(network, name).state_dict(), path)
    recipe.prepare(network)
    recipe.use(network)
    return recipe, network


def guess_recipe(data: Path) -> tuple[TissueGuess, torch.nn.Module]:
    """The recipe of the first part on small heads."""
    torch.manual_seed(0)
    target = "MedEnhanceLib.engine.networks.TissueGuessUNet"
    network = build_network({"_target_": target, "classes": 4, "channels": [8, 8]})
    changes = {"batch": 2, "patch": [12, 12, 12], "spacing_mm": 4}
    return TissueGuess(config("stages/tissue-guess.json") | changes, data), network


def test_subjects_are_disjoint() -> None:
    split = read_splits()["brain_tissue"]
    training, validation = (
        {f for s in split[part] for f in s["files"]} for part in ("training", "validation")
    )
    assert len(training) == 5
    assert len(validation) == 2
    assert not training & validation
    assert all(s["licence"] and s["source"] for part in split.values() for s in part)


def test_each_label_is_in_one_row_of_the_table() -> None:
    path = Path(training.tissue_maps.__file__).with_name("tissue_labels.json")
    labels = [x for r in json.loads(path.read_text("utf-8"))["rows"] for x in r["labels"]]
    assert len(labels) == len(set(labels))


def test_tissues_of_well_known_labels() -> None:
    table = read_table()
    names = {
        label: table.tissues[table.row_of_label[label]] for label in (24, 4, 3, 10, 2, 16, 515)
    }
    assert names == {24: 1, 4: 1, 3: 2, 10: 2, 2: 3, 16: 3, 515: 0}


def test_a_map_is_turned_to_ras_and_cut(tmp_path: Path) -> None:
    labels = np.zeros((30, 30, 30), np.int16)
    labels[10:14, 10:16, 10:20] = WHITE
    labels[10, 10, 10] = GREY  # in LPS the rightmost, foremost, lowest corner
    sitk.WriteImage(sitk.GetImageFromArray(labels), str(tmp_path / "map.nii.gz"))
    table = read_table()
    rows = read_map(tmp_path / "map.nii.gz", table)
    assert rows.shape == (4 + 16, 6 + 16, 10 + 16)
    assert table.tissues[rows[8, 13, 17]] == 2
    assert (table.tissues[rows] == 2).sum() == 1


@pytest.mark.parametrize("style", STYLES)
def test_every_style_can_be_told_apart(style: str, rows: torch.Tensor) -> None:
    """Brightness differs from tissue to tissue, and nothing is negative or undefined."""
    paint = Painter(read_table())
    for seed in range(4):
        image, tissues = paint(rows, np.random.default_rng(seed), style)
        assert image.shape == tissues.shape == rows.shape
        assert torch.isfinite(image).all()
        assert image.min() >= 0
        values = paint.brightness(style, np.random.default_rng(seed))
        table = paint.table
        fluid, grey, white = (values[table.looks.index(x)] for x in ("fluid", "grey", "white"))
        assert abs(grey - white) > 0.005
        assert abs(fluid - grey) > 0.005


def test_stripping_only_takes_fluid_away(rows: torch.Tensor) -> None:
    tissues = Painter(read_table()).tissues[rows]
    for seed in range(6):
        left = stripped(tissues, np.random.default_rng(seed))
        assert torch.equal(left[tissues != 1], tissues[tissues != 1])
        assert (left <= tissues).all()


def test_rician_noise_has_its_level() -> None:
    noisy = rician(torch.full((40, 40, 40), 5.0), 0.2, np.random.default_rng(0))
    assert float(noisy.std()) == pytest.approx(0.2, rel=0.03)


def test_places_beyond_the_map_are_air() -> None:
    found = nearest(torch.full((2, 2, 2), 7), torch.tensor([[0.2, 5.0], [0.0, 0.0], [1.4, 0.0]]))
    assert found.tolist() == [7, 0]


def test_a_head_is_warped_about_its_brain() -> None:
    table = read_table()
    head = Head(TissueMap("made up", table.row_of_label[made_up_head()]), table.tissues)
    assert head.middle == pytest.approx([21.5] * 3)
    coarse = head.warped([24, 24, 24], 2, np.random.default_rng(0))
    volume = 8 * float((table.tissues[coarse.numpy()] > 1).sum())
    assert 0.4 < volume / float((table.tissues[head.rows.numpy()] > 1).sum()) < 2.2


def test_a_field_of_view_is_a_box_of_its_least_size() -> None:
    for seed in range(8):
        inside = field_of_view([20, 30, 40], 0.5, np.random.default_rng(seed))
        spans = [int(inside.amax(tuple({0, 1, 2} - {axis})).sum()) for axis in range(3)]
        assert float(inside.sum()) == np.prod(spans)
        assert all(2 * span >= size for span, size in zip(spans, inside.shape, strict=True))


def test_blurring_keeps_the_mean_and_softens() -> None:
    image = torch.zeros(11, 11, 11)
    image[5, 5, 5] = 1
    soft = blurred(image, 0.6)
    assert float(soft.sum()) == pytest.approx(1, abs=1e-5)
    assert float(soft[5, 5, 6] / soft[5, 5, 5]) == pytest.approx(np.exp(-0.5 / 0.36), rel=1e-4)


def test_guesses_are_learned_on_whole_heads(heads: Path) -> None:
    recipe, network = guess_recipe(heads)
    first, again = (recipe.batch(np.random.default_rng(1)) for _ in range(2))
    assert torch.equal(first.inputs, again.inputs)
    assert first.inputs.shape == (2, 1, 12, 12, 12)
    assert first.target.shape == (2, 4, 12, 12, 12)
    assert float(first.target.sum(1).sub(1).abs().max()) < 1e-5
    assert float(recipe.loss(network(first.inputs), first).detach()) > 0
    assert 0 <= recipe.validate(network)["score"] <= 1


def test_soft_dice_of_the_truth_is_one() -> None:
    shares = torch.rand(2, 3, 4, 4, 4)
    assert soft_dice(shares, shares).min() == pytest.approx(1)


@pytest.fixture
def any_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Untrained first parts misplace all tissue, which does not matter here."""
    monkeypatch.setattr(training.brain_tissue, "LEAST_PLACED", -1)


def test_a_head_of_misplaced_tissue_teaches_nothing(
    heads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.brain_tissue, "LEAST_PLACED", 1)
    monkeypatch.setattr(training.brain_tissue, "MOST_TRIES", 2)
    with pytest.raises(SystemExit, match="misplaced"):
        fine_recipe(heads)[0].batch(np.random.default_rng(0))


@pytest.mark.usefixtures("any_place")
def test_batches_depend_on_the_seed(heads: Path) -> None:
    first, again, other = (
        fine_recipe(heads)[0].batch(np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first.inputs, again.inputs)
    assert not torch.equal(first.inputs, other.inputs)
    assert first.inputs.shape[2:] == (12, 12, 12)
    assert first.target.shape == (2, 1, 24, 24, 24)
    assert set(first.target.unique().tolist()) <= {0, *TISSUES}


@pytest.mark.usefixtures("any_place")
def test_a_tiny_network_learns(heads: Path) -> None:
    recipe, network = fine_recipe(heads)
    batch = recipe.batch(np.random.default_rng(0))
    optimiser = torch.optim.Adam(network.fine.parameters(), 0.01)
    losses = []
    for _ in range(20):
        loss = recipe.loss(network(batch.inputs), batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    assert not any(p.requires_grad for p in network.guess.parameters())
    assert 0 <= recipe.validate(network)["score"] <= 1


def test_dice_of_a_half_found_tissue() -> None:
    truth = np.zeros((2, 2, 2), np.uint8)
    truth[0] = 2
    found = truth.copy()
    found[0, 0] = 0
    assert tissue_dice(found, truth) == {1: 1, 2: pytest.approx(2 * 2 / (2 + 4)), 3: 1}


def test_a_phantom_has_one_brightness_per_tissue(rows: torch.Tensor) -> None:
    table = read_table()
    image = phantom(rows.numpy().astype(np.uint8), table, "T1", head=False)
    tissues = table.tissues[rows.numpy()]
    assert all(len(np.unique(image[tissues == value])) == 1 for value in (0, 1, 2, 3))
    assert image[tissues == 0].max() == 0


def test_classes_are_named_by_what_fits_best() -> None:
    truth = np.array([[[1, 1, 2, 2, 3, 3, 0, 0]]], np.uint8)
    classes = np.array([[[3, 3, 1, 1, 2, 2, 0, 0]]], np.uint8)
    assert best_naming(classes, truth) == {1: 1.0, 2: 1.0, 3: 1.0}
