"""The networks: shapes, bounded view, and what they do when there is nothing to do."""

from __future__ import annotations

import pytest
import torch

from MedEnhanceLib.engine.networks import (
    MirroredUNet,
    NoiseAwareDenoiser,
    RefinedDenoiser,
    SliceSplitter,
    folding,
)
from MedEnhanceLib.engine.networks.denoiser import TAPS, weighted_mean
from MedEnhanceLib.engine.networks.folding import (
    box_mean,
    depth_to_space,
    in_thin_slabs,
    log_scaled,
    pointwise_in_planes,
    space_to_depth,
)

from .conftest import awake


def test_folding_is_undone_by_unfolding() -> None:
    x = torch.rand(2, 3, 4, 6, 8)
    assert torch.equal(depth_to_space(space_to_depth(x)), x)


def test_a_pointwise_product_is_the_convolution() -> None:
    layer = torch.nn.Conv3d(3, 5, 1)
    planes = torch.rand(2, 3, 4, 5, 6)
    for x in (planes, planes.to(memory_format=torch.channels_last_3d)):
        torch.testing.assert_close(pointwise_in_planes(x, layer), layer(x))
        assert pointwise_in_planes(x, layer).is_contiguous()


def test_thin_slabs_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.rand(1, 2, 23, 5, 6)
    whole = box_mean(x, 5)
    given: list[int] = []

    def mean(x: torch.Tensor) -> torch.Tensor:
        given.append(x.shape[2])
        return box_mean(x, 5)

    monkeypatch.setattr(folding, "MOST_TOGETHER", 6 * 30)
    assert torch.equal(in_thin_slabs(mean, x, 2), whole)
    assert given == [8, 10, 10, 7]


def test_log_scaled_is_asinh() -> None:
    x = torch.cat([torch.linspace(-50, 50, 999), torch.tensor([0.0, 1e-6, -1e-6, 1e4])])
    torch.testing.assert_close(log_scaled(x), torch.asinh(x))
    assert log_scaled(torch.tensor([1e30, -1e30])).isfinite().all()


def test_an_untrained_denoiser_averages() -> None:
    x = torch.rand(1, 2, 8, 12, 16)
    averaged = NoiseAwareDenoiser(8, 8, 1)(x)
    assert averaged.std() < 0.7 * x[:, :1].std()
    constant = torch.full_like(x, 0.4)
    torch.testing.assert_close(NoiseAwareDenoiser(8, 8, 1)(constant), constant[:, :1])


def test_weighted_mean_takes_each_tap_from_its_place() -> None:
    """All weight on one tap must give that neighbour's value, or that wider mean."""
    image = torch.rand(1, 1, 6, 6, 6)
    means = (torch.rand_like(image), torch.rand_like(image))
    padded = torch.nn.functional.pad(image, (1,) * 6, mode="replicate")
    inner = (..., slice(1, -1), slice(1, -1), slice(1, -1))
    for tap, shift in {0: (1, 1, 1), 13: (0, 0, 0), 26: (-1, -1, -1), 5: (1, 0, -1)}.items():
        expected = torch.roll(image, shift, dims=(2, 3, 4))
        found = depth_to_space(weighted_mean(only(tap, image), padded, means))
        torch.testing.assert_close(found[inner], expected[inner])
    torch.testing.assert_close(
        depth_to_space(weighted_mean(only(28, image), padded, means)), means[1]
    )


def only(tap: int, image: torch.Tensor) -> torch.Tensor:
    """Logits that put all weight on one tap."""
    folded = torch.zeros_like(space_to_depth(image))
    return torch.stack([folded + (50.0 if n == tap else 0.0) for n in range(TAPS)], dim=1)


@pytest.mark.parametrize(
    ("kind", "channels"), [(NoiseAwareDenoiser, 2), (RefinedDenoiser, 2), (SliceSplitter, 4)]
)
def test_no_voxel_beyond_the_halo_matters(kind: type, channels: int) -> None:
    network = awake(kind(width=4, blocks=1))
    middle = network.halo + 6
    x = torch.rand(1, channels, 2 * middle // 4 * 4 + 4, 4, 4, dtype=torch.float64) + 0.1
    changed = x.clone()
    changed[:, :, middle] += 0.5
    with torch.inference_mode():
        moved = (network(x) - network(changed)).abs().amax(dim=(0, 1, 3, 4)) > 1e-12
    reached = moved.nonzero().ravel()
    assert middle - reached.min() <= network.halo
    assert reached.max() - middle <= network.halo
    assert reached.max() - reached.min() >= network.halo  # and the halo is no gross exaggeration


def test_no_noise_means_no_change() -> None:
    network = awake(NoiseAwareDenoiser(4, 4, 1))
    x = torch.rand(1, 2, 8, 8, 8, dtype=torch.float64)
    x[:, 1] = 0
    with torch.inference_mode():
        assert torch.equal(network(x), x[:, :1])


def test_a_mirrored_unet_means_the_chances_of_both_sides() -> None:
    arguments = {"in_channels": 1, "out_channels": 3, "channels": (4, 8), "strides": (2,)}
    network = MirroredUNet(spatial_dims=3, **arguments)
    x = torch.rand(1, 1, 8, 8, 8)
    torch.testing.assert_close(network(x), network.unet(x))
    network.eval()
    both = [network.unet(x).softmax(1), network.unet(x.flip(-1)).flip(-1).softmax(1)]
    torch.testing.assert_close(network(x).softmax(1), (both[0] + both[1]) / 2)
    torch.testing.assert_close(network(x.flip(-1)), network(x).flip(-1))
