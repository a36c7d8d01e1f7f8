"""The guided denoiser: what it may and may not take from its guide."""

from __future__ import annotations

import pytest
import torch

from MedEnhanceLib.engine.networks import GuidedDenoiser
from MedEnhanceLib.engine.networks.folding import depth_to_space, space_to_depth
from MedEnhanceLib.engine.networks.guided import (
    TAPS,
    mean_of_alike,
    regressed,
    weighted_sum,
)


@pytest.fixture
def network() -> torch.nn.Module:
    """With random weights everywhere, the last layer's too."""
    torch.manual_seed(0)
    network = GuidedDenoiser(4, 1, first_width=4, first_blocks=1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network.double().eval()


def four_channels(size: tuple[int, int, int] = (12, 14, 16)) -> torch.Tensor:
    torch.manual_seed(1)
    x = torch.rand(1, 4, *size, dtype=torch.float64) + 0.1
    x[:, 1], x[:, 3] = 0.05, 0.02
    return x


def test_before_training_the_first_stage_speaks_alone() -> None:
    network = GuidedDenoiser(4, 1, first_width=4, first_blocks=1).eval()
    x = four_channels().float()
    with torch.inference_mode():
        torch.testing.assert_close(network(x), network.first(x[:, :2]))


def test_without_a_guide_the_output_is_that_of_the_first_stage(network: torch.nn.Module) -> None:
    x = four_channels()
    with torch.inference_mode():
        assert not torch.allclose(network(x), network.first(x[:, :2]))
        x[:, 2:] = 0
        assert torch.equal(network(x), network.first(x[:, :2]))


def test_where_the_guide_does_not_reach_nothing_is_guided(network: torch.nn.Module) -> None:
    x = four_channels()
    x[:, 2:, :, :, 8:] = 0
    with torch.inference_mode():
        output, first = network(x), network.first(x[:, :2])
    assert torch.equal(output[..., 8:], first[..., 8:])
    assert not torch.allclose(output[..., :8], first[..., :8])


def test_what_only_the_guide_shows_cannot_enter(network: torch.nn.Module) -> None:
    """A constant image stays the same under every guide: all is made of its own voxels."""
    x = four_channels()
    x[:, 0] = 0.5
    torch.nn.init.zeros_(network.first.kernels.tail.weight)
    torch.nn.init.zeros_(network.first.kernels.tail.bias)
    x[:, 1] = 1e-4
    with torch.inference_mode():
        torch.testing.assert_close(network(x), x[:, :1], atol=1e-5, rtol=0)


def test_no_voxel_beyond_the_halo_matters(network: torch.nn.Module) -> None:
    size = 2 * network.halo + 8
    x = four_channels((size, 4, 4))
    changed = x.clone()
    changed[:, [0, 2], size // 2] += 0.5
    with torch.inference_mode():
        moved = (network(x) - network(changed)).abs().amax(dim=(0, 1, 3, 4)) > 1e-12
    reached = moved.nonzero().ravel()
    assert size // 2 - reached.min() <= network.halo
    assert reached.max() - size // 2 <= network.halo
    assert reached.max() - reached.min() >= network.halo


def test_alike_voxels_are_averaged_and_others_are_not() -> None:
    """Two tissues side by side: each is averaged by itself, and the noise becomes less."""
    torch.manual_seed(2)
    tissue = (torch.arange(20) >= 10).double().expand(1, 1, 20, 20, 20)
    noisy = tissue + 0.1 * torch.randn(1, 1, 20, 20, 20, dtype=torch.float64)
    width = torch.full_like(tissue, -0.5 / 0.1**2)
    mean, support = mean_of_alike(noisy, 0.6 - 0.3 * tissue, noisy, width, None)
    assert (mean - tissue).std() < 0.02
    assert support[..., 9].max() < 0.7
    assert support[..., 4:-4, 4:-4, 4:6].min() > 0.99


def test_regression_finds_what_is_linear_in_the_guide() -> None:
    torch.manual_seed(3)
    guide = torch.rand(1, 1, 12, 12, 12, dtype=torch.float64)
    nothing = torch.full_like(guide, 1e-6)
    torch.testing.assert_close(
        regressed(1 - 2 * guide, guide, nothing, 5), 1 - 2 * guide, atol=1e-3, rtol=0
    )
    other = torch.rand_like(guide)
    assert regressed(other, guide, nothing, 5).std() < 0.5 * other.std()


def test_weighted_sum_takes_each_tap_from_its_place() -> None:
    image, mean = torch.rand(1, 1, 6, 6, 6), torch.rand(1, 1, 6, 6, 6)
    inner = (..., slice(1, -1), slice(1, -1), slice(1, -1))
    for tap, shift in {0: (1, 1, 1), 13: (0, 0, 0), 26: (-1, -1, -1), 5: (1, 0, -1)}.items():
        found = depth_to_space(weighted_sum(only(tap, image), image, [mean] * (TAPS - 27)))
        torch.testing.assert_close(found[inner], 2 * torch.roll(image, shift, (2, 3, 4))[inner])
    found = depth_to_space(weighted_sum(only(27, image), image, [mean] * (TAPS - 27)))
    torch.testing.assert_close(found, 2 * mean)


def only(tap: int, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
    folded = torch.zeros_like(space_to_depth(image))
    return tuple(folded + (2.0 if n == tap else 0.0) for n in range(TAPS))
