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
    in_planes,
    space_to_depth,
)
from MedEnhanceLib.engine.networks.streaming import Beside, Chain, Stream, Window

LEAST_SIGMA = 1e-4
NEIGHBOURS = 27
TAPS = NEIGHBOURS + 2
"""What a denoised voxel is the mean of: its 3x3x3 neighbours, and the means over 5 and 9 voxels."""
WIDE_REACH = 4
"""Voxels on each side that the widest mean looks at."""
AT_ONCE = 1 << 16
"""Voxels averaged at once on a CPU, so that what is needed again stays in its cache."""
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
        kernels = self.kernels
        folded = kernels.tail(kernels.body(kernels.head(self.features(x))))
        return self.averaged(folded, x)

    def stream(self) -> Stream:
        """The same, slab after slab."""
        look = Window(self.features, WIDE_REACH, FOLD)
        return Beside(Chain(look, self.kernels.stream()), self.averaged, WIDE_REACH, FOLD)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the body sees, folded: (B, 32, D/2, H/2, W/2)."""
        image, sigma = x[:, :1], x[:, 1:2]
        near, wide = box_mean(image, 3), box_mean(box_mean(image, 5), 5)
        unit = sigma.clamp_min(LEAST_SIGMA)
        seen = [
            image,
            sigma * SIGMA_GAIN,
            torch.asinh((image - near) / unit),
            torch.asinh((near - wide) / unit),
        ]
        return space_to_depth(torch.cat(seen, dim=1))

    def averaged(self, folded: torch.Tensor, around: torch.Tensor, before: int = 0) -> torch.Tensor:
        """The clean image (B, 1, D, H, W).

        Args:
            folded: logits of all taps and the remainder, (B, 240, D/2, H/2, W/2).
            around: the network's input, with further slices on both sides.
            before: how many of these come before.
        """
        image, sigma = around[:, :1], around[:, 1:2]
        middle = box_mean(image, 5)
        wide = box_mean(middle, 5)
        padded = functional.pad(image, (1,) * 6, mode="replicate")
        clean, start = [], before
        for part in folded.split(slices_at_once(folded), dim=2):
            stop = start + FOLD * part.shape[2]
            *logits, remainder = in_planes(part).split(FOLD**3, dim=1)
            means = (middle[:, :, start:stop], wide[:, :, start:stop])
            mean = weighted_mean(logits, padded[:, :, start : stop + 2], means)
            level = sigma[:, :, start:stop]
            changed = depth_to_space(mean) + level * depth_to_space(remainder)
            clean.append(torch.where(level > 0, changed, image[:, :, start:stop]))
            start = stop
        return torch.cat(clean, dim=2)


def slices_at_once(folded: torch.Tensor) -> int:
    """How many folded slices to work on at a time; all of them while learning, or on a GPU."""
    if torch.is_grad_enabled() or folded.device.type != "cpu":
        return folded.shape[2]
    return max(1, AT_ONCE // (FOLD**3 * folded[0, 0, 0].numel()))


def weighted_mean(
    logits: list[torch.Tensor], padded: torch.Tensor, means: tuple[torch.Tensor, ...]
) -> torch.Tensor:
    """Mean of each voxel's 27 neighbours and of wider means, by predicted weights.

    Works on folded voxels, one tap after the other, so that no array of all weights at full
    resolution is ever made.

    Args:
        logits: for each tap (B, 8, D/2, H/2, W/2); their softmax over the taps are the weights.
        padded: the image with one more voxel on every side, (B, 1, D + 2, H + 2, W + 2).
        means: images (B, 1, D, H, W), the last taps.

    Returns:
        (B, 8, D/2, H/2, W/2), folded as by :func:`space_to_depth`.
    """
    largest = logits[0].detach()
    for logit in logits[1:]:
        largest = torch.maximum(largest, logit.detach())
    size = [n - 2 for n in padded.shape[2:]]
    total = weights = torch.zeros_like(largest, dtype=padded.dtype)
    for tap, logit in enumerate(logits):
        if tap < NEIGHBOURS:
            corner = (tap // 9, tap // 3 % 3, tap % 3)
            k, j, i = (slice(c, c + n) for c, n in zip(corner, size, strict=True))
            values = padded[:, :, k, j, i]
        else:
            values = means[tap - NEIGHBOURS]
        # In the image's precision: averaging in half precision would add noise of its own.
        weight = torch.exp((logit - largest).to(padded.dtype))
        total = torch.addcmul(total, weight, space_to_depth(values))
        weights = weights + weight
    return total / weights
