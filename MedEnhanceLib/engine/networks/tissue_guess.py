"""A small U-Net that sees a whole head at once and says roughly where which tissue lies."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

GROUP = 8
"""Channels that are normalised together."""


class TissueGuessUNet(nn.Module):
    """Scores of classes on a coarse grid, (B, inputs, D, H, W) -> (B, classes, D, H, W).

    It is given the scan, divided by the mean of what is not air. A U-Net (Ronneberger et al. 2015,
    doi:10.1007/978-3-319-24574-4_28) with additive skips and group normalisation (Wu and He 2018,
    arXiv:1803.08494). Any size will do: the far ends are filled up with air.

    Args:
        classes: number of classes, background included.
        channels: widths of the levels, each of half the resolution of the one before.
        inputs: channels of what it is given.
    """

    def __init__(self, classes: int, channels: Sequence[int], inputs: int = 1) -> None:
        super().__init__()
        finer, coarser = channels[:-1], channels[1:]
        self.head = nn.Sequential(
            conv_block(inputs, channels[0]), conv_block(channels[0], channels[0])
        )
        self.down = nn.ModuleList(
            nn.Sequential(conv_block(a, b, stride=2), ResidualPair(b))
            for a, b in zip(finer, coarser, strict=True)
        )
        self.narrow = nn.ModuleList(nn.Conv3d(b, a, 1) for a, b in zip(finer, coarser, strict=True))
        self.up = nn.ModuleList(ResidualPair(a) for a in finer)
        self.scores = nn.Conv3d(channels[0], classes, 1)
        self.multiple = 2 ** len(finer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = x.shape[2:]
        level = self.head(functional.pad(x, far_padding(size, self.multiple)))
        levels = [level]
        for down in self.down:
            levels.append(down(levels[-1]))
        level = levels.pop()
        for number in reversed(range(len(levels))):
            wider = functional.interpolate(self.narrow[number](level), scale_factor=2.0)
            level = self.up[number](levels[number] + wider)
        scores: torch.Tensor = self.scores(level)
        return scores[:, :, : size[0], : size[1], : size[2]]


class ResidualPair(nn.Module):
    """Two convolutions with normalisation and a skip connection (ResNet's basic block)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = conv_block(width, width)
        self.second = nn.Sequential(
            nn.Conv3d(width, width, 3, padding=1, bias=False), normalisation(width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(x + self.second(self.first(x)))


def conv_block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A 3x3x3 convolution without bias, group normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        normalisation(outputs),
        nn.ReLU(inplace=True),
    )


def normalisation(width: int) -> nn.GroupNorm:
    """Mean 0 and deviation 1 over every group of channels of one head; air stays finite."""
    return nn.GroupNorm(max(1, width // GROUP), width, eps=1e-5)


def far_padding(size: Sequence[int], multiple: int) -> list[int]:
    """Padding for ``functional.pad`` that fills sizes (D, H, W) up to a multiple."""
    return [n for edge in reversed(size) for n in (0, -edge % multiple)]
