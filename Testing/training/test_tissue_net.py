"""The brain tissue network: sizes, odd inputs, the mixture it fits, and its slabs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from MedEnhanceLib.bundle import read_bundle
from MedEnhanceLib.engine.loading import load_network
from MedEnhanceLib.engine.networks import TissueNet, tissue_net
from MedEnhanceLib.engine.networks.folding import depth_to_space
from MedEnhanceLib.engine.networks.tissue_net import (
    FEATURES,
    Places,
    brain_box,
    contrast_free,
    first_guess,
    within_brain,
)
from MedEnhanceLib.engine.networks.tissue_statistics import fit_tissues, posterior
from MedEnhanceLib.io import read_volume
from training.network import build_network

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "training/configs/mr-brain-tissue-unet.json"
SHIPPED = ROOT / "Resources/Models/mr-brain-tissue-unet"
SAMPLE = ROOT / "Resources/SampleData/mr_head_t1.nii.gz"
BRIGHTNESS = torch.tensor([0.0, 0.2, 0.5, 0.8])


def small(seed: int = 0) -> TissueNet:
    """An untrained network with an atlas in which there may be anything anywhere."""
    torch.manual_seed(seed)
    network = TissueNet([8, 8], [8, 8], 8, 8, [1, 1]).eval()
    network.atlas.shares.fill_(0.25)
    return network


def shells(size: int = 40) -> torch.Tensor:
    """Classes (D, H, W): white matter inside grey matter inside fluid inside air."""
    axis = torch.arange(size) - (size - 1) / 2
    radius = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt()
    return (radius < 17).long() + (radius < 14).long() + (radius < 9).long()


def rough_shares(classes: torch.Tensor) -> torch.Tensor:
    """Shares of the classes (4, d, h, w) on the coarse grid, blurred."""
    whole = functional.one_hot(classes, 4).permute(3, 0, 1, 2).float()
    coarse = functional.avg_pool3d(whole, tissue_net.COARSE)
    return functional.avg_pool3d(coarse, 3, stride=1, padding=1, count_include_pad=False)


@pytest.mark.parametrize("shape", [(32, 32, 32), (33, 30, 47), (5, 40, 18)])
def test_any_size_is_kept(shape: tuple[int, int, int]) -> None:
    with torch.inference_mode():
        scores = small()(torch.rand(2, 1, *shape))
    assert scores.shape == (2, 4, *shape)
    assert torch.isfinite(scores).all()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_constant_volume_gives_finite_scores(value: float) -> None:
    with torch.inference_mode():
        assert torch.isfinite(small()(torch.full((1, 1, 24, 24, 24), value))).all()


def test_the_scale_does_not_matter() -> None:
    """Of the shipped network; what an untrained one guesses is decided by rounding.

    A power of two rounds nothing, so any difference would be one that scale makes.
    """
    network = load_network(read_bundle(SHIPPED, shipped=True), torch.device("cpu"))
    image = torch.from_numpy(read_volume(SAMPLE).voxels.astype(np.float32))[None, None]
    with torch.inference_mode():
        first, second = (network(image * scale).argmax(1) for scale in (1.0, 1024.0))
    assert len(first.unique()) == 4
    assert torch.equal(first, second)


def test_weights_fit_into_the_bundle() -> None:
    config = json.loads(CONFIG.read_text(encoding="utf-8"))
    halves = tuple(config["half_precision"])
    weights = build_network(config["network_def"]).state_dict()
    size = sum(w.numel() * (2 if n.startswith(halves) else 4) for n, w in weights.items())
    assert size < 11.5e6


def test_the_mixture_finds_brightness_noise_and_shading() -> None:
    torch.manual_seed(0)
    classes = shells()
    slope = torch.linspace(0.85, 1.15, 40)[:, None, None]
    image = (BRIGHTNESS[classes] * slope + 0.03 * torch.randn(40, 40, 40)).clamp_min(0)
    fit, field = fit_tissues(image, rough_shares(classes), step=1, rounds=8)
    assert fit.means.tolist() == pytest.approx(BRIGHTNESS[1:].tolist(), abs=0.04)
    assert fit.spreads.tolist() == pytest.approx([0.03] * 3, abs=0.03)
    assert field[34, 20, 20] > field[5, 20, 20] + 0.02


def test_an_untrained_second_part_says_what_the_mixture_says() -> None:
    torch.manual_seed(0)
    classes = shells()
    image = BRIGHTNESS[classes] + 0.02 * torch.rand(40, 40, 40)
    shares = rough_shares(classes)
    fit, field = fit_tissues(image, shares, step=1, rounds=5)
    features = contrast_free(image / field, Places(shares, shares, torch.zeros(10, 10, 10)), fit)
    assert features.shape == (1, FEATURES, 20, 20, 20)
    with torch.inference_mode():
        found = small()(features)[0].argmax(0)
    assert torch.equal(found, depth_to_space(first_guess(features))[0].argmax(0))
    assert float((found == classes)[classes > 0].float().mean()) > 0.95


def test_slabs_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    network = small()
    torch.nn.init.normal_(network.fine.tail.weight, std=0.1)
    image = torch.rand(1, 1, 96, 24, 24)
    shares = torch.full((4, 24, 6, 6), 0.25)
    places = Places(shares, shares, torch.randn(24, 6, 6))
    monkeypatch.setattr(network, "places", lambda scan: places)
    with torch.inference_mode():
        whole = network(image)
        monkeypatch.setattr(tissue_net, "MOST_VOXELS", 24**3)
        assert len(list(tissue_net.slabs(torch.zeros(1, 1, 48, 12, 12), 8))) > 2
        assert torch.allclose(network(image), whole, atol=1e-4)


def test_where_no_brain_was_guessed_the_second_part_hears_of_it() -> None:
    network = small()
    image = torch.rand(1, 1, 24, 24, 24)
    shares, odds = torch.full((4, 6, 6, 6), 0.25), torch.full((6, 6, 6), 3.0)

    def found(odds: torch.Tensor) -> torch.Tensor:
        with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
            patch.setattr(network, "places", lambda scan: Places(shares, shares, odds))
            return network(image)[0]

    sure = found(odds)
    odds[:, :, :3] = -3
    doubted = found(odds)
    assert torch.equal(doubted[1:], sure[1:])
    assert torch.equal(doubted[0, :, :, 16:], sure[0, :, :, 16:])
    assert torch.allclose(doubted[0, :, :, :8], sure[0, :, :, :8] + 3)


def test_the_guess_is_kept_within_the_brain() -> None:
    guess = torch.tensor([0.2, 0.1, 0.3, 0.4]).reshape(4, 1, 1, 1).repeat(1, 2, 2, 2)
    guess[:, 1] = torch.tensor([1.0, 0.0, 0.0, 0.0]).reshape(4, 1, 1)
    chance = torch.rand(4, 4, 4, generator=torch.Generator().manual_seed(0))
    chance[:2, :2] = 0
    kept = within_brain(guess, chance)
    assert torch.allclose(kept.sum(0), torch.ones(2, 2, 2))
    assert torch.allclose(1 - kept[0], functional.avg_pool3d(chance[None], 2)[0])
    assert (kept[1:, 0, 0] == 0).all()  # guessed tissue where no brain is
    assert (kept[3, 0, 1] > kept[2, 0, 1]).all() and (kept[2, 0, 1] > kept[1, 0, 1]).all()
    assert torch.allclose(kept[1, 1], kept[3, 1])  # none was guessed: any is as likely


def test_the_box_around_the_brain_has_a_margin() -> None:
    shares = torch.zeros(4, 20, 20, 20)
    shares[0] = 1
    assert brain_box(shares) is None
    shares[:, 8, 9, 0] = 0.25
    assert brain_box(shares) == (slice(6, 11), slice(7, 12), slice(0, 3))


def test_there_is_no_doubt_where_nothing_is_like_a_brain() -> None:
    network = small()
    network.atlas.shares[:] = 0
    network.atlas.shares[0, 0] = 1
    with torch.inference_mode():
        chances = network(torch.rand(1, 1, 32, 32, 32)).softmax(1)
    assert float(chances[:, 0].min()) > 0.9999


def test_a_chance_is_shared_out() -> None:
    classes = shells()
    shares = rough_shares(classes)
    fit, _ = fit_tissues(BRIGHTNESS[classes], shares, step=2, rounds=2)
    prior = functional.interpolate(shares[None], (40, 40, 40), mode="trilinear")[0]
    assert posterior(BRIGHTNESS[classes], prior + 0.01, fit).sum(0).min() == pytest.approx(1)
