"""The denoising recipe's optional physics: off by default, honest about the noise's level."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from MedEnhanceLib.engine.networks import RefinedDenoiser
from MedEnhanceLib.errors import OptionsError
from training.denoising import OPTIONAL_PHYSICS, Denoising
from training.recipe import Batch

TinyConfig = Callable[[str], dict[str, Any]]


def batch(config: dict[str, Any], data: Path, step: int = 0) -> Batch:
    return Denoising(config, data).batch(np.random.default_rng([1, step]))


def test_physics_that_is_not_asked_for_changes_nothing(data: Path, tiny_config: TinyConfig) -> None:
    config = tiny_config("mr-denoise-residual")
    plain = batch(config, data)
    none = batch(config | dict.fromkeys(OPTIONAL_PHYSICS, 0), data)
    torch.testing.assert_close(plain.inputs, none.inputs, rtol=0, atol=0)
    torch.testing.assert_close(plain.weight, none.weight, rtol=0, atol=0)


@pytest.mark.parametrize("name", OPTIONAL_PHYSICS)
def test_noise_has_the_stated_level_everywhere(
    name: str, data: Path, tiny_config: TinyConfig
) -> None:
    config = tiny_config("mr-denoise-residual")
    config |= {"patch": [32, 32, 32], "batch": 4, "noise": [0.02, 0.08]}
    plain, changed = batch(config, data), batch(config | {name: 1.0}, data)
    assert not torch.equal(plain.inputs, changed.inputs)
    bright = changed.target[:, 0] > 0.3  # where Rician noise is Gaussian
    error = (changed.inputs[:, 0] - changed.target[:, 0]) / changed.inputs[:, 1]
    assert float(error[bright].std()) == pytest.approx(1, abs=0.12)
    for part in (plain, changed):
        assert part.inputs.dtype == part.target.dtype == part.weight.dtype == torch.float32
        product = part.weight * part.inputs[:, 1:]
        assert float(product.max()) == pytest.approx(1, abs=0.25)


def test_varying_noise_is_told_as_a_map(data: Path, tiny_config: TinyConfig) -> None:
    config = tiny_config("mr-denoise-residual") | {"noise": [0.02, 0.08], "patch": [32, 32, 32]}
    uniform, varying = (
        batch(config | {"varying_noise": share}, data).inputs[0, 1] for share in (0, 1)
    )
    assert float(uniform.max() / uniform.min()) == pytest.approx(1)
    assert 1.02 < float(varying.max() / varying.min()) <= 4


def test_soft_patches_are_smoother_and_their_level_is_told_lower(
    data: Path, tiny_config: TinyConfig
) -> None:
    config = tiny_config("mr-denoise-residual")
    config |= {"patch": [32, 32, 32], "batch": 8, "noise": [0.03, 0.03], "phantoms": 0.0}
    plain, soft = (batch(config | {"soft": share}, data) for share in (0.0, 1.0))

    def roughness(images: torch.Tensor) -> float:
        return float(images.diff(dim=-1).square().mean() / images.var())

    assert roughness(soft.target) < 0.8 * roughness(plain.target)
    told = [float((b.inputs[:, 1:] * b.weight.amax()).mean()) for b in (plain, soft)]
    assert told[1] < told[0]


def test_a_first_stage_that_is_not_named_is_asked_for(data: Path, tiny_config: TinyConfig) -> None:
    recipe = Denoising(tiny_config("mr-denoise-residual"), data)
    with pytest.raises(OptionsError, match="names no 'first_stage'"):
        recipe.prepare(RefinedDenoiser(8, 8, 1, 8, 8, 1))


def test_a_decibel_counts_the_same_wherever_it_is_won(data: Path, tiny_config: TinyConfig) -> None:
    recipe = Denoising(tiny_config("mr-denoise-residual") | {"loss": "decibels"}, data)
    target = torch.rand(2, 1, 8, 8, 8)
    weight = torch.full_like(target, 30.0)
    error = torch.randn_like(target) / 30 * torch.tensor([1.0, 0.2])[:, None, None, None, None]
    made = Batch(target, target, weight)
    before = recipe.loss(target + error, made)
    for better in (0, 1):
        halved = error.clone()
        halved[better] /= 2
        won = before - recipe.loss(target + halved, made)
        assert float(won) == pytest.approx(np.log(2) / 2, rel=0.05)
