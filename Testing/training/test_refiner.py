"""The refined denoiser: what its guided filters keep, remove and look at."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from MedEnhanceLib.acquisition import add_rician_noise
from MedEnhanceLib.engine.networks import RefinedDenoiser
from MedEnhanceLib.engine.networks.like_voxels import half_ball, pairs
from MedEnhanceLib.engine.networks.pilot_filters import (
    cosine_transform,
    cut_blocks,
    join_blocks,
    like_means,
    wiener_shrinkage,
    without_rician_bias,
)

SIGMA = 0.06


def blocks_image(size: int = 24) -> torch.Tensor:
    """A cube of bright tissue in darker tissue, without noise: (1, 1, D, H, W)."""
    image = np.full((size, size, size), 0.5, dtype=np.float32)
    image[size // 4 : 3 * size // 4, size // 3 :, 5:17] = 0.8
    return torch.from_numpy(image)[None, None]


def noisy(image: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(add_rician_noise(image.numpy(), SIGMA, np.random.default_rng(4)))


def error(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).square().mean().sqrt())


def test_cosine_transform_is_orthonormal() -> None:
    transform = cosine_transform()
    torch.testing.assert_close(transform @ transform.T, torch.eye(64), atol=1e-5, rtol=0)
    torch.testing.assert_close(transform[0], torch.full((64,), 1 / 8))


def test_cut_blocks_are_joined_again() -> None:
    x = torch.rand(2, 1, 8, 12, 4)
    assert torch.equal(join_blocks(cut_blocks(x)[:, 0], x.shape), x)


@pytest.mark.parametrize("count", [100, None])
def test_each_voxel_of_the_ball_is_met_once(count: int | None) -> None:
    image = torch.zeros(15, 15, 15)
    image[7, 7, 7] = 1
    found = torch.zeros(15**3)
    for here, there in pairs(15**3, half_ball(15, 15), count):
        found[here] += image.flatten()[there]
        found[there] += image.flatten()[here]
    place = torch.arange(15) - 7
    distance = place[:, None, None] ** 2 + place[:, None] ** 2 + place**2
    ball = ((distance > 0) & (distance <= 10)).float()
    assert torch.equal(found.view(15, 15, 15), ball)


@pytest.mark.parametrize("level", [0.0, SIGMA])
def test_wiener_filter_with_a_perfect_pilot(level: float) -> None:
    clean = blocks_image()
    sigma = torch.full_like(clean, level)
    image = noisy(clean) if level else clean
    filtered = wiener_shrinkage(without_rician_bias(image, clean, sigma), clean, sigma)
    if level:
        assert error(filtered, clean) < 0.3 * error(image, clean)
    else:
        torch.testing.assert_close(filtered, clean, atol=1e-4, rtol=0)


def test_like_voxels_are_averaged_and_others_are_not() -> None:
    clean = blocks_image()
    sigma = torch.full_like(clean, SIGMA)
    for mean in like_means(noisy(clean), clean, sigma):
        assert error(mean, clean) < 0.2 * error(noisy(clean), clean)
        assert abs(float((mean - clean).mean())) < 0.1 * SIGMA


def test_rician_bias_is_taken_off() -> None:
    dark = torch.full((1, 1, 40, 40, 40), SIGMA)
    sigma = torch.full_like(dark, SIGMA)
    image = noisy(dark)
    assert float((image - dark).mean()) > 0.4 * SIGMA
    assert abs(float((without_rician_bias(image, dark, sigma) - dark).mean())) < 0.2 * SIGMA
    for mean in like_means(image, dark, sigma):
        assert abs(float((mean - dark).mean())) < 0.1 * SIGMA


def test_an_untrained_refiner_already_denoises() -> None:
    clean = blocks_image()
    x = torch.cat([noisy(clean), torch.full_like(clean, SIGMA)], dim=1)
    with torch.inference_mode():
        assert error(RefinedDenoiser(8, 8, 1, 8, 8, 1)(x), clean) < 0.6 * error(x[:, :1], clean)


def test_the_first_stage_stays_as_it_was() -> None:
    network = RefinedDenoiser(8, 8, 1, 8, 8, 1)
    clean = blocks_image(16)
    network(torch.cat([noisy(clean), torch.full_like(clean, SIGMA)], dim=1)).sum().backward()
    assert all(parameter.grad is None for parameter in network.first.parameters())
    assert all(parameter.grad is not None for parameter in network.second.parameters())


def test_no_noise_means_no_change() -> None:
    clean = blocks_image(16)
    x = torch.cat([clean, torch.zeros_like(clean)], dim=1)
    with torch.inference_mode():
        assert torch.equal(RefinedDenoiser(8, 8, 1, 8, 8, 1)(x), clean)


def test_filters_do_not_round_the_image_under_autocast() -> None:
    clean = blocks_image(16)
    image, sigma = noisy(clean), torch.full_like(clean, SIGMA)
    exact = wiener_shrinkage(image, clean, sigma)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(wiener_shrinkage(image, clean, sigma), exact)


def test_like_means_are_the_same_to_the_last_digit_wherever_a_slab_begins() -> None:
    image = torch.rand(1, 1, 24, 12, 16)
    given = image, image, torch.full_like(image, SIGMA)
    slab = like_means(*(x[:, :, 8:] for x in given))
    for whole, part in zip(like_means(*given), slab, strict=True):
        assert torch.equal(whole[:, :, 12:], part[:, :, 4:])
