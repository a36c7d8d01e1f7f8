"""A network that adds the detail which thick slices lost."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from MedEnhanceLib.engine.networks.folding import (
    FOLD,
    SIGMA_GAIN,
    depth_to_space,
    space_to_depth,
)
from MedEnhanceLib.engine.networks.halving import HalvingNet
from MedEnhanceLib.engine.networks.streaming import Beside, Chain, Stream, Window

DETAIL_GAIN = 10.0
"""Detail is a few per cent of the peak; this brings it to the image's size."""
SHARPENING_REACH = 7
SHARPENING_POWERS = 3
SHARPENING_SIGMA = 0.02
"""Noise, as a share of the peak, at which an image counts as half noisy."""


def local_detail(x: torch.Tensor) -> torch.Tensor:
    """What an image (B, 1, D, H, W) has beyond the mean of each voxel's 3x3x3 surroundings."""
    return x - functional.avg_pool3d(x, 3, stride=1, padding=1, count_include_pad=False)


class ProfileSharpening(nn.Module):
    """A linear sharpening along D by a kernel that follows factor, profile and noise.

    Symmetric kernels that leave constants alone, made of second differences over 1 to 7 voxels;
    their weights are polynomials in the refinement factor and the profile's width, one for noisy
    images and one that is added the less noise there is. Beyond the ends the outermost voxel is
    repeated. This much of the way back through a slice profile is linear, and can be fitted by
    least squares before training.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(2 * SHARPENING_POWERS**2, SHARPENING_REACH))

    def forward(
        self, image: torch.Tensor, factor: torch.Tensor, width: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        """What to add to ``image`` (B, 1, D, H, W); the others are numbers for each image (B)."""
        powers = [
            factor**n * width**m for n in range(SHARPENING_POWERS) for m in range(SHARPENING_POWERS)
        ]
        trust = 1 / (1 + (sigma / SHARPENING_SIGMA) ** 2)
        basis = torch.stack([*powers, *(trust * power for power in powers)], dim=1)
        half = basis @ self.weights / 2
        centre = -2 * half.sum(dim=1, keepdim=True)
        kernels = torch.cat([half.flip(1), centre, half], dim=1)[:, None, :, None, None]
        ends = (0, 0, 0, 0, SHARPENING_REACH, SHARPENING_REACH)
        side_by_side = functional.pad(image, ends, mode="replicate").transpose(0, 1)
        changes = functional.conv3d(side_by_side, kernels.to(image.dtype), groups=len(image))
        return changes.transpose(0, 1)


class SharpeningFilter(nn.Module):
    """Sharpens a volume that was interpolated along its first spatial axis (D), linearly.

    Input (B, 4, D, H, W): the interpolated image over its robust peak; and, the same at every
    voxel, the refinement factor along D (1 = none) divided by 4; the noise's standard deviation
    in the image's unit; the full width of the slice profile at half its maximum over the
    distance of the slices (1 = slices that touch). Output (B, 1, D, H, W): the sharpened image.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sharpening = ProfileSharpening()

    @property
    def halo(self) -> int:
        """Voxels on each side of an output voxel that may influence it."""
        return SHARPENING_REACH

    def sharpened(self, x: torch.Tensor) -> torch.Tensor:
        """The image sharpened along D, the less the noisier it is."""
        factor, sigma, width = x[:, 1:, 0, 0, 0].unbind(1)
        return x[:, :1] + self.sharpening(x[:, :1], factor, width, sigma)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.sharpened(x)

    def stream(self) -> Stream:
        """The same, slab after slab."""
        return Window(self.forward, SHARPENING_REACH)


class SharpeningUNet(SharpeningFilter):
    """The same with a small U-Net at half and quarter resolution for what is not linear.

    D, H and W must be multiples of 4.
    """

    def __init__(self, width: int = 64, below: int = 96, blocks: int = 2) -> None:
        super().__init__()
        self.residual = HalvingNet(6 * FOLD**3, width, below, blocks, FOLD**3)

    @property
    def halo(self) -> int:
        """Voxels on each side of an output voxel that may influence it."""
        return FOLD * (self.residual.reach + 1) + SHARPENING_REACH

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = self.with_sharper(x)
        return added(self.residual(features(seen)), seen)

    def stream(self) -> Stream:
        """The same, slab after slab; slabs must be of multiples of four slices."""
        residual = Chain(Window(features, 1, FOLD), self.residual.stream())
        sharpen = Window(self.with_sharper, SHARPENING_REACH)
        return Chain(sharpen, Beside(residual, added, fold=FOLD))

    def with_sharper(self, x: torch.Tensor) -> torch.Tensor:
        """The input, and what sharpening adds to the image: (B, 5, D, H, W)."""
        return torch.cat([x, self.sharpened(x) - x[:, :1]], dim=1)


def features(seen: torch.Tensor) -> torch.Tensor:
    """What the U-Net sees of an input with its sharpening, folded."""
    image, factor, sigma, width, sharper = seen.split(1, dim=1)
    details = (local_detail(image) * DETAIL_GAIN, sharper * DETAIL_GAIN)
    return space_to_depth(torch.cat([image, factor, sigma * SIGMA_GAIN, width, *details], dim=1))


def added(residual: torch.Tensor, seen: torch.Tensor, before: int = 0) -> torch.Tensor:
    """The image with its sharpening and what the U-Net adds."""
    return seen[:, :1] + seen[:, 4:] + depth_to_space(residual) / DETAIL_GAIN
