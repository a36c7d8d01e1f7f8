"""Teaching the second part of the brain tissue model: labels voxel by voxel, in any contrast.

Whole heads are painted, the first part places the tissues in them and measures their contrast,
and the second part learns on patches in terms of that contrast.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from monai.losses import DiceCELoss
from torch.nn import functional

from MedEnhanceLib.engine.networks import TissueNet
from MedEnhanceLib.engine.networks.tissue_net import (
    COARSE,
    Box,
    brain_box,
    contrast_free,
    own_contrast,
)
from training.recipe import Batch, Config
from training.synthetic_contrast import Painter
from training.tissue_guess import VALIDATION_STYLES, soft_dice
from training.tissue_heads import Head, field_of_view, heads_of
from training.tissue_maps import TISSUES, read_table, tissue_dice
from training.weights import start_from

PATCHES = 16
"""Cut from every head, since painting one takes longer than learning from a patch."""
POOL = 5 * PATCHES
"""Patches that wait, so that a batch is of different heads."""
LEAST_VIEW = 0.6
MOST_TRIES = 40
LEAST_PLACED = 0.5
"""Soft Dice on the coarse grid below which a tissue was mistaken for another."""
Sample = tuple[torch.Tensor, torch.Tensor]


class BrainTissue:
    """Patches of whole heads, each head with a shape and a contrast of its own."""

    def __init__(self, config: Config, data: Path) -> None:
        self.batch_size = int(config["batch"])
        self.patch = [int(n) for n in config["patch"]]
        self.head_shape = [int(n) for n in config["head"]]
        self.parts = {name: Path(config[name]) for name in ("guess", "brain", "atlas")}
        table = read_table()
        self.paint = Painter(table)
        self.training = heads_of(data, "training", table)
        self.validation = heads_of(data, "validation", table)
        self.criterion = DiceCELoss(
            include_background=False, to_onehot_y=True, softmax=True, batch=True
        )
        self._ready: list[Sample] = []
        self._checks: list[Sample] = []

    def prepare(self, network: torch.nn.Module) -> None:
        """Give the network its trained first parts."""
        assert isinstance(network, TissueNet)
        for name, path in self.parts.items():
            start_from(getattr(network, name), path)

    def use(self, network: torch.nn.Module) -> None:
        """Its first parts make the features, and stay as they are."""
        assert isinstance(network, TissueNet)
        self.network = network
        network.guess.requires_grad_(False)
        network.brain.requires_grad_(False)

    def batch(self, rng: np.random.Generator) -> Batch:
        tries = 0
        while len(self._ready) < POOL:
            head = self.training[rng.integers(len(self.training))]
            self._ready += self._patches(head, rng, PATCHES)
            tries += 1
            if tries > MOST_TRIES:
                raise SystemExit(
                    f"In {tries} heads tissue was misplaced; train the first parts more."
                )
        chosen = [self._ready.pop(rng.integers(len(self._ready))) for _ in range(self.batch_size)]
        features, tissues = (torch.stack(part) for part in zip(*chosen, strict=True))
        return Batch(features, tissues, torch.ones(()))

    @torch.no_grad()
    def _patches(
        self, head: Head, rng: np.random.Generator, count: int, style: str | None = None
    ) -> list[Sample]:
        """Features (F, k/2, j/2, i/2) and tissues (1, k, j, i) of patches of one painted head.

        None of a training head in which the first parts mistook one tissue for another: nothing is
        to be learned from features that say the opposite.
        """
        image, tissues = self.paint(head.warped(self.head_shape, 1, rng), rng, style)
        inside = field_of_view(image.shape, LEAST_VIEW, rng)
        image, tissues = image * inside, tissues * inside.to(torch.int64)
        places = self.network.places(image)
        box = brain_box(places.atlas)
        is_check = style is not None
        if box is None or not (is_check or is_placed(places.seen, tissues)):
            return []
        places = places.within(box)
        whole = tuple(slice(side.start * COARSE, side.stop * COARSE) for side in box)
        image, tissues = image[whole], tissues[whole]
        image, fit = own_contrast(image, places)
        samples = []
        for _ in range(count):
            coarse = random_box(places.seen.shape[1:], [n // COARSE for n in self.patch], rng)
            fine = tuple(slice(side.start * COARSE, side.stop * COARSE) for side in coarse)
            features = contrast_free(image[fine], places.within(coarse), fit)
            samples.append((features[0], tissues[fine][None]))
        return samples

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Soft Dice of the three tissues plus cross-entropy."""
        loss: torch.Tensor = self.criterion(output, batch.target)
        return loss

    def validate(self, network: torch.nn.Module) -> dict[str, float]:
        """Dice of each tissue over the same few patches of the validation heads every time."""
        if not self._checks:
            rng = np.random.default_rng(7)
            self._checks = [
                sample
                for number, style in enumerate(VALIDATION_STYLES)
                for sample in self._patches(
                    self.validation[number % len(self.validation)], rng, 4, style
                )
            ]
        scores = [
            tissue_dice(predict(network, features).numpy(), target[0].numpy())
            for features, target in self._checks
        ]
        measures = {
            f"dice_{name}": float(np.mean([s[value] for s in scores]))
            for value, name in TISSUES.items()
        }
        measures["score"] = float(np.mean(list(measures.values())))
        return measures


def is_placed(shares: torch.Tensor, tissues: torch.Tensor) -> bool:
    """Whether each tissue (k, j, i) that is there is roughly where the shares put it."""
    masks = torch.stack([(tissues == value).float() for value in TISSUES])
    truth = functional.avg_pool3d(masks, COARSE)
    return bool(soft_dice(shares[None, 1:], truth[None]).min() > LEAST_PLACED)


def random_box(shape: Sequence[int], patch: Sequence[int], rng: np.random.Generator) -> Box:
    """A patch anywhere inside; no larger than the shape."""
    box = []
    for size, wanted in zip(shape, patch, strict=True):
        span = min(size, wanted)
        start = int(rng.integers(0, size - span + 1))
        box.append(slice(start, start + span))
    return box[0], box[1], box[2]


def predict(network: torch.nn.Module, features: torch.Tensor) -> torch.Tensor:
    """Likeliest class (k, j, i) of the features of a patch."""
    with torch.inference_mode():
        scores: torch.Tensor = network(features[None])
    return scores[0].argmax(0)
