"""Networks slab by slab give what one pass gives, whatever the slabs."""

from __future__ import annotations

import pytest
import torch

from MedEnhanceLib.engine.networks import (
    CtDenoiser,
    GuidedDenoiser,
    NoiseAwareDenoiser,
    RefinedDenoiser,
    SliceSplitter,
)
from MedEnhanceLib.engine.networks.streaming import Chain, EachSlice, Stream, Window

from .conftest import awake

SMALL = {"width": 4, "below": 4, "blocks": 1, "first_width": 4, "first_below": 4, "first_blocks": 1}
NETWORKS = {
    "residual": (lambda: NoiseAwareDenoiser(4, 4, 2), 2),
    "ct": (lambda: CtDenoiser(4, 2), 2),
    "attention": (lambda: RefinedDenoiser(**SMALL), 2),
    "guided": (lambda: GuidedDenoiser(4, SMALL), 4),
    "splitter": (lambda: SliceSplitter(4, 2), 4),
}


def in_slabs(stream: Stream, x: torch.Tensor, depths: list[int]) -> torch.Tensor:
    parts, start = [], 0
    while start < x.shape[2]:
        stop = start + depths[len(parts) % len(depths)] if depths else x.shape[2]
        stop = min(stop, x.shape[2])
        parts.append(stream.push(x[:, :, start:stop], stop == x.shape[2]))
        start = stop
    return torch.cat([part for part in parts if part is not None], dim=2)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("depths", [[4], [8, 4, 20], [100]])
def test_slabs_give_what_one_pass_gives(name: str, depths: list[int]) -> None:
    make, channels = NETWORKS[name]
    network = awake(make(), std=0.2)
    x = torch.rand(1, channels, 44, 12, 16, dtype=torch.float64)
    x[:, 1:] = x[:, 1:, :1, :1, :1]
    if name == "guided":
        x[:, 2] = torch.rand(44, 12, 16)
    with torch.inference_mode():
        whole = network(x)
        found = in_slabs(network.stream(), x, depths)  # type: ignore[operator]
    assert found.shape == whole.shape
    assert (whole - x[:, :1]).abs().max() > 1e-3
    torch.testing.assert_close(found, whole, atol=1e-7, rtol=1e-6)


def test_the_end_comes_in_slabs_as_thin_as_those_before() -> None:
    given: list[int] = []

    def noted(x: torch.Tensor) -> torch.Tensor:
        given.append(x.shape[2])
        return x

    x = torch.rand(1, 1, 40, 2, 2)
    held_back = Window(lambda x: x, reach=16)
    found = in_slabs(Chain(held_back, EachSlice(noted)), x, [8])
    assert torch.equal(found, x)
    assert sum(given) == 40 and max(given) == 8
