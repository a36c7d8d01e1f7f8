"""A small U-Net whose receptive field is bounded."""

from __future__ import annotations

import torch
from torch import nn

from MedEnhanceLib.engine.networks.folding import ResidualBlock, start_at_zero
from MedEnhanceLib.engine.networks.streaming import (
    Chain,
    EachSlice,
    FlatConvolution,
    Multiples,
    Skip,
    Stream,
)


class HalvingNet(nn.Module):
    """A U-Net of two levels without normalisation, of ``width`` and ``below`` channels.

    Input (B, in_channels, D, H, W), output (B, out_channels, D, H, W); sizes must be even.
    The output is zero before training.
    """

    def __init__(
        self, in_channels: int, width: int, below: int, blocks: int, out_channels: int
    ) -> None:
        super().__init__()
        self.head = nn.Conv3d(in_channels, width, 1)
        self.before = nn.Sequential(*[ResidualBlock(width) for _ in range(blocks)])
        self.down = nn.Conv3d(width, below, 2, stride=2)
        self.below = nn.Sequential(*[ResidualBlock(below) for _ in range(blocks)])
        self.up = nn.ConvTranspose3d(below, width, 2, stride=2)
        self.after = nn.Sequential(*[ResidualBlock(width) for _ in range(blocks)])
        self.tail = nn.Conv3d(width, out_channels, 1)
        start_at_zero(self.tail)
        # Two convolutions a block; those below count double, and so does the step down and up.
        self.reach = 2 * blocks * (1 + 2 + 1) + 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tail: torch.Tensor = self.tail(self.body(x))
        return tail

    def body(self, x: torch.Tensor) -> torch.Tensor:
        """What the last layer, which looks at single voxels, is given: ``width`` channels."""
        x = self.before(self.head(x))
        x = x + self.up(self.below(self.down(x)))
        after: torch.Tensor = self.after(x)
        return after

    def stream(self) -> Stream:
        """The same, slab after slab."""
        return Chain(self.body_stream(), FlatConvolution(self.tail))

    def body_stream(self) -> Stream:
        """All but the last layer, slab after slab."""
        return Chain(
            FlatConvolution(self.head),
            *_streams(self.before),
            Skip(
                Chain(
                    Multiples(2),
                    FlatConvolution(self.down),
                    *_streams(self.below),
                    EachSlice(self.up),
                )
            ),
            *_streams(self.after),
        )


def _streams(blocks: nn.Sequential) -> list[Stream]:
    return [block.stream() for block in blocks if isinstance(block, ResidualBlock)]
