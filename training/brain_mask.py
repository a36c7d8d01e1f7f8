"""Teaching where the brain ends: in painted heads, and in scans in which HD-BET found it.

The network sees whole heads in voxels of 4 mm. Painted heads show it any contrast, scans what no
painter thinks of: bone and fluid that are both dark, crowns that were cut off, slices of 4 mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from MedEnhanceLib.engine.networks import BrainUNet
from MedEnhanceLib.engine.networks.tissue_net import levelled
from training.brain_scans import BrainScan, brain_scans
from training.recipe import Batch, Config
from training.synthetic_contrast import Painter, acquired, shading
from training.tissue_guess import VALIDATION_STYLES, soft_dice
from training.tissue_heads import Head, field_of_view, heads_of, warped_places
from training.tissue_maps import read_table
from training.weights import read_weights

FOLD = 2
"""Heads are made on a finer grid and averaged over so many voxels, for partial volumes."""
SCANNED_MM = 2.0
LEAST_VIEW = 0.55
RECOLOURED = 0.3
"""Share of the scans whose brightness is bent, at times so far that dark becomes bright."""
CURVE_POINTS = 6
VIEW_STEP = 8
"""Sizes of views are multiples of it, as the network's levels are."""
BLOCK = 8
"""Voxels of 4 mm that the network takes together."""
FIRST, LAST = "head.0.0.weight", ("scores.weight", "scores.bias")
"""Weights that see voxels, and those that give scores."""
Sample = tuple[torch.Tensor, torch.Tensor]


class BrainMask:
    """Whole heads on a coarse grid; every other one was scanned."""

    def __init__(self, config: Config, data: Path) -> None:
        self.batch_size = int(config["batch"])
        self.patch = [int(n) for n in config["patch"]]
        self.views = list(zip(config["least_view"], config["largest_view"], strict=True))
        self.fine_mm = config["spacing_mm"] / FOLD
        self.guess, masks = Path(config["guess"]), Path(config["masks"])
        table = read_table()
        self.paint = Painter(table, self.fine_mm)
        self.painted = heads_of(data, "training", table)
        self.scanned = brain_scans(data, "training", masks)
        self.held_back = heads_of(data, "validation", table)
        self.scans_held_back = brain_scans(data, "validation", masks)
        self._checks: list[Sample] = []

    def prepare(self, network: torch.nn.Module) -> None:
        """Start from the network that guesses tissues, which sees blocks of voxels as one."""
        assert isinstance(network, BrainUNet)
        weights = read_weights(self.guess)
        weights[FIRST] = weights[FIRST].repeat(1, BLOCK, 1, 1, 1) / BLOCK
        for name in LAST:
            brain = weights[name][1:].mean(0, keepdim=True) - weights[name][:1]
            weights[name] = brain.repeat_interleave(BLOCK, 0)
        network.body.load_state_dict(weights)

    def batch(self, rng: np.random.Generator) -> Batch:
        # What normalises over all that it sees must not get used to one share of air around.
        view = [
            VIEW_STEP * int(rng.integers(a // VIEW_STEP, b // VIEW_STEP + 1)) for a, b in self.views
        ]
        samples = []
        for number in range(self.batch_size):
            if number % 2:
                scan = self.scanned[rng.integers(len(self.scanned))]
                samples.append(self._scanned(scan, view, rng))
            else:
                head = self.painted[rng.integers(len(self.painted))]
                samples.append(self._painted(head, view, rng))
        images, brains = (torch.stack(part) for part in zip(*samples, strict=True))
        return Batch(images, brains, torch.ones(()))

    def _painted(
        self, head: Head, view: Sequence[int], rng: np.random.Generator, style: str | None = None
    ) -> Sample:
        """What the network sees (1, k, j, i), and the share of brain (1, k, j, i)."""
        rows = head.warped([n * FOLD for n in view], self.fine_mm, rng)
        image, tissues = self.paint(rows, rng, style)
        return self._seen(image, (tissues > 0).float(), rng)

    def _scanned(self, scan: BrainScan, view: Sequence[int], rng: np.random.Generator) -> Sample:
        shape = [n * FOLD for n in view]
        places = warped_places(middle_of(scan.brain), shape, self.fine_mm, rng)
        image, brain = sampled(torch.stack([scan.image, scan.brain]), places / SCANNED_MM)
        if rng.random() < RECOLOURED:
            image = recoloured(image, rng)
        image = acquired(image * shading(image.shape, rng), rng, self.fine_mm)
        return self._seen(image, brain, rng)

    def _seen(self, image: torch.Tensor, brain: torch.Tensor, rng: np.random.Generator) -> Sample:
        """Of a field of view that may be cut, in coarse voxels."""
        inside = field_of_view(image.shape, LEAST_VIEW, rng)
        image, brain = (
            functional.avg_pool3d((part * inside)[None], FOLD) for part in (image, brain)
        )
        return levelled(image), brain

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Cross-entropy with the shares, and soft Dice."""
        entropy = functional.binary_cross_entropy_with_logits(output, batch.target)
        return entropy + 1 - soft_dice(output.sigmoid(), batch.target).mean()

    def validate(self, network: torch.nn.Module) -> dict[str, float]:
        """Soft Dice of painted heads and of scans, the same ones every time."""
        if not self._checks:
            rng = np.random.default_rng(7)
            self._checks = [
                self._painted(head, self.patch, rng, style)
                for style in VALIDATION_STYLES
                for head in self.held_back
            ]
            self._checks += [as_scanned(scan) for scan in self.scans_held_back]
        with torch.inference_mode():
            scores = [
                float(soft_dice(network(seen[None]).sigmoid(), brain[None]))
                for seen, brain in self._checks
            ]
        count = len(scores) - len(self.scans_held_back)
        painted, scanned = float(np.mean(scores[:count])), float(np.mean(scores[count:]))
        return {"painted": painted, "scanned": scanned, "score": (painted + scanned) / 2}


def as_scanned(scan: BrainScan) -> Sample:
    """A scan and its share of brain in coarse voxels, nothing changed."""
    image, brain = (functional.avg_pool3d(part[None], FOLD) for part in (scan.image, scan.brain))
    return levelled(image), brain


def middle_of(brain: torch.Tensor) -> list[float]:
    """Middle of the box around a brain (k, j, i), in mm."""
    places = (brain > 0).nonzero()
    middle = (places.amin(0) + places.amax(0)) / 2 * SCANNED_MM
    return [float(n) for n in middle]


def sampled(volumes: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Volumes (C, K, J, I) at places (3, k, j, i) in voxels, linearly; 0 beyond their borders."""
    size = torch.tensor(volumes.shape[1:], dtype=torch.float32)[:, None, None, None]
    where = (2 * places + 1) / size - 1
    grid = where.flip(0).permute(1, 2, 3, 0)[None]
    return functional.grid_sample(volumes[None], grid, align_corners=False)[0]


def recoloured(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """An image (k, j, i) of peak 1 with other brightness; air stays dark."""
    values = np.concatenate([[0.0], rng.uniform(0, 1, CURVE_POINTS - 1)])
    position = image.clamp(0, 1) * (CURVE_POINTS - 1)
    low = position.long().clamp_max(CURVE_POINTS - 2)
    curve = torch.from_numpy(values.astype(np.float32))
    return curve[low] + (position - low) * (curve[low + 1] - curve[low])
