"""A small U-Net that sees a whole head at once and says where the brain ends."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from MedEnhanceLib.engine.networks.folding import FOLD, depth_to_space, space_to_depth
from MedEnhanceLib.engine.networks.tissue_guess import TissueGuessUNet

VIEW = (64, 64, 48)
"""Voxels of 4 mm of the heads that it learned from, air around them included."""


class BrainUNet(nn.Module):
    """Logarithm of the odds of brain in every voxel of 4 mm, (B, 1, D, H, W) -> (B, 1, D, H, W).

    It is given the scan, divided by the mean of what is not air, and computes on blocks of
    2 x 2 x 2 voxels. Any size will do: around smaller scans than those it learned from there is
    air, so that the brain is as large a part of what it sees as it was there.

    Args:
        channels: widths of the levels, each of half the resolution of the one before.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.body = TissueGuessUNet(FOLD**3, channels, FOLD**3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sizes = list(x.shape[2:])
        before = [max(0, view - n) // 2 for view, n in zip(VIEW, sizes, strict=True)]
        whole = [-(-max(view, n) // FOLD) * FOLD for view, n in zip(VIEW, sizes, strict=True)]
        after = [w - n - b for w, n, b in zip(whole, sizes, before, strict=True)]
        # Of the last axis first, as torch wants it.
        margins = [n for pair in zip(before[::-1], after[::-1], strict=True) for n in pair]
        odds = depth_to_space(self.body(space_to_depth(functional.pad(x, margins))))
        k, j, i = (slice(b, b + n) for b, n in zip(before, sizes, strict=True))
        return odds[:, :, k, j, i]
