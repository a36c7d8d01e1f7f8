"""A denoiser in three steps: a first estimate, filters that it guides, and their combination.

Two-stage filters such as BM4D (Maggioni et al. 2013, doi:10.1109/TIP.2012.2210725) show how much
a second look at the noisy image gives once a first estimate is at hand. Here a network makes the
first estimate, and another one decides, voxel by voxel, which of the second looks to trust.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from MedEnhanceLib.engine.networks.denoiser import LEAST_SIGMA, NoiseAwareDenoiser
from MedEnhanceLib.engine.networks.folding import FOLD, SIGMA_GAIN, depth_to_space, space_to_depth
from MedEnhanceLib.engine.networks.halving import HalvingNet
from MedEnhanceLib.engine.networks.pilot_filters import (
    EDGE,
    REACH,
    like_means,
    wiener_shrinkage,
    without_rician_bias,
)

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
        first_blocks: int = 4,
    ) -> None:
        super().__init__()
        self.first = NoiseAwareDenoiser(first_width, first_blocks)
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
        image, sigma = x[:, :1], x[:, 1:2]
        candidates = self.candidates(x)
        unit = sigma.clamp_min(LEAST_SIGMA)
        best = candidates[:, 1:2]
        differences = torch.asinh((candidates - best) / unit)
        surroundings = functional.avg_pool3d(
            functional.pad(best, (1,) * 6, mode="replicate"), 3, stride=1
        )
        detail = torch.asinh((best - surroundings) / unit)
        features = torch.cat([differences, detail, best, sigma * SIGMA_GAIN], dim=1)
        decision = depth_to_space(self.second(space_to_depth(features)))
        logits, remainder = decision.split([len(START), 1], dim=1)
        mean = (torch.softmax(logits, dim=1) * candidates).sum(dim=1, keepdim=True)
        return torch.where(sigma > 0, mean + unit * remainder, image)

    @torch.no_grad()
    def candidates(self, x: torch.Tensor) -> torch.Tensor:
        """First estimate, Wiener, strict and lenient mean, and the noisy image: (B, 5, D, H, W)."""
        x = x.contiguous()
        image, sigma = x[:, :1], x[:, 1:2]
        first = self.first(x)
        unbiased = without_rician_bias(image, first, sigma)
        wiener = wiener_shrinkage(unbiased, first, sigma)
        strict, lenient = like_means(image, first, sigma)
        return torch.cat([first, wiener, strict, lenient, unbiased], dim=1)
