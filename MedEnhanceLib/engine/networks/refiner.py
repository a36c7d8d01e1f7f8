"""A denoiser in three steps: a first estimate, filters that it guides, and their combination.

Two-stage filters such as BM4D (Maggioni et al. 2013, doi:10.1109/TIP.2012.2210725) show how much
a second look at the noisy image gives once a first estimate is at hand. Here a network makes the
first estimate, and another one decides, voxel by voxel, which of the second looks to trust.
"""

from __future__ import annotations

import torch
from torch import nn

from MedEnhanceLib.engine.networks.denoiser import LEAST_SIGMA, NoiseAwareDenoiser
from MedEnhanceLib.engine.networks.folding import (
    FOLD,
    SIGMA_GAIN,
    box_mean,
    depth_to_space,
    log_scaled,
    space_to_depth,
)
from MedEnhanceLib.engine.networks.halving import HalvingNet
from MedEnhanceLib.engine.networks.like_voxels import REACH
from MedEnhanceLib.engine.networks.pilot_filters import (
    EDGE,
    like_means,
    wiener_shrinkage,
    without_rician_bias,
)
from MedEnhanceLib.engine.networks.streaming import Beside, Chain, Stream, Window

START = (-1.0, 2.0, 0.5, 0.5, -2.0)
"""Logits of the candidates before training: first estimate, Wiener, strict and lenient mean,
noisy image."""


class RefinedDenoiser(nn.Module):
    """A kernel-predicting denoiser, filters guided by it, and a network that weighs them.

    Input (B, 2, D, H, W): the image over its robust peak, and the noise's standard deviation in
    the same unit. Output (B, 1, D, H, W): the clean image. Sizes must be multiples of 4.

    The first network is trained by itself and stays as it is. The second one predicts, for
    every voxel, positive weights of five candidates that sum to one, and a remainder in units
    of sigma.
    """

    def __init__(
        self,
        width: int = 32,
        below: int = 64,
        blocks: int = 3,
        first_width: int = 32,
        first_below: int = 64,
        first_blocks: int = 2,
    ) -> None:
        super().__init__()
        self.first = NoiseAwareDenoiser(first_width, first_below, first_blocks)
        features = len(START) + 3
        self.second = HalvingNet(
            features * FOLD**3, width, below, blocks, (len(START) + 1) * FOLD**3
        )
        with torch.no_grad():
            start = torch.tensor([*START, 0.0]).repeat_interleave(FOLD**3)
            self.second.tail.bias.copy_(start)  # type: ignore[union-attr]

    @property
    def halo(self) -> int:
        """Voxels on each side of an output voxel that may influence it."""
        return self.first.halo + FOLD * (self.second.reach + 1) + max(EDGE, REACH + 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = torch.cat([self.candidates(x), x], dim=1)
        return decided(self.second(weighed(seen)), seen)

    def stream(self) -> Stream:
        """The same, slab after slab; slabs must be of multiples of four slices."""
        first = Beside(self.first.stream(), lambda first, x, _: torch.cat([first, x], dim=1))
        look = Window(look_again, max(EDGE, REACH + 1), multiple=EDGE)
        second = Chain(Window(weighed, 1, FOLD), self.second.stream())
        return Chain(first, look, Beside(second, decided, fold=FOLD))

    @torch.no_grad()
    def candidates(self, x: torch.Tensor) -> torch.Tensor:
        """First estimate, Wiener, strict and lenient mean, and the noisy image: (B, 5, D, H, W)."""
        return look_again(torch.cat([self.first(x), x], dim=1))[:, : len(START)]


def look_again(estimated: torch.Tensor) -> torch.Tensor:
    """Filter the noisy image as the first estimate tells.

    Args:
        estimated: first estimate, image and noise, (B, 3, D, H, W).

    Returns:
        The candidates, then the image and the noise: (B, 7, D, H, W).
    """
    first, image, sigma = estimated.contiguous().split(1, dim=1)
    unbiased = without_rician_bias(image, first, sigma)
    wiener = wiener_shrinkage(unbiased, first, sigma)
    strict, lenient = like_means(image, first, sigma)
    return torch.cat([first, wiener, strict, lenient, unbiased, image, sigma], dim=1)


def weighed(seen: torch.Tensor) -> torch.Tensor:
    """What the second network sees, folded, of what :func:`look_again` gives."""
    candidates, _, sigma = seen.split([len(START), 1, 1], dim=1)
    unit = sigma.clamp_min(LEAST_SIGMA)
    best = candidates[:, 1:2]
    differences = log_scaled((candidates - best) / unit)
    detail = log_scaled((best - box_mean(best, 3)) / unit)
    return space_to_depth(torch.cat([differences, detail, best, sigma * SIGMA_GAIN], dim=1))


def decided(decisions: torch.Tensor, seen: torch.Tensor, before: int = 0) -> torch.Tensor:
    """The clean image from the candidates and what the second network decides of them."""
    candidates, image, sigma = seen.split([len(START), 1, 1], dim=1)
    logits, remainder = depth_to_space(decisions).split([len(START), 1], dim=1)
    mean = (torch.softmax(logits, dim=1) * candidates).sum(dim=1, keepdim=True)
    return torch.where(sigma > 0, mean + sigma.clamp_min(LEAST_SIGMA) * remainder, image)
