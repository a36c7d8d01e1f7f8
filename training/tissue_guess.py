"""Teaching the first part of the brain tissue model: roughly, where in a head lies which tissue.

It sees whole heads in ever new contrasts, in voxels of 8 mm.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from MedEnhanceLib.engine.networks.tissue_net import levelled
from training.recipe import Batch, Config
from training.synthetic_contrast import Painter
from training.tissue_heads import Head, field_of_view, heads_of
from training.tissue_maps import TISSUES, read_table

FOLD = 2
"""Heads are painted on a finer grid and averaged over so many voxels, for partial volumes."""
LEAST_VIEW = 0.55
VALIDATION_STYLES = ("T1", "T2", "FLAIR", "phantom")


class TissueGuess:
    """Whole heads on a coarse grid; every shape is painted twice, in two contrasts."""

    def __init__(self, config: Config, data: Path) -> None:
        self.batch_size = int(config["batch"])
        self.patch = tuple(int(n) for n in config["patch"])
        self.painted_mm = config["spacing_mm"] / FOLD
        table = read_table()
        self.paint = Painter(table, self.painted_mm)
        self.training = heads_of(data, "training", table)
        self.validation = heads_of(data, "validation", table)
        self._checks: list[tuple[torch.Tensor, torch.Tensor]] = []

    def prepare(self, network: torch.nn.Module) -> None:
        """Nothing to do before the first step."""

    def batch(self, rng: np.random.Generator) -> Batch:
        samples = []
        for _ in range(self.batch_size // 2):
            rows = self._shape(self.training[rng.integers(len(self.training))], rng)
            samples += [self._look(rows, rng) for _ in range(2)]
        images, shares = (torch.stack(part) for part in zip(*samples, strict=True))
        return Batch(images, shares, torch.ones(()))

    def _shape(self, head: Head, rng: np.random.Generator) -> torch.Tensor:
        return head.warped([n * FOLD for n in self.patch], self.painted_mm, rng)

    def _look(
        self, rows: torch.Tensor, rng: np.random.Generator, style: str | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What the network sees (1, k, j, i), and the share of each class (4, k, j, i)."""
        image, tissues = self.paint(rows, rng, style)
        inside = field_of_view(image.shape, LEAST_VIEW, rng)
        masks = torch.stack([(tissues == v).float() * inside for v in TISSUES])
        shares = functional.avg_pool3d(masks, FOLD)
        scan = levelled(functional.avg_pool3d((image * inside)[None], FOLD))
        return scan, torch.cat([1 - shares.sum(0, keepdim=True), shares])

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Cross-entropy with the shares, and soft Dice of the three tissues."""
        entropy = functional.cross_entropy(output, batch.target)
        return entropy + 1 - soft_dice(output.softmax(1)[:, 1:], batch.target[:, 1:]).mean()

    def validate(self, network: torch.nn.Module) -> dict[str, float]:
        """Soft Dice of each tissue and of each style, over the same heads every time."""
        if not self._checks:
            rng = np.random.default_rng(7)
            shapes = [self._shape(head, rng) for head in self.validation]
            self._checks = [
                self._look(rows, rng, style) for style in VALIDATION_STYLES for rows in shapes
            ]
        with torch.inference_mode():
            scores = torch.cat(
                [
                    soft_dice(network(seen[None]).softmax(1)[:, 1:], shares[None, 1:])
                    for seen, shares in self._checks
                ]
            )
        measures = {f"dice_{n}": float(scores[:, v - 1].mean()) for v, n in TISSUES.items()}
        by_style = scores.mean(1).reshape(len(VALIDATION_STYLES), -1).mean(1).tolist()
        measures |= dict(zip(VALIDATION_STYLES, by_style, strict=True))
        return measures | {"score": float(scores.mean())}


def soft_dice(chance: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Dice of probabilities and shares (B, C, D, H, W), for each of B and C.

    Half-half voxels cannot agree fully by products alone, so the lesser of the two counts.
    """
    overlap = torch.minimum(chance, share).sum((2, 3, 4))
    return (2 * overlap + 1) / (chance.sum((2, 3, 4)) + share.sum((2, 3, 4)) + 1)
