"""Finding a region of the brain by laying an atlas over the whole head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from MedEnhanceLib.engine.networks.tissue_atlas import (
    ATLAS_MM,
    ATLAS_SHAPE,
    CLASSES,
    TissueAtlas,
    brain_odds,
    guessed_brain,
    resampled,
)
from MedEnhanceLib.engine.networks.tissue_guess import TissueGuessUNet, far_padding
from MedEnhanceLib.engine.networks.tissue_net import guessed_shares

MULTIPLE = 4
"""The guess looks at blocks of so many voxels."""
LEAST_AGREEMENT, FULL_AGREEMENT = 0.65, 0.8
"""Of the guess and the atlas laid over it: certainly no head, and certainly one."""
LEAST_CHANCE = 1e-6


class AtlasFinder(nn.Module):
    """Scores of background and regions, (B, 1, D, H, W) -> (B, 1 + regions, D, H, W).

    Axes run up, forward and right with voxels of 2 mm; intensities are at least zero, of any scale
    and contrast. Where the atlas does not agree with the guess, as in a scan of no head, regions
    are unlikely.

    Args:
        guess: widths of the levels of the network that guesses where tissue is, at 8 mm.
        regions: how many there are.
    """

    needs_whole_volume = True
    """A part of a head does not tell where it is in the head."""

    regions: torch.Tensor

    def __init__(self, guess: Sequence[int], regions: int) -> None:
        super().__init__()
        self.guess = TissueGuessUNet(CLASSES, guess)
        self.atlas = TissueAtlas()
        self.register_buffer("regions", torch.zeros(1, 1 + regions, *ATLAS_SHAPE))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return torch.stack([self._scores(image.float()) for image in x[:, 0]])

    def _scores(self, image: torch.Tensor) -> torch.Tensor:
        size = image.shape
        half = functional.pad(image.clamp_min(0), far_padding(size, MULTIPLE))
        guess = guessed_shares(self.guess, half)
        placing = self.atlas.placing(half, guess, brain_odds(half, guessed_brain(guess)))
        coarse = functional.avg_pool3d(self.atlas.shares, 2)[0]
        tissues = resampled(coarse, 2 * ATLAS_MM, placing, guess.shape[1:], 2 * ATLAS_MM)
        trust = (agreement(tissues, guess) - LEAST_AGREEMENT) / (FULL_AGREEMENT - LEAST_AGREEMENT)
        regions = resampled(self.regions[0], ATLAS_MM, placing, half.shape, ATLAS_MM / 2)[1:]
        regions = regions * min(1.0, max(0.0, trust))
        shares = torch.cat([1 - regions.sum(0, keepdim=True), regions])
        scores: torch.Tensor = shares.clamp_min(LEAST_CHANCE).log()
        return scores[:, : size[0], : size[1], : size[2]]


def agreement(first: torch.Tensor, second: torch.Tensor) -> float:
    """How much of two sets of shares (1 + T, d, h, w) is common, of what there can be: 0 to 1.

    The overlap coefficient, the mean of all classes but the first. A guess that sees tissue in the
    noise around a head as well agrees, one that has some tissue everywhere does not.
    """
    common = torch.minimum(first, second)[1:].sum((1, 2, 3))
    most = torch.minimum(first[1:].sum((1, 2, 3)), second[1:].sum((1, 2, 3)))
    return float((common / most.clamp_min(1e-6)).mean())
