"""A denoiser that predicts, for every voxel, how its surroundings are averaged."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from MedEnhanceLib.engine.networks.folding import (
    FOLD,
    SIGMA_GAIN,
    HalfResolutionNet,
    box_mean,
    depth_to_space,
    space_to_depth,
)

LEAST_SIGMA = 1e-4
NEIGHBOURS = 27
TAPS = NEIGHBOURS + 2
"""What a denoised voxel is the mean of: its 3x3x3 neighbours, and the means over 5 and 9 voxels."""
WIDE_REACH = 4
"""Voxels on each side that the widest mean looks at."""
CENTRE_LOGIT = 2.5
"""Training starts from a mean that is mostly the voxel itself."""


class NoiseAwareDenoiser(nn.Module):
    """Removes noise of a known level: each voxel becomes a weighted mean of its surroundings.

    Input (B, 2, D, H, W): the image over its robust peak, and the noise's standard deviation
    in the same unit (constant or varying over the volume). Output (B, 1, D, H, W): the clean
    image. D, H, W must be even.

    A residual body at half resolution looks at the image and at its detail in units of sigma,
    in which noise always looks alike. It predicts, for every voxel, the weights of its 27
    neighbours and of two wider means, as in kernel-predicting networks (Bako et al. 2017,
    doi:10.1145/3072959.3073708), and a remainder in units of sigma, which takes the Rician bias
    away. Weights are positive and sum to one, so nothing brighter or darker than its
    surroundings can be invented but for the remainder.
    """

    def __init__(self, width: int = 32, blocks: int = 4) -> None:
        super().__init__()
        self.kernels = HalfResolutionNet(4, width, blocks, out_channels=TAPS + 1)
        centre = NEIGHBOURS // 2 * FOLD**3
        with torch.no_grad():
            self.kernels.tail.bias[centre : centre + FOLD**3] = CENTRE_LOGIT  # type: ignore[index]

    @property
    def halo(self) -> int:
        """Voxels on each side of an output voxel that may influence it."""
        return self.kernels.halo + WIDE_REACH

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        image, sigma = x[:, :1], x[:, 1:2]
        near, middle = box_mean(image, 3), box_mean(image, 5)
        wide = box_mean(middle, 5)
        unit = sigma.clamp_min(LEAST_SIGMA)
        features = torch.cat(
            [
                image,
                sigma * SIGMA_GAIN,
                torch.asinh((image - near) / unit),
                torch.asinh((near - wide) / unit),
            ],
            dim=1,
        )
        *logits, remainder = self.kernels.folded(features).split(FOLD**3, dim=1)
        mean = weighted_mean(logits, image, (middle, wide))
        clean = depth_to_space(mean) + sigma * depth_to_space(remainder)
        return torch.where(sigma > 0, clean, image)


def weighted_mean(
    logits: list[torch.Tensor], image: torch.Tensor, means: tuple[torch.Tensor, ...]
) -> torch.Tensor:
    """Mean of each voxel's 27 neighbours and of wider means, by predicted weights.

    Works on folded voxels, one tap after the other, so that no array of all weights at full
    resolution is ever made.

    Args:
        logits: for each tap (B, 8, D/2, H/2, W/2); their softmax over the taps are the weights.
        image: (B, 1, D, H, W).
        means: images of the same shape, the last taps.

    Returns:
        (B, 8, D/2, H/2, W/2), folded as by :func:`space_to_depth`.
    """
    largest = logits[0].detach()
    for logit in logits[1:]:
        largest = torch.maximum(largest, logit.detach())
    padded = functional.pad(image, (1,) * 6, mode="replicate")
    size = image.shape[2:]
    total = weights = torch.zeros_like(largest, dtype=image.dtype)
    for tap, logit in enumerate(logits):
        if tap < NEIGHBOURS:
            corner = (tap // 9, tap // 3 % 3, tap % 3)
            k, j, i = (slice(c, c + n) for c, n in zip(corner, size, strict=True))
            values = padded[:, :, k, j, i]
        else:
            values = means[tap - NEIGHBOURS]
        # In the image's precision: averaging in half precision would add noise of its own.
        weight = torch.exp((logit - largest).to(image.dtype))
        total = total + weight * space_to_depth(values)
        weights = weights + weight
    return total / weights
