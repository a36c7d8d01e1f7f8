"""A U-Net that labels tissue at full resolution while it computes at half resolution and below."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from MedEnhanceLib.engine.networks.folding import FOLD, depth_to_space, space_to_depth

FULL_BLOCK = FOLD**3


class FoldedUNet(nn.Module):
    """Scores of classes, (B, 1, D, H, W) -> (B, classes, D, H, W).

    Neighbouring voxels are folded into channels (space-to-depth), a U-Net (Ronneberger et al.
    2015, doi:10.1007/978-3-319-24574-4_28) with additive skips runs on them, and its last layer
    scores the eight voxels of each position at once (depth-to-space). The folded image comes
    along to the last layers, so that borders stay as sharp as the image. Nearly all the time of
    an ordinary U-Net goes into its full-resolution layers, which this one has not. Contrast is made
    alike by instance normalisation, since no two scans share theirs.

    Args:
        classes: number of classes, background included.
        channels: widths at 1/2, 1/4, 1/8, ... of the resolution. D, H and W must be multiples
            of two to the power of their number.
        last: width of the two layers before the scores.
    """

    def __init__(self, classes: int, channels: Sequence[int], last: int) -> None:
        super().__init__()
        self.head = conv_block(FULL_BLOCK, channels[0])
        finer, coarser = channels[:-1], channels[1:]
        self.down = nn.ModuleList(
            nn.Sequential(conv_block(a, b, stride=2), BasicBlock(b))
            for a, b in zip(finer, coarser, strict=True)
        )
        self.narrow = nn.ModuleList(nn.Conv3d(b, a, 1) for a, b in zip(finer, coarser, strict=True))
        self.up = nn.ModuleList(BasicBlock(a) for a in finer[1:])
        self.last = nn.Sequential(
            conv_block(FULL_BLOCK + channels[0], last),
            conv_block(last, last),
            nn.Conv3d(last, classes * FULL_BLOCK, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        folded = space_to_depth(x)
        level = self.head(folded)
        levels = [level]
        for down in self.down:
            levels.append(down(levels[-1]))
        coarse = levels.pop()
        for number in reversed(range(len(levels))):
            wider = functional.interpolate(self.narrow[number](coarse), scale_factor=2.0)
            coarse = levels[number] + wider
            if number > 0:
                coarse = self.up[number - 1](coarse)
        return depth_to_space(self.last(torch.cat([folded, coarse], dim=1)))


class BasicBlock(nn.Module):
    """Two convolutions with instance normalisation and a skip connection (ResNet's basic block)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = conv_block(width, width)
        self.second = nn.Sequential(
            nn.Conv3d(width, width, 3, padding=1, bias=False), nn.InstanceNorm3d(width, affine=True)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(x + self.second(self.first(x)))


def conv_block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A 3x3x3 convolution, instance normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.InstanceNorm3d(outputs, affine=True),
        nn.ReLU(inplace=True),
    )
