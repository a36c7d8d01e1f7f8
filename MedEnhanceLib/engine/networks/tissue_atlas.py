"""An atlas of where tissue lies in heads, laid over one head.

A rough guess of the tissues is enough to turn, stretch and bend the atlas until both agree, since
heads are alike; what the guess saw in the face or the scalp has no part in the atlas. Then the
contrast is measured where the atlas says the tissues are, and the atlas follows what that shows, as
in unified segmentation (Ashburner and Friston 2005, doi:10.1016/j.neuroimage.2005.02.018). Where
the brain ends, contrast says little: bone is as dark as fluid in many scans. So the guess is heard
there again, but for brains that were cut out of their heads, whose end is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn import functional

from MedEnhanceLib.engine.networks.folding import box_mean
from MedEnhanceLib.engine.networks.tissue_statistics import (
    at_voxels,
    fit_tissues,
    floored,
    posterior,
)

ATLAS_MM = 4.0
ATLAS_SHAPE = (48, 56, 44)
CLASSES = 4
KNOTS = (6, 7, 6)
"""Points of the bend across the field of view, about 35 mm apart."""
BEND_MM = 10.0
"""Unit of the bend; of the shift it is 100 mm."""
SHIFT_MM = 100.0
DOUBT = 0.02
"""Share of each class that is possible anywhere."""
LEAST_CHANCE = 0.02
"""Of brain and of all else, anywhere, as far as the guess can tell."""
BEYOND, HELD = 0.15, 0.5
"""A scan that shows so much of the guessed brain, and less than this beyond it, shows no more."""
NEAR = 5
"""Voxels of 4 mm across the surroundings of the brain that are not beyond it."""
ABOVE_NOISE = 8.0
"""Median deviations of noise averaged over 4 mm, from which on there is something."""
LOOKS = 2
"""How often the contrast is measured before the atlas is bent to what that shows."""
TOWARDS = (0.8, 0.95)
"""How long the descent (Adam, Kingma and Ba 2015, arXiv:1412.6980) remembers slopes."""


@dataclass(frozen=True)
class Placing:
    """From places in a scan to places in the atlas, both in mm from the middle of their grids.

    Attributes:
        centre: place in the scan (3,) that the atlas turns about.
        shift: (3,) in units of ``SHIFT_MM``.
        stretch: what is added to the identity (3, 3).
        bend: displacements at knots across the scan (1, 3, *KNOTS) in units of ``BEND_MM``.
    """

    centre: torch.Tensor
    shift: torch.Tensor
    stretch: torch.Tensor
    bend: torch.Tensor

    def __call__(self, places: torch.Tensor) -> torch.Tensor:
        """Places in the atlas of all voxels of a scan (D, H, W, 3)."""
        matrix = torch.eye(3, device=places.device) + self.stretch
        straight = (places - self.centre) @ matrix.T + self.shift * SHIFT_MM
        size = tuple(places.shape[:3])
        bend = functional.interpolate(self.bend, size, mode="trilinear", align_corners=True)
        return straight + bend[0].permute(1, 2, 3, 0) * BEND_MM

    def effort(self) -> torch.Tensor:
        """How far from a mere shift and turn it is; smooth placings cost least."""
        turned = (self.stretch - self.stretch.T) / 2
        resized = (self.stretch + self.stretch.T) / 2
        uneven = torch.stack([(self.bend.diff(dim=axis) ** 2).mean() for axis in (2, 3, 4)])
        return (turned**2).sum() / 2 + 2 * (resized**2).sum() + uneven.sum() / 10


class TissueAtlas(nn.Module):
    """Shares of air and else, fluid, grey and white matter in an average head.

    Attributes:
        shares: (1, 4, D, H, W), of a rank that can be put in any order of memory, as weights are.
    """

    shares: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        shares = torch.zeros(1, CLASSES, *ATLAS_SHAPE)
        shares[:, 0] = 1
        self.register_buffer("shares", shares)

    def laid_over(
        self, half: torch.Tensor, guess: torch.Tensor, odds: torch.Tensor
    ) -> torch.Tensor:
        """The atlas in the place of one head.

        Args:
            half: the scan with voxels of 2 mm (2d, 2h, 2w), at least zero.
            guess: rough shares of the classes on a grid of 8 mm (4, d/2, h/2, w/2).
            odds: :func:`brain_odds` (d, h, w).

        Returns:
            Shares of the classes (4, d, h, w) with voxels of 4 mm.
        """
        grid = [n // 2 for n in half.shape]
        placing = self.placing(half, guess, odds)
        return agreed(resampled(self.shares[0], ATLAS_MM, placing, grid, ATLAS_MM), odds)

    def placing(self, half: torch.Tensor, guess: torch.Tensor, odds: torch.Tensor) -> Placing:
        """How the atlas has to be laid over one head; arguments as of `laid_over`."""
        # The descent needs slopes, also where the network around it is only asked.
        with torch.inference_mode(False), torch.enable_grad():
            half, guess, odds = half.clone(), guess.clone(), odds.clone()
            shares = self.shares[0].float().clone()
            coarse = functional.avg_pool3d(shares[None], 2)[0]
            placing = descend(box_mean(coarse, 3), guess, first_placing(guess), 30, 0.04)
            placing = descend(coarse, guess, placing, 20, 0.02)
            grid = [n // 2 for n in half.shape]
            for _ in range(LOOKS):
                with torch.no_grad():
                    prior = agreed(resampled(shares, ATLAS_MM, placing, grid, ATLAS_MM), odds)
                    seen = functional.avg_pool3d(seen_shares(half, prior, rounds=8)[None], 2)[0]
                placing = descend(coarse, seen, placing, 20, 0.02, bends=True)
            return placing


def guessed_brain(guess: torch.Tensor) -> torch.Tensor:
    """Chance of brain at 4 mm (d, h, w) in guessed shares at 8 mm (4, d/2, h/2, w/2)."""
    return functional.interpolate(1 - guess[None, :1], scale_factor=2.0, mode="trilinear")[0, 0]


def brain_odds(half: torch.Tensor, chance: torch.Tensor) -> torch.Tensor:
    """Logarithm of the odds of brain at 4 mm (d, h, w), without the atlas; 0 of cut out brains.

    Args:
        half: the scan with voxels of 2 mm (2d, 2h, 2w), at least zero.
        chance: of brain, (d, h, w).
    """
    brain = (chance > 0.5).float()
    content = content_of(half, chance < LEAST_CHANCE)
    near = functional.max_pool3d(brain[None], NEAR, stride=1, padding=NEAR // 2)[0]
    held, beyond = (content * brain).sum(), (content * (1 - near)).sum()
    if held > HELD * brain.sum() and beyond < BEYOND * brain.sum():
        return torch.zeros_like(chance)
    return chance.clamp(LEAST_CHANCE, 1 - LEAST_CHANCE).logit()


def content_of(half: torch.Tensor, empty: torch.Tensor) -> torch.Tensor:
    """1 where a scan (2d, 2h, 2w) is brighter than the noise in its empty part, else 0: (d, h, w).

    Args:
        half: the scan with voxels of 2 mm.
        empty: where it may show nothing, mostly (d, h, w).
    """
    cells = functional.avg_pool3d(half[None], 2)[0]
    noise = cells[empty] if bool(empty.any()) else cells.new_zeros(1)
    level = noise.median()
    spread = (noise - level).abs().median()
    return (cells > level + ABOVE_NOISE * spread).float()


def agreed(shares: torch.Tensor, odds: torch.Tensor) -> torch.Tensor:
    """Shares (4, d, h, w) of an atlas after hearing of :func:`brain_odds` (d, h, w)."""
    brain = (1 - shares[0]).clamp(1e-4, 1 - 1e-4)
    heard = (brain.logit() + odds).sigmoid()
    tissues = shares[1:] * (heard / brain)
    return torch.cat([1 - tissues.sum(0, keepdim=True), tissues])


def seen_shares(half: torch.Tensor, prior: torch.Tensor, rounds: int) -> torch.Tensor:
    """What the scan's own contrast makes of a prior: (2d, 2h, 2w), (4, d, h, w) -> (4, d, h, w)."""
    fit, field = fit_tissues(half, prior, step=3, rounds=rounds)
    chance = posterior(half / field, at_voxels(floored(prior), half.shape), fit)
    return functional.avg_pool3d(chance[None], 2)[0]


def first_placing(guess: torch.Tensor) -> Placing:
    """The atlas's middle where the middle of the guessed brain is (4, d, h, w), at 8 mm."""
    brain = 1 - guess[0]
    places = places_of(brain.shape, 2 * ATLAS_MM, guess.device)
    centre = (brain[..., None] * places).sum((0, 1, 2)) / brain.sum().clamp_min(1e-3)
    zeros = guess.new_zeros
    return Placing(centre, zeros(3), zeros(3, 3), zeros(1, 3, *KNOTS))


def descend(
    atlas: torch.Tensor,
    shares: torch.Tensor,
    start: Placing,
    steps: int,
    rate: float,
    bends: bool = False,
) -> Placing:
    """The placing of an atlas at 8 mm that makes shares (4, d, h, w) on such a grid likeliest.

    Args:
        rate: of the descent; it falls to nothing.
        bends: whether the atlas may be bent as well.
    """
    parts = {"shift": start.shift, "stretch": start.stretch}
    parts |= {"bend": start.bend} if bends else {}
    moving = {name: part.clone().requires_grad_() for name, part in parts.items()}
    rates = {"shift": rate, "stretch": rate, "bend": 4 * rate}
    descent = torch.optim.Adam(
        [{"params": [part], "lr": rates[name]} for name, part in moving.items()], betas=TOWARDS
    )
    slower = torch.optim.lr_scheduler.LinearLR(descent, 1.0, 0.02, steps)
    for _ in range(steps):
        placing = replace(start, **moving)
        expected = resampled(atlas, 2 * ATLAS_MM, placing, shares.shape[1:], 2 * ATLAS_MM)
        doubted = expected * (1 - CLASSES * DOUBT) + DOUBT
        loss = placing.effort() - 100 * (shares * doubted.log()).mean()
        descent.zero_grad()
        loss.backward()
        descent.step()
        slower.step()
    return replace(start, **{name: part.detach() for name, part in moving.items()})


def resampled(
    atlas: torch.Tensor, atlas_mm: float, placing: Placing, shape: Sequence[int], mm: float
) -> torch.Tensor:
    """An atlas (1 + T, D, H, W) on the grid of a scan; beyond it, the first class alone."""
    places = placing(places_of(shape, mm, atlas.device))
    halves = torch.tensor(atlas.shape[1:], device=atlas.device) * (atlas_mm / 2)
    where = (places / halves).flip(-1)[None]
    tissues = functional.grid_sample(atlas[None, 1:].float(), where, align_corners=False)[0]
    return torch.cat([1 - tissues.sum(0, keepdim=True), tissues])


def places_of(shape: Sequence[int], mm: float, device: torch.device) -> torch.Tensor:
    """Centres of the voxels of a grid (D, H, W), in mm from its middle: (D, H, W, 3)."""
    axes = [(torch.arange(n, device=device) - (n - 1) / 2) * mm for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
