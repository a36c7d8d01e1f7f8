"""A network that divides thick slices into thinner ones.

It works on the thick slices themselves, not on slices that were interpolated between them: the same
layers then see several times as far for the same work. Every slice becomes four parts, which are
resampled to the thickness that was asked for (an image's own grid as the place to compute on: Shi
et al. 2016, arXiv:1609.05158).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from MedEnhanceLib.acquisition import PARTS
from MedEnhanceLib.engine.networks.folding import SIGMA_GAIN, ResidualBlock, start_at_zero
from MedEnhanceLib.engine.networks.streaming import (
    Beside,
    Chain,
    EachSlice,
    FlatConvolution,
    Stream,
    Window,
)

DETAIL_GAIN = 10.0
"""Detail is a few per cent of the peak; this brings it to the image's size."""
REACH = 4
"""Slices on each side that the linear part looks at."""
POWERS = 3
HALF_NOISY = 0.02
"""Noise, as a share of the peak, at which an image counts as half noisy."""


class LinearSplitting(nn.Module):
    """Divides slices into parts by kernels that follow factor, profile and noise.

    The kernels leave constants alone, and those of the last two parts mirror those of the first
    two. Their weights are polynomials in the refinement factor and the profile's width, one for
    noisy images and one that is added the less noise there is. This much of the way back through
    a slice profile is linear, and can be fitted by least squares before training.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(2 * POWERS**2, PARTS // 2, 2 * REACH))

    def forward(
        self, image: torch.Tensor, factor: torch.Tensor, width: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        """What to add to ``image`` (B, 1, D, H, W) for each part, (B, 4, D, H, W).

        The others are numbers for each image (B).
        """
        # Half precision would round the image itself, not only its detail.
        with torch.autocast(image.device.type, enabled=False):
            around = torch.einsum("bn,npt->bpt", basis(factor, width, sigma), self.weights)
            return changed(image, around)


def basis(factor: torch.Tensor, width: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """What the kernels are polynomials in, of images with these facts (B each): (B, 18)."""
    powers = [factor**n * width**m for n in range(POWERS) for m in range(POWERS)]
    trust = 1 / (1 + (sigma / HALF_NOISY) ** 2)
    return torch.stack([*powers, *(trust * power for power in powers)], dim=1)


def changed(image: torch.Tensor, around: torch.Tensor) -> torch.Tensor:
    """What kernels add to ``image`` (B, 1, D, H, W) for each part, (B, 4, D, H, W).

    Args:
        around: weights of the slices before and after, for the first two parts: (B, 2, 8).
    """
    before, after = around.split(REACH, dim=2)
    first = torch.cat([before, -around.sum(dim=2, keepdim=True), after], dim=2)
    kernels = torch.cat([first, first.flip((1, 2))], dim=1).flatten(0, 1)[:, None, :, None, None]
    b, _, d, h, w = image.shape
    side_by_side = _continued(image).transpose(0, 1)
    return functional.conv3d(side_by_side, kernels, groups=b).reshape(b, PARTS, d, h, w)


class SliceSplitter(nn.Module):
    """Divides each thick slice into four, linearly, and adds what a residual network makes of it.

    Input (B, 4, D, H, W): slices stacked along D, over their robust peak; and, the same at every
    voxel, the refinement factor along D (1 = none) divided by 4; the noise's standard deviation
    in the image's unit; the full width of the slice profile at half its maximum over the distance
    of the slices (1 = slices that touch). H and W must be even. Output (B, 4, D, H, W): the four
    parts of each slice, in the order of D.

    The residual network folds 2x2 voxels within the slices (space-to-depth, as in FFDNet, Zhang et
    al. 2018, doi:10.1109/TIP.2018.2839891).
    """

    def __init__(self, width: int = 64, blocks: int = 3) -> None:
        super().__init__()
        self.linear = LinearSplitting()
        fold = (1, 2, 2)
        self.head = nn.Conv3d(PARTS + 5, width, fold, stride=fold)
        self.body = nn.Sequential(*[ResidualBlock(width) for _ in range(blocks)])
        self.tail = nn.ConvTranspose3d(width, PARTS, fold, stride=fold)
        start_at_zero(self.tail)

    @property
    def halo(self) -> int:
        """Voxels on each side of an output voxel that may influence it."""
        return 2 * 2 * len(self.body) + REACH + 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = self.with_parts(x)
        return added(self.tail(self.body(self.head(features(seen)))), seen)

    def stream(self) -> Stream:
        """The same, slab after slab."""
        residual = Chain(
            EachSlice(features),
            FlatConvolution(self.head),
            *[block.stream() for block in self.body if isinstance(block, ResidualBlock)],
            EachSlice(self.tail),
        )
        return Chain(Window(self.with_parts, REACH), Beside(residual, added))

    def with_parts(self, x: torch.Tensor) -> torch.Tensor:
        """The input, and what the linear part adds for each part: (B, 8, D, H, W)."""
        factor, sigma, width = x[:, 1:, 0, 0, 0].unbind(1)
        return torch.cat([x, self.linear(x[:, :1], factor, width, sigma)], dim=1)


def features(seen: torch.Tensor) -> torch.Tensor:
    """What the residual network sees of an input with its linear changes."""
    image, factor, sigma, width, changes = seen.split([1, 1, 1, 1, PARTS], dim=1)
    mean = functional.avg_pool3d(image, (1, 3, 3), 1, (0, 1, 1), count_include_pad=False)
    details = ((image - mean) * DETAIL_GAIN, changes * DETAIL_GAIN)
    return torch.cat([image, factor, sigma * SIGMA_GAIN, width, *details], dim=1)


def added(residual: torch.Tensor, seen: torch.Tensor, before: int = 0) -> torch.Tensor:
    """The image with its linear changes and what the residual network adds."""
    return seen[:, :1] + seen[:, 4:] + residual / DETAIL_GAIN


def _continued(image: torch.Tensor) -> torch.Tensor:
    """The image (B, 1, D, H, W) with its mirror image beyond both ends along D."""
    depth = image.shape[2]
    cycle = torch.arange(-REACH, depth + REACH, device=image.device) % (2 * depth)
    return image.index_select(2, torch.minimum(cycle, 2 * depth - 1 - cycle))
