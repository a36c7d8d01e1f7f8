"""What a recipe learns from is the training part of the split, never the validation part."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import training.ct_data
import training.ct_denoising
import training.phantoms
import training.segmentation
import training.tissue_maps
from training import tissue_atlas
from training.brain_tissue import BrainTissue
from training.ct_denoising import CtDenoising
from training.denoising import Denoising
from training.segmentation import Segmentation
from training.super_resolution import SuperResolution
from training.tissue_guess import TissueGuess

CONFIGS = Path(__file__).parents[2] / "training/configs"
TinyConfig = Callable[[str], dict[str, Any]]
PARTS = ("training", "validation")
SIDES = {"training": 20, "validation": 24}
"""Voxels of the label maps along each axis."""
GREY_MATTER, WHITE_MATTER = 3, 2


def write(voxels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(voxels), str(path))


@pytest.fixture
def whole_split(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The made-up scans, also as CT, and label maps and crops: one of each for each part."""
    for part, side in SIDES.items():
        labels = np.pad(np.full((side, side, side), WHITE_MATTER, np.int16), 1)
        labels[1, 1, 1] = GREY_MATTER
        write(labels, data / f"{part}_map.nii.gz")
        for folder in ("images", "labels"):
            write(labels, data / f"hippocampus/{folder}/{part}.nii.gz")
    scans = {p: [{"subject": p, "region": "chest", "files": [f"{p}.nii.gz"]}] for p in PARTS}
    maps = {p: [{"subject": p, "files": [f"{p}_map.nii.gz"]}] for p in PARTS}
    crops = {p: [p] for p in PARTS}
    splits = {"ct_body": scans, "brain_tissue": maps, "hippocampus": crops}
    readers = (
        training.ct_data,
        training.phantoms,
        training.segmentation,
        training.tissue_maps,
    )
    for module in readers:
        monkeypatch.setattr(module, "read_splits", lambda: splits)
    return data


@pytest.mark.parametrize(
    ("recipe", "name"),
    [(Denoising, "mr-denoise-residual"), (SuperResolution, "mr-super-resolution")],
)
def test_mr_scans_and_phantoms_are_of_the_training_part(
    recipe: type[Denoising | SuperResolution],
    name: str,
    whole_split: Path,
    tiny_config: TinyConfig,
) -> None:
    made = recipe(tiny_config(name) | {"phantoms": 0.5}, whole_split)
    assert {reference.name for scan in made.training for reference in scan} == {"training"}
    assert made.phantoms is not None
    assert [labels.shape[0] for labels in made.phantoms.maps] == [SIDES["training"]]


def test_ct_scans_are_of_the_training_part(
    whole_split: Path, tiny_config: TinyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for noise in ("noise_library", "validation_noise"):
        monkeypatch.setattr(training.ct_denoising, noise, lambda *_: None)
    monkeypatch.setattr(training.ct_data, "non_local_means", lambda voxels, *_: voxels)
    recipe = CtDenoising(tiny_config("ct-denoise-residual"), whole_split)
    assert [reference.name for reference in recipe.training] == ["training"]


@pytest.mark.parametrize(
    ("recipe", "name"),
    [
        (Segmentation, "mr-hippocampus-unet"),
        (BrainTissue, "mr-brain-tissue-unet"),
        (TissueGuess, "stages/tissue-guess"),
    ],
)
def test_labelled_heads_are_of_the_training_part(
    recipe: type[Segmentation | BrainTissue | TissueGuess], name: str, whole_split: Path
) -> None:
    config = json.loads((CONFIGS / f"{name}.json").read_text(encoding="utf-8"))
    assert [head.name for head in recipe(config, whole_split).training] == ["training"]


def test_the_atlas_is_the_mean_of_training_heads(
    whole_split: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    averaged: list[str] = []

    def mean_head(names: list[str]) -> torch.Tensor:
        averaged.extend(names)
        return torch.zeros(())

    monkeypatch.setattr(tissue_atlas, "shares_of", lambda head, table: head.name)
    monkeypatch.setattr(tissue_atlas, "mean_head", mean_head)
    runs = str(whole_split / "runs")
    monkeypatch.setattr("sys.argv", ["tissue_atlas", "--data", str(whole_split), "--runs", runs])
    tissue_atlas.main()
    assert averaged == ["training"]
