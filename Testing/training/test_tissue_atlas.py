"""The atlas of tissues: laid over heads that lie elsewhere, and made of several."""

from __future__ import annotations

import math

import pytest
import torch

from MedEnhanceLib.engine.networks.tissue_atlas import (
    ATLAS_MM,
    ATLAS_SHAPE,
    Placing,
    TissueAtlas,
    agreed,
    brain_odds,
    descend,
    first_placing,
    guessed_brain,
    resampled,
)
from training.tissue_atlas import mean_head
from training.tissue_guess import soft_dice

BRIGHTNESS = torch.tensor([0.3, 0.1, 0.5, 0.9])
CLASSES = 4


def egg(shape: tuple[int, ...], centre: tuple[float, ...], size: float = 1) -> torch.Tensor:
    """Shares (4, k, j, i): white matter in grey matter in fluid, in an egg of uneven axes."""
    axes = [
        (torch.arange(n) - (n - 1) / 2 - c) / r
        for n, c, r in zip(shape, centre, (15, 20, 16), strict=True)
    ]
    radius = (axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2).sqrt() / size
    levels = [torch.sigmoid((edge - radius) * 20) for edge in (1.0, 0.75, 0.5)]
    return torch.stack([1 - levels[0], levels[0] - levels[1], levels[1] - levels[2], levels[2]])


def egg_atlas() -> TissueAtlas:
    atlas = TissueAtlas()
    atlas.shares.copy_(egg(ATLAS_SHAPE, (0, 0, 0)))
    return atlas


def at_half(shares: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool3d(shares[None], 2)[0]


def agreement(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float(soft_dice(found[None, 1:], truth[None, 1:]).min())


def scan_of(shares: torch.Tensor) -> torch.Tensor:
    """A scan with voxels of 2 mm (2d, 2h, 2w) of shares at 4 mm."""
    image = torch.einsum("c,cdhw->dhw", BRIGHTNESS, shares)
    return torch.nn.functional.interpolate(image[None, None], scale_factor=2.0)[0, 0]


def laid_over(scan: torch.Tensor, guess: torch.Tensor) -> torch.Tensor:
    """The egg's atlas over a scan, where the guess alone tells where the brain ends."""
    return egg_atlas().laid_over(scan, guess, brain_odds(scan, guessed_brain(guess)))


def test_the_atlas_goes_where_the_head_is() -> None:
    truth = egg((48, 52, 44), (5, -4, 3), 0.9)
    before = agreement(egg((48, 52, 44), (0, 0, 0)), truth)
    with torch.inference_mode():
        found = laid_over(scan_of(truth), at_half(truth))
    assert before < 0.6
    assert agreement(found, truth) > 0.8


def test_what_was_taken_for_tissue_far_away_does_not_lead_astray() -> None:
    truth = egg((48, 52, 44), (5, 0, 0), 0.9)
    guess = at_half(truth).clone()
    guess[:, 1:5, 18:24, 6:16] = torch.tensor([0.2, 0.4, 0.2, 0.2])[:, None, None, None]
    with torch.inference_mode():
        found = laid_over(scan_of(truth), guess)
    assert agreement(found, truth) > 0.8
    assert float(found[1:, 2:10, 36:48, 12:32].max()) < 0.1


def test_bone_as_dark_as_fluid_is_no_brain() -> None:
    truth = egg((48, 52, 44), (5, -4, 3), 0.9)
    dark = torch.where(egg((48, 52, 44), (5, -4, 3), 1.15)[0] < 0.5, 0.1, 0.3)
    scan = scan_of(truth) + torch.nn.functional.interpolate(
        ((dark - BRIGHTNESS[0]) * truth[0])[None, None], scale_factor=2.0
    )
    with torch.inference_mode():
        found = laid_over(scan[0, 0], at_half(truth))
    # 1.7 when the guess is not heard again.
    assert 0.95 < float((1 - found[0]).sum() / (1 - truth[0]).sum()) < 1.15


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_the_end_of_a_brain_that_was_cut_out_is_not_guessed(noise: float) -> None:
    torch.manual_seed(0)
    truth = egg((48, 52, 44), (5, -4, 3), 0.9)
    guess = at_half(egg((48, 52, 44), (5, -4, 3), 0.85))
    inside = torch.nn.functional.interpolate(1 - truth[None, 0:1], scale_factor=2.0)[0, 0] > 0.5
    cut_out = 0.5 * inside + noise * torch.rand(inside.shape)
    assert not brain_odds(cut_out, guessed_brain(guess)).any()
    skull = egg((48, 52, 44), (5, -4, 3), 1.3)[None, 0:1] < 0.5
    around = torch.nn.functional.interpolate(skull.float(), scale_factor=2.0)[0, 0]
    odds = brain_odds(torch.where(inside, cut_out, 0.3 * around), guessed_brain(guess))
    assert odds.max() > 3 and odds.min() < -3


def test_a_guess_moves_the_border_but_not_what_lies_within() -> None:
    shares = torch.tensor([0.5, 0.2, 0.2, 0.1]).reshape(4, 1, 1, 1).expand(4, 1, 1, 3)
    heard = agreed(shares, torch.tensor([[[-2.0, 0.0, 2.0]]]))
    assert torch.allclose(heard.sum(0), torch.ones(1, 1, 3))
    assert torch.allclose(heard[:, :, :, 1], shares[:, :, :, 1])
    assert heard[0, 0, 0, 0] == pytest.approx(1 / (1 + math.exp(-2)), abs=1e-3)
    assert heard[0, 0, 0, 2] == pytest.approx(1 / (1 + math.exp(2)), abs=1e-3)
    assert torch.allclose(heard[2], 2 * heard[3])


def test_a_guess_of_nothing_gives_finite_shares() -> None:
    nothing = torch.zeros(CLASSES, 6, 6, 6)
    nothing[0] = 1
    found = laid_over(torch.rand(24, 24, 24), nothing)
    assert torch.isfinite(found).all()
    assert float((found.sum(0) - 1).abs().max()) < 1e-5


def test_a_turned_head_is_followed_by_descent() -> None:
    truth = egg((24, 28, 22), (0, 0, 0), 0.5)
    turn = torch.tensor([[0.0, 0.2, 0.0], [-0.2, 0.0, 0.0], [0.0, 0.0, 0.0]])
    start = first_placing(truth)
    turned = Placing(start.centre, start.shift + 0.05, turn, start.bend)
    shape, mm = truth.shape[1:], 2 * ATLAS_MM
    seen = resampled(truth, mm, turned, shape, mm)
    found = descend(truth, seen, first_placing(seen), 60, 0.03)
    assert agreement(resampled(truth, mm, found, shape, mm), seen) > 0.93
    assert agreement(truth, seen) < 0.85


def test_beyond_its_borders_there_is_air() -> None:
    atlas = torch.zeros(CLASSES, 4, 4, 4)
    atlas[3] = 1
    nowhere = first_placing(torch.rand(CLASSES, 4, 4, 4))
    nowhere = Placing(nowhere.centre, torch.ones(3), nowhere.stretch, nowhere.bend)
    assert resampled(atlas, 4, nowhere, (4, 4, 4), 4)[0].min() == 1


def test_the_mean_of_moved_heads_is_sharper_than_their_sum() -> None:
    heads = [egg(ATLAS_SHAPE, centre) for centre in ((3, 0, 0), (-3, 2, 0), (0, -2, 0))]
    simple = torch.stack(heads).mean(0)
    assert float((mean_head(heads) ** 2).mean()) > float((simple**2).mean()) * 1.02
