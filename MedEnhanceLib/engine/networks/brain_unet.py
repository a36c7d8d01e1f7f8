"""A small U-Net that sees a whole head at once and says where the brain ends."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from MedEnhanceLib.engine.networks.folding import FOLD, depth_to_space, space_to_depth
from MedEnhanceLib.engine.networks.tissue_guess import TissueGuessUNet, far_padding


class BrainUNet(nn.Module):
    """Logarithm of the odds of brain in every voxel of 4 mm, (B, 1, D, H, W) -> (B, 1, D, H, W).

    It is given the scan, divided by the mean of what is not air, and computes on blocks of
    2 x 2 x 2 voxels. Any size will do: the far ends are filled up with air.

    Args:
        channels: widths of the levels, each of half the resolution of the one before.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.body = TissueGuessUNet(FOLD**3, channels, FOLD**3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = x.shape[2:]
        folded = space_to_depth(functional.pad(x, far_padding(size, FOLD)))
        return depth_to_space(self.body(folded))[:, :, : size[0], : size[1], : size[2]]
