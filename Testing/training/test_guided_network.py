"""The guided denoiser: what it may and may not take from its guide."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from MedEnhanceLib.acquisition import add_rician_noise
from MedEnhanceLib.engine.networks import GuidedDenoiser
from MedEnhanceLib.engine.networks.guide_filters import fit, joint_means, regressed

PLAIN = {"width": 4, "below": 4, "blocks": 1, "first_width": 4, "first_below": 4, "first_blocks": 1}


@pytest.fixture
def network() -> GuidedDenoiser:
    """With random weights everywhere, the last layer's too."""
    torch.manual_seed(0)
    network = GuidedDenoiser(4, PLAIN)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


def four_channels(size: tuple[int, int, int] = (12, 16, 16)) -> torch.Tensor:
    torch.manual_seed(1)
    x = torch.rand(1, 4, *size) + 0.1
    x[:, 1], x[:, 3] = 0.05, 0.02
    return x


def test_without_a_guide_the_output_is_exactly_that_of_the_plain_denoiser(
    network: GuidedDenoiser,
) -> None:
    x = four_channels()
    with torch.inference_mode():
        assert not torch.allclose(network(x), network.plain(x[:, :2]))
        x[:, 2:] = 0
        assert torch.equal(network(x), network.plain(x[:, :2]))


def test_where_the_guide_does_not_reach_nothing_is_guided(network: GuidedDenoiser) -> None:
    x = four_channels()
    x[:, 2:, :, :, 8:] = 0
    with torch.inference_mode():
        output, plain = network(x), network.plain(x[:, :2])
    assert torch.equal(output[..., 8:], plain[..., 8:])
    assert not torch.allclose(output[..., :8], plain[..., :8])


def test_what_only_the_guide_shows_cannot_enter(network: GuidedDenoiser) -> None:
    """A constant image that needs no denoising stays the same under every guide."""
    x = four_channels()
    x[:, 0], x[:, 1] = 0.5, 1e-4
    for part in (network.plain.first.kernels.tail, network.plain.second.tail):
        torch.nn.init.zeros_(part.weight)
        torch.nn.init.zeros_(part.bias)  # type: ignore[arg-type]
    with torch.inference_mode():
        torch.testing.assert_close(network(x), x[:, :1], atol=1e-5, rtol=0)


def test_only_the_gates_learn(network: GuidedDenoiser) -> None:
    network(four_channels()).square().mean().backward()
    learning = {name for name, p in network.named_parameters() if p.grad is not None}
    assert learning and all(name.startswith("gates.") for name in learning)


def test_no_voxel_beyond_the_halo_matters(network: GuidedDenoiser) -> None:
    """The image reaches through all stages, the guide through its filters alone."""
    half = (network.halo + 8) // 4 * 4
    x = four_channels((2 * half, 4, 4))
    for channel, halo in ((0, network.halo), (2, network.halo - network.plain.halo)):
        changed = x.clone()
        changed[:, channel, half] += 0.5
        with torch.inference_mode():
            moved = (network(x) - network(changed)).abs().amax(dim=(0, 1, 3, 4)) > 0
        reached = moved.nonzero().ravel()
        assert half - reached.min() <= halo and reached.max() - half <= halo
        assert reached.max() - reached.min() > 4


def test_alike_voxels_are_averaged_and_others_are_not() -> None:
    """Two tissues that the image hardly shows: the guide keeps them apart."""
    tissue = (torch.arange(20) >= 10).float().expand(1, 1, 20, 20, 20)
    clean = 0.5 + 0.05 * tissue
    sigma, noise = torch.full_like(tissue, 0.1), torch.full_like(tissue, 0.01)
    noisy = torch.from_numpy(add_rician_noise(clean.numpy(), 0.1, np.random.default_rng(2)))
    flat = torch.full_like(tissue, 0.525)
    guide = 0.6 - 0.3 * tissue
    (_, lenient, _), support = joint_means(noisy, flat, sigma, guide, noise)
    assert (lenient - clean).square().mean().sqrt() < 0.02
    assert support[..., 4:-4, 4:-4, 4:6].min() > 0.99
    assert support[..., 4:-4, 4:-4, 9].max() < 0.7
    (_, blind, _), _ = joint_means(noisy, flat, sigma, torch.zeros_like(guide), noise)
    assert (blind - clean)[..., 9].mean() > 0.01 > 2 * (lenient - clean)[..., 9].mean().abs()


def test_regression_finds_what_is_linear_in_the_guide() -> None:
    torch.manual_seed(3)
    guide = torch.rand(1, 1, 12, 12, 12, dtype=torch.float64)
    nothing = torch.zeros_like(guide)
    found = regressed(1 - 2 * guide, guide, nothing, 5)
    torch.testing.assert_close(found, 1 - 2 * guide, atol=0.02, rtol=0)
    other = torch.rand_like(guide)
    assert regressed(other, guide, nothing, 5).std() < 0.5 * other.std()


def test_a_guide_that_is_misplaced_fits_less() -> None:
    torch.manual_seed(4)
    coarse = torch.rand(1, 1, 6, 6, 6)
    image = torch.nn.functional.interpolate(coarse, scale_factor=4)
    sigma, noise = torch.full_like(image, 0.02), torch.full_like(image, 0.01)
    in_place = fit(image, sigma, 1 - image, noise).mean()
    away = fit(image, sigma, 1 - image.roll(3, dims=-1), noise).mean()
    assert in_place > 0.8 and away < 0.6 * in_place
