"""Brain tissue in any contrast: where it lies, how bright it is there, then voxel by voxel.

A network that only sees a part of a head cannot know whether bright is fluid, fat or white matter.
Here a small network guesses where the tissues of the whole head are, an atlas is laid over that
guess, and the scan's own contrast is measured where the atlas says. A second small network corrects
what follows from it, and a third one, which sees the scan in terms of its contrast, labels voxels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn
from torch.nn import functional

from MedEnhanceLib.engine.networks.folding import (
    FOLD,
    ResidualBlock,
    depth_to_space,
    space_to_depth,
)
from MedEnhanceLib.engine.networks.tissue_atlas import CLASSES, TissueAtlas
from MedEnhanceLib.engine.networks.tissue_place import TissuePlaceUNet, far_padding
from MedEnhanceLib.engine.networks.tissue_statistics import (
    TissueFit,
    fit_tissues,
    floored,
    posterior,
)

COARSE = 4
"""Voxels along each axis that are averaged for the network that places the tissues."""
COARSER = 2
"""So many of those again, 8 mm, for its first look."""
TISSUES = 3
FLUID, GREY, WHITE = range(TISSUES)
FULL = FOLD**3
FEATURES = (2 + TISSUES) * FULL + TISSUES + 3
"""Channels of what the second network sees, at half resolution."""
BRAIN = 0.05
"""Where tissue is less likely than this, nothing is looked for."""
MARGIN = 2
"""Coarse voxels around it that are looked at as well."""
REACH = 3.0
SURE = 0.01
"""Chance that the mixture of Gaussians is never denied."""
MOST_VOXELS = 6_000_000
"""The second network works on slabs of no more than this, beside their halo."""


class TissueNet(nn.Module):
    """Scores of air and else, fluid, grey and white matter: (B, 1, D, H, W) -> (B, 4, D, H, W).

    Axes run up, forward and right with voxels of 1 mm; air is zero, and the scale of the
    intensities does not matter. To train the second network, features of patches (B, FEATURES,
    D/2, H/2, W/2) may be given instead of scans.

    Args:
        first: widths of the levels of the network that takes a first look, at 8 mm.
        place: of the one that takes the second look, at 4 mm.
        width: of the network that labels voxels, at half resolution.
        wider: its width at a quarter.
        blocks: its residual blocks at half and at a quarter of the resolution.
    """

    def __init__(
        self,
        first: Sequence[int],
        place: Sequence[int],
        width: int,
        wider: int,
        blocks: Sequence[int],
    ) -> None:
        super().__init__()
        self.first = TissuePlaceUNet(CLASSES, first)
        self.atlas = TissueAtlas()
        self.place = TissuePlaceUNet(CLASSES, place)
        self.fine = TissueFineNet(width, wider, blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[1] == FEATURES:
            scores: torch.Tensor = self.fine(x)
            return scores
        with torch.autocast(x.device.type, enabled=False):
            return torch.stack([self._scores(image.float()) for image in x[:, 0]])

    def _scores(self, image: torch.Tensor) -> torch.Tensor:
        """Scores (4, D, H, W) of one scan (D, H, W)."""
        size = image.shape
        image = functional.pad(image, far_padding(size, COARSE * COARSER))
        scores = image.new_zeros((CLASSES, *image.shape))
        scores[0] = 1
        shares = self.shares(image)
        box = brain_box(shares)
        if box is not None:
            fine = tuple(slice(s.start * COARSE, s.stop * COARSE) for s in box)
            features = self.features(image[fine], shares[:, box[0], box[1], box[2]])
            for inner, slab in slabs(features, self.fine.halo // FOLD):
                first = fine[0].start + inner.start * FOLD
                last = fine[0].start + inner.stop * FOLD
                scores[:, first:last, fine[1], fine[2]] = slab_scores(
                    self.fine, features, slab, inner
                )
        return scores[:, : size[0], : size[1], : size[2]]

    def shares(self, image: torch.Tensor) -> torch.Tensor:
        """How likely each class is, roughly: (D, H, W) -> (4, D/4, H/4, W/4)."""
        half = functional.avg_pool3d(image[None], COARSE // 2)[0]
        prior = self.atlas.laid_over(half, first_shares(self.first, half))
        shares: torch.Tensor = self.place(second_look(half, prior)[None])[0].softmax(0)
        return shares

    def features(self, image: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        """What the second network sees: (1, FEATURES, D/2, H/2, W/2)."""
        fit, field = fit_tissues(image, shares, step=3, rounds=6)
        return contrast_free(image / field, shares, fit)


class TissueFineNet(nn.Module):
    """Scores at full resolution from features at half: (B, F, d, h, w) -> (B, 4, 2d, 2h, 2w).

    It starts as the mixture of Gaussians with the shares of the place, and learns to do better:
    a residual body at half resolution with a second one at a quarter, without normalisation.
    """

    def __init__(self, width: int, wider: int, blocks: Sequence[int]) -> None:
        super().__init__()
        self.head = nn.Conv3d(FEATURES, width, 3, padding=1)
        self.down = nn.Conv3d(width, wider, 3, stride=2, padding=1)
        self.low = nn.Sequential(*[ResidualBlock(wider) for _ in range(blocks[1])])
        self.up = nn.Conv3d(wider, width, 1)
        self.body = nn.Sequential(*[ResidualBlock(width) for _ in range(blocks[0])])
        self.tail = nn.Conv3d(width, CLASSES * FULL, 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]
        at_half, at_quarter = 2 + 2 * blocks[0], 1 + 2 * blocks[1]
        reach = FOLD * at_half + 2 * FOLD * (at_quarter + 1)
        self.halo = -(-reach // (2 * FOLD)) * 2 * FOLD
        """Voxels on each side that may influence an output voxel, in whole coarse ones."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        level = functional.relu(self.head(features))
        low = functional.relu(self.down(level))
        low = functional.interpolate(self.up(self.low(low)), scale_factor=2.0)
        return depth_to_space(self.tail(self.body(level + low)) + first_guess(features))


def first_shares(first: nn.Module, half: torch.Tensor) -> torch.Tensor:
    """Shares (4, d, h, w) at 8 mm of a scan with voxels of 2 mm, (4d, 4h, 4w)."""
    coarser = functional.avg_pool3d(half[None], COARSE // 2 * COARSER)
    shares: torch.Tensor = first(first_look(coarser)[None])[0].softmax(0)
    return shares


def first_look(scan: torch.Tensor) -> torch.Tensor:
    """What is seen when nothing is known: (1, d, h, w) -> (4, d, h, w)."""
    return torch.cat([levelled(scan), scan.new_zeros(TISSUES, *scan.shape[1:])])


@torch.no_grad()
def second_look(half: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """The scan, and what its contrast says about each tissue: (2d, 2h, 2w) -> (4, d, h, w).

    The contrast is measured where the atlas placed the tissues.
    """
    fit, field = fit_tissues(half, shares, step=3, rounds=12)
    prior = functional.interpolate(shares[None], tuple(half.shape), mode="trilinear")[0]
    chance = posterior(half / field, floored(prior), fit)[1:]
    seen = torch.cat([half[None], chance])
    coarse = functional.avg_pool3d(seen, COARSE // 2)
    return torch.cat([levelled(coarse[:1]), coarse[1:]])


def levelled(scan: torch.Tensor) -> torch.Tensor:
    """A scan over the mean of what is not air."""
    inside = scan > 0
    return scan * (inside.sum() / scan.sum().clamp_min(1e-9))


def contrast_free(image: torch.Tensor, shares: torch.Tensor, fit: TissueFit) -> torch.Tensor:
    """A scan in terms of its own contrast, (1, FEATURES, D/2, H/2, W/2).

    Channels: brightness between grey and white matter and between fluid and grey matter, and the
    mixture's chance of each tissue, folded; shares by place; noise over contrast, and how the two
    contrasts are to each other.
    """
    noise = fit.spreads[[GREY, WHITE]].mean()
    white = wide_enough(fit.means[WHITE] - fit.means[GREY], noise)
    fluid = wide_enough(fit.means[GREY] - fit.means[FLUID], noise)
    full = tuple(image.shape)
    prior = functional.interpolate(shares[None], full, mode="trilinear")[0]
    chance = posterior(image, floored(prior), fit)
    voxels = torch.stack(
        [
            ((image - fit.means[GREY]) / white).clamp(-REACH, REACH),
            ((image - fit.means[FLUID]) / fluid).clamp(-REACH, REACH),
            *chance[1:],
        ]
    )
    half = tuple(n // FOLD for n in full)
    place = functional.interpolate(shares[None, 1:], half, mode="trilinear")
    kind = torch.stack([noise / white.abs(), noise / fluid.abs(), white / fluid])
    constant = kind.clamp(-REACH, REACH)[None, :, None, None, None].expand(-1, -1, *half)
    return torch.cat([space_to_depth(voxels[None]), place, constant], dim=1)


def wide_enough(contrast: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """The contrast, but no smaller than a quarter of the noise, so that it can be divided by."""
    sign = torch.where(contrast < 0, -1.0, 1.0)
    return sign * torch.maximum(contrast.abs(), noise / 4)


def first_guess(features: torch.Tensor) -> torch.Tensor:
    """Logarithm of the mixture's chances, folded: (B, 4 * 8, d, h, w)."""
    tissues = features[:, 2 * FULL : (2 + TISSUES) * FULL]
    other = 1 - tissues.unflatten(1, (TISSUES, FULL)).sum(1)
    return torch.cat([other, tissues], dim=1).clamp_min(SURE).log()


def brain_box(shares: torch.Tensor) -> tuple[slice, slice, slice] | None:
    """Coarse voxels (4, d, h, w) that may hold tissue, and a margin; None where there are none."""
    brain = shares[0] < 1 - BRAIN
    if not bool(brain.any()):
        return None
    box = []
    for axis, size in enumerate(brain.shape):
        used = brain.any(dim=(axis + 1) % 3, keepdim=True).any(dim=(axis + 2) % 3, keepdim=True)
        places = used.flatten().nonzero()
        box.append(slice(max(0, int(places[0]) - MARGIN), min(size, int(places[-1]) + 1 + MARGIN)))
    return box[0], box[1], box[2]


def slabs(features: torch.Tensor, halo: int) -> Iterator[tuple[slice, slice]]:
    """Slices along the first axis: what is to be labelled, and what has to be seen for that."""
    depth = features.shape[2]
    count = -(-features[0, 0].numel() * FULL // MOST_VOXELS)
    thickness = -(-depth // (2 * count)) * 2  # the quarter resolution asks for even borders
    for first in range(0, depth, thickness):
        last = min(depth, first + thickness)
        yield slice(first, last), slice(max(0, first - halo), min(depth, last + halo))


def slab_scores(
    network: nn.Module, features: torch.Tensor, slab: slice, inner: slice
) -> torch.Tensor:
    """Scores (4, D, H, W) of the inner slices, from what is seen in the slab."""
    seen = features[:, :, slab].contiguous(memory_format=torch.channels_last_3d)
    scores = network(seen)[0]
    return scores[:, (inner.start - slab.start) * FOLD : (inner.stop - slab.start) * FOLD]
