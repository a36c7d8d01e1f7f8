"""A wider network starts as the narrow one, and goes on learning with all its channels."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from MedEnhanceLib.engine.networks import NoiseAwareDenoiser
from MedEnhanceLib.errors import FileError
from training.weights import start_from
from training.widening import widened

NARROW, WIDE = {"width": 4, "below": 6, "blocks": 1}, {"width": 7, "below": 8, "blocks": 1}


@pytest.fixture
def narrow() -> NoiseAwareDenoiser:
    """A denoiser that looks trained: none of its weights are zero."""
    torch.manual_seed(1)
    network = NoiseAwareDenoiser(**NARROW)
    for weights in network.parameters():
        torch.nn.init.normal_(weights, std=0.2)
    return network


def noisy() -> torch.Tensor:
    torch.manual_seed(2)
    return torch.cat([torch.rand(1, 1, 8, 8, 12), torch.full((1, 1, 8, 8, 12), 0.1)], dim=1)


def test_a_wider_network_starts_as_the_narrow_one(
    narrow: NoiseAwareDenoiser, tmp_path: Path
) -> None:
    torch.save(narrow.state_dict(), tmp_path / "best.pt")
    wide, untold = NoiseAwareDenoiser(**WIDE), NoiseAwareDenoiser(**WIDE)
    assert start_from(wide, tmp_path / "best.pt", widen=True) == []
    assert any("keeps its own start" in told for told in start_from(untold, tmp_path / "best.pt"))
    with torch.no_grad():
        torch.testing.assert_close(wide(noisy()), narrow(noisy()))
        assert not torch.allclose(untold(noisy()), narrow(noisy()), atol=1e-3)


def test_new_channels_learn(narrow: NoiseAwareDenoiser) -> None:
    wide = NoiseAwareDenoiser(**WIDE)
    wide.load_state_dict(wide.state_dict() | widened(wide, narrow.state_dict()))
    wide(noisy()).square().sum().backward()
    heard = wide.kernels.before[0].second.weight.grad
    assert heard is not None
    assert heard[: NARROW["width"], NARROW["width"] :].abs().min() > 0


def test_other_kernels_are_not_widened(tmp_path: Path) -> None:
    torch.save(torch.nn.Conv3d(2, 2, 1).state_dict(), tmp_path / "best.pt")
    with pytest.raises(FileError, match="no weight of this network"):
        start_from(torch.nn.Conv3d(2, 4, 3, bias=False), tmp_path / "best.pt", widen=True)
