"""Brain tissue in any contrast: where it lies, how bright it is there, then voxel by voxel.

A network that only sees a part of a head cannot know whether bright is fluid, fat or white matter.
Here a small network guesses where the tissues of the whole head are, another one tells where the
brain ends, an atlas is laid over both, and the scan's own contrast is measured where the atlas
says. A last network, which sees the scan in terms of that contrast, labels the voxels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from MedEnhanceLib.engine.networks.brain_unet import BrainUNet
from MedEnhanceLib.engine.networks.folding import (
    FOLD,
    ResidualBlock,
    depth_to_space,
    slices_together,
    space_to_depth,
    start_at_zero,
)
from MedEnhanceLib.engine.networks.tissue_atlas import (
    CLASSES,
    TissueAtlas,
    brain_odds,
    seen_shares,
)
from MedEnhanceLib.engine.networks.tissue_guess import TissueGuessUNet, far_padding
from MedEnhanceLib.engine.networks.tissue_statistics import (
    TissueFit,
    at_voxels,
    fit_tissues,
    floored,
    posterior,
)

COARSE = 4
"""Voxels along each axis that are averaged for the atlas, which has voxels of 4 mm."""
COARSER = 2
"""So many of those again, 8 mm, for the network that guesses."""
TISSUES = 3
FLUID, GREY, WHITE = range(TISSUES)
FULL = FOLD**3
FEATURES = (2 + TISSUES) * FULL + 2 * TISSUES + 3
"""Channels of what the second network sees, at half resolution."""
BRAIN = 0.3
"""Share of tissue in the atlas where the brain begins."""
MARGIN = 2
"""Coarse voxels around it that are looked at as well."""
REACH = 3.0
SURE = 0.01
"""Chance that the mixture of Gaussians is never denied."""
LEAST_GUESS = 0.01
"""Share of each tissue that counts where there is brain, and none was guessed."""
CERTAIN = 12.0
"""Score of air and else, those of tissue being 0, where nothing is like a brain."""
MOST_VOXELS = 6_000_000
"""The second network works on slabs of no more than this, beside their halo."""

SAMPLE_EDGE = 16
"""At half resolution."""

Box = tuple[slice, slice, slice]


class TissueNet(nn.Module):
    """Scores of air and else, fluid, grey and white matter: (B, 1, D, H, W) -> (B, 4, D, H, W).

    Axes run up, forward and right with voxels of 1 mm; air is zero, and the scale of the
    intensities does not matter. To train the second network, features of patches (B, FEATURES,
    D/2, H/2, W/2) may be given instead of scans.

    Args:
        guess: widths of the levels of the network that guesses, at 8 mm.
        brain: of the one that tells where the brain ends, at 4 mm.
        width: of the network that labels voxels, at half resolution.
        wider: its width at a quarter.
        blocks: its residual blocks at half and at a quarter of the resolution.
    """

    needs_whole_volume = True
    """A part of a head does not tell where it is in the head."""

    def __init__(
        self,
        guess: Sequence[int],
        brain: Sequence[int],
        width: int,
        wider: int,
        blocks: Sequence[int],
    ) -> None:
        super().__init__()
        self.guess = TissueGuessUNet(CLASSES, guess)
        self.brain = BrainUNet(brain)
        self.atlas = TissueAtlas()
        self.fine = TissueFineNet(width, wider, blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[1] == FEATURES:
            scores: torch.Tensor = self.fine(x)
            return scores
        return torch.stack([self._scores(image.float()) for image in x[:, 0]])

    def precision_sample(self, generator: torch.Generator) -> torch.Tensor:
        """A small input of the network that does most of the work, to try number formats on."""
        features = torch.rand(1, FEATURES, *[SAMPLE_EDGE] * 3, generator=generator)
        features[:, 2 * FULL : (2 + TISSUES) * FULL] /= TISSUES  # chances that sum to less than one
        return features

    def _scores(self, image: torch.Tensor) -> torch.Tensor:
        """Scores (4, D, H, W) of one scan (D, H, W)."""
        size = image.shape
        image = functional.pad(image, far_padding(size, COARSE * COARSER))
        scores = image.new_zeros((CLASSES, *image.shape))
        scores[0] = CERTAIN
        with torch.autocast(image.device.type, enabled=False):
            places = self.places(image)
        box = brain_box(places.atlas)
        if box is not None:
            fine = tuple(slice(s.start * COARSE, s.stop * COARSE) for s in box)
            scores[:, fine[0], fine[1], fine[2]] = self._scores_within(
                image[fine], places.within(box)
            )
        return scores[:, : size[0], : size[1], : size[2]]

    def _scores_within(self, image: torch.Tensor, places: Places) -> torch.Tensor:
        """Scores (4, D, H, W) of the part of a scan (D, H, W) that holds the brain."""
        with torch.autocast(image.device.type, enabled=False):
            features = self.features(image, places)
        scores = image.new_empty((CLASSES, *image.shape))
        for inner, slab in slabs(features, self.fine.halo // FOLD):
            full = slice(inner.start * FOLD, inner.stop * FOLD)
            scores[:, full] = slab_scores(self.fine, features, slab, inner)
        # The second network, which sees a part only, hears where no brain was guessed.
        scores[0] += at_voxels(-places.odds.clamp_max(0)[None], image.shape)[0]
        return scores

    def places(self, image: torch.Tensor) -> Places:
        """Roughly, where in a scan (D, H, W) which tissue is; sizes are multiples of 8."""
        half = functional.avg_pool3d(image[None], COARSE // 2)[0]
        chance = self.brain_chance(half)
        guess = within_brain(guessed_shares(self.guess, half), chance)
        odds = brain_odds(half, chance)
        atlas = self.atlas.laid_over(half, guess, odds)
        return Places(atlas, seen_shares(half, atlas, rounds=20), odds)

    def brain_chance(self, half: torch.Tensor) -> torch.Tensor:
        """Chance of brain at 4 mm (d, h, w) in a scan with voxels of 2 mm (2d, 2h, 2w)."""
        coarse = functional.avg_pool3d(half[None], COARSE // 2)
        chance: torch.Tensor = self.brain(levelled(coarse)[None])[0, 0].sigmoid()
        return chance

    def features(self, image: torch.Tensor, places: Places) -> torch.Tensor:
        """What the second network sees: (1, FEATURES, D/2, H/2, W/2)."""
        image, fit = own_contrast(image, places)
        return contrast_free(image, places, fit)


@dataclass(frozen=True)
class Places:
    """Shares of the classes (4, D/4, H/4, W/4) in a scan (D, H, W).

    Attributes:
        atlas: as the atlas has them that was laid over the scan.
        seen: as they follow from that and the scan's own contrast.
        odds: logarithm of the odds of brain without the atlas, (D/4, H/4, W/4).
    """

    atlas: torch.Tensor
    seen: torch.Tensor
    odds: torch.Tensor

    def within(self, box: Box) -> Places:
        """Those of a part of the scan."""
        atlas, seen = (part[:, box[0], box[1], box[2]] for part in (self.atlas, self.seen))
        return Places(atlas, seen, self.odds[box])


class TissueFineNet(nn.Module):
    """Scores at full resolution from features at half: (B, F, d, h, w) -> (B, 4, 2d, 2h, 2w).

    It starts as the mixture of Gaussians with the shares by place, and learns to do better:
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
        start_at_zero(self.tail)
        at_half, at_quarter = 2 + 2 * blocks[0], 1 + 2 * blocks[1]
        reach = FOLD * at_half + 2 * FOLD * (at_quarter + 1)
        self.halo = -(-reach // (2 * FOLD)) * 2 * FOLD
        """Voxels on each side that may influence an output voxel, in whole coarse ones."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        level = functional.relu(self.head(features))
        low = functional.relu(self.down(level))
        level = level + functional.interpolate(self.up(self.low(low)), scale_factor=2.0)
        return depth_to_space(self.tail(self.body(level)) + first_guess(features))


def guessed_shares(network: nn.Module, half: torch.Tensor) -> torch.Tensor:
    """Shares (4, d, h, w) at 8 mm of a scan with voxels of 2 mm, (4d, 4h, 4w)."""
    coarse = functional.avg_pool3d(half[None], COARSE // 2 * COARSER)
    shares: torch.Tensor = network(levelled(coarse)[None])[0].softmax(0)
    return shares


def within_brain(guess: torch.Tensor, chance: torch.Tensor) -> torch.Tensor:
    """Guessed shares at 8 mm (4, d, h, w) with as much tissue as there is chance of brain.

    Where a scan is noisy or cut, the guess sees tissue outside of the brain, and the atlas would
    follow it; the chance at 4 mm (2d, 2h, 2w) is of a network that looks for nothing else.
    """
    brain = functional.avg_pool3d(chance[None], COARSER)
    tissues = guess[1:] + LEAST_GUESS
    tissues = tissues * (brain / tissues.sum(0))
    return torch.cat([1 - brain, tissues])


def levelled(scan: torch.Tensor) -> torch.Tensor:
    """A scan over the mean of what is not air."""
    inside = scan > 0
    return scan * (inside.sum() / scan.sum().clamp_min(1e-9))


def own_contrast(image: torch.Tensor, places: Places) -> tuple[torch.Tensor, TissueFit]:
    """A scan (D, H, W) without the coil's shading, and how bright its tissues are then."""
    fit, field = fit_tissues(image, places.seen, step=3, rounds=6)
    return image / field, fit


def contrast_free(image: torch.Tensor, places: Places, fit: TissueFit) -> torch.Tensor:
    """A scan in terms of its own contrast, (1, FEATURES, D/2, H/2, W/2), channels side by side.

    Channels: brightness between grey and white matter and between fluid and grey matter, and the
    mixture's chance of each tissue, folded; shares by place, as seen and in the atlas; noise over
    contrast, and how the two contrasts are to each other.
    """
    half = [n // FOLD for n in image.shape]
    features = torch.empty(
        (1, FEATURES, *half), device=image.device, memory_format=torch.channels_last_3d
    )
    noise = fit.spreads[[GREY, WHITE]].mean()
    white = wide_enough(fit.means[WHITE] - fit.means[GREY], noise)
    fluid = wide_enough(fit.means[GREY] - fit.means[FLUID], noise)
    prior = at_voxels(floored(places.seen), image.shape)
    # Nothing of full resolution is held longer than it takes to fold it.
    thickness = slices_together(image)
    for start in range(0, half[0], thickness // FOLD):
        part = slice(FOLD * start, FOLD * start + thickness)
        seen = image[part]
        told = [
            ((seen - fit.means[GREY]) / white).clamp_(-REACH, REACH),
            ((seen - fit.means[FLUID]) / fluid).clamp_(-REACH, REACH),
            *posterior(seen, prior[:, part], fit)[1:],
        ]
        folded = space_to_depth(torch.stack(told)[None])
        features[:, : len(told) * FULL, start : start + thickness // FOLD] = folded
    known = torch.cat([places.seen[1:], places.atlas[1:]])
    features[:, -2 * TISSUES - 3 : -3] = at_voxels(known, half)
    kind = torch.stack([noise / white.abs(), noise / fluid.abs(), white / fluid])
    features[:, -3:] = kind.clamp(-REACH, REACH)[:, None, None, None]
    return features


def wide_enough(contrast: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """The contrast, but no smaller than a quarter of the noise, so that it can be divided by."""
    sign = torch.where(contrast < 0, -1.0, 1.0)
    return sign * torch.maximum(contrast.abs(), noise / 4)


def first_guess(features: torch.Tensor) -> torch.Tensor:
    """Logarithm of the mixture's chances, folded: (B, 4 * 8, d, h, w)."""
    # Of channels that lie side by side, as they do on a CPU: three times as fast in this order.
    tissues = features[:, 2 * FULL : (2 + TISSUES) * FULL].movedim(1, -1)
    fluid, grey, white = tissues.split(FULL, dim=-1)
    chances = torch.cat([1 - fluid - grey - white, tissues], dim=-1)
    return chances.clamp_min(SURE).log().movedim(-1, 1)


def brain_box(shares: torch.Tensor) -> Box | None:
    """Coarse voxels that hold tissue in shares (4, d, h, w), and a margin; None where none do."""
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
    scores = network(features[:, :, slab])[0]
    return scores[:, (inner.start - slab.start) * FOLD : (inner.stop - slab.start) * FOLD]
