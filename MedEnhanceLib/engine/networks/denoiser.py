"""A denoiser that predicts, for every voxel, how its surroundings are averaged."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, product

import torch
from torch import nn
from torch.nn import functional

from MedEnhanceLib.engine.networks.folding import (
    FOLD,
    SIGMA_GAIN,
    box_mean,
    depth_to_space,
    log_scaled,
    pointwise_in_planes,
    space_to_depth,
)
from MedEnhanceLib.engine.networks.halving import HalvingNet
from MedEnhanceLib.engine.networks.streaming import Beside, Chain, Stream, Window

LEAST_SIGMA = 1e-4
FEATURES = 4
"""Channels that are folded for the body."""
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
    image. D, H, W must be multiples of 4.

    A residual body at half resolution and a quarter looks at the image and at its detail in units
    of sigma, in which noise always looks alike. It predicts, for every voxel, the weights of its 27
    neighbours and of two wider means, as in kernel-predicting networks (Bako et al. 2017,
    doi:10.1145/3072959.3073708), and a remainder in units of sigma, which takes the Rician bias
    away. Weights are positive and sum to one, so nothing brighter or darker than its
    surroundings can be invented but for the remainder.
    """

    def __init__(self, width: int = 32, below: int = 64, blocks: int = 2) -> None:
        super().__init__()
        volume = FOLD**3
        self.kernels = HalvingNet(FEATURES * volume, width, below, blocks, (TAPS + 1) * volume)
        centre = NEIGHBOURS // 2 * FOLD**3
        with torch.no_grad():
            self.kernels.tail.bias[centre : centre + FOLD**3] = CENTRE_LOGIT  # type: ignore[index]

    @property
    def halo(self) -> int:
        """Voxels on each side of an output voxel that may influence it."""
        return FOLD * (self.kernels.reach + 1) + WIDE_REACH

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = with_means(x)
        return self.averaged(self.kernels.body(features(seen)), seen)

    def stream(self) -> Stream:
        """The same, slab after slab."""
        look = Window(with_means, WIDE_REACH, multiple=FOLD)
        decide = Chain(Window(features, 1, FOLD), self.kernels.body_stream())
        return Chain(look, Beside(decide, self.averaged, 1, FOLD))

    def averaged(
        self, decided: torch.Tensor, around: torch.Tensor, before: int = 0
    ) -> torch.Tensor:
        """The clean image (B, 1, D, H, W).

        Args:
            decided: what the body says of each 2x2x2 voxels, (B, ``width``, D/2, H/2, W/2).
            around: of :func:`with_means`, with further slices on both sides.
            before: how many of these come before.
        """
        image, sigma, *means = around.split(1, dim=1)
        padded = functional.pad(image, (1,) * 6, mode="replicate")
        clean, start = [], before
        for part in decided.split(slices_at_once(decided), dim=2):
            stop = start + FOLD * part.shape[2]
            # (B, 30, 8, D/2, H/2, W/2); averaging in half precision would add noise of its own.
            kernels = pointwise_in_planes(part, self.kernels.tail).to(image.dtype)
            kernels = kernels.unflatten(1, (TAPS + 1, FOLD**3))
            wider = tuple(mean[:, :, start:stop] for mean in means)
            mean = weighted_mean(kernels[:, :TAPS], padded[:, :, start : stop + 2], wider)
            level = sigma[:, :, start:stop]
            changed = depth_to_space(mean) + level * depth_to_space(kernels[:, TAPS])
            clean.append(torch.where(level > 0, changed, image[:, :, start:stop]))
            start = stop
        return torch.cat(clean, dim=2)


def with_means(x: torch.Tensor) -> torch.Tensor:
    """Image and noise, and the image's means over 5 and 9 voxels: (B, 4, D, H, W)."""
    middle = box_mean(x[:, :1], 5)
    return torch.cat([x, middle, box_mean(middle, 5)], dim=1)


def features(seen: torch.Tensor) -> torch.Tensor:
    """What the body sees of :func:`with_means`, folded: (B, 32, D/2, H/2, W/2)."""
    image, sigma, _, wide = seen.split(1, dim=1)
    near = box_mean(image, 3)
    unit = sigma.clamp_min(LEAST_SIGMA)
    told = [
        image,
        sigma * SIGMA_GAIN,
        log_scaled((image - near) / unit),
        log_scaled((near - wide) / unit),
    ]
    return space_to_depth(torch.cat(told, dim=1))


def slices_at_once(folded: torch.Tensor) -> int:
    """How many folded slices to work on at a time; all of them while learning, or on a GPU."""
    if torch.is_grad_enabled() or folded.device.type != "cpu":
        return folded.shape[2]
    return max(1, AT_ONCE // (FOLD**3 * folded[0, 0, 0].numel()))


def weighted_mean(
    logits: torch.Tensor, padded: torch.Tensor, means: tuple[torch.Tensor, ...]
) -> torch.Tensor:
    """Mean of each voxel's 27 neighbours and of wider means, by predicted weights.

    Args:
        logits: (B, taps, 8, D/2, H/2, W/2); their softmax over the taps are the weights.
        padded: the image with one more voxel on every side, (B, 1, D + 2, H + 2, W + 2).
        means: images (B, 1, D, H, W), the last taps.

    Returns:
        (B, 8, D/2, H/2, W/2), folded as by :func:`space_to_depth`.
    """
    logits = logits.unflatten(2, (FOLD,) * 3)
    largest = logits.detach().amax(dim=1)
    wider = (space_to_depth(mean).unflatten(1, (FOLD,) * 3) for mean in means)
    total, weights = torch.zeros_like(largest), torch.zeros_like(largest)
    # One tap after the other: a softmax over all of them takes three times as long on a CPU.
    for logit, values in zip(logits.unbind(1), chain(neighbours(padded), wider), strict=True):
        weight = (logit - largest).exp_()
        total.addcmul_(weight, values)
        weights += weight
    return (total / weights).flatten(1, 3)


def neighbours(padded: torch.Tensor) -> Iterator[torch.Tensor]:
    """Each of the 27 neighbours of every voxel, folded: (B, 2, 2, 2, D/2, H/2, W/2).

    Args:
        padded: the image with one more voxel on every side, (B, 1, D + 2, H + 2, W + 2).
    """
    # Every second voxel, from each of the first four on; the neighbours are views of these.
    reach = FOLD + 2
    lattices = padded[:, 0].unfold(1, reach, FOLD).unfold(2, reach, FOLD).unfold(3, reach, FOLD)
    lattices = lattices.permute(0, 4, 5, 6, 1, 2, 3).contiguous()
    for k, j, i in product(range(3), repeat=3):
        yield lattices[:, k : k + FOLD, j : j + FOLD, i : i + FOLD]
