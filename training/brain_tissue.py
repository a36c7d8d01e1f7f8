"""Teaching a network to label brain tissue in MR of any contrast, from label maps alone.

Axes are (k, j, i), as numpy reads a scan in RAS orientation: up, forward, right.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from monai.losses import DiceCELoss
from numpy.typing import NDArray
from torch.nn import functional

from training.recipe import Batch, Config
from training.synthetic_contrast import Painter
from training.tissue_maps import TISSUES, TissueMap, read_table, tissue_maps

ROTATION, SHEAR, ZOOM = 0.15, 0.05, 0.15
"""Spread of the random affine map: radians, and shares of length."""
BEND, BEND_GRID = 2.0, 6
"""Spread of the elastic displacement in voxels, and the points of its grid along a patch."""
CENTRES = 20_000
"""Points of the brain that patches are cut around; a sixth as many lie anywhere in the head."""
VALIDATION_STYLES = ("T1", "T2", "FLAIR", "phantom")


class BrainTissue:
    """Random patches of warped label maps, each painted in a contrast of its own."""

    def __init__(self, config: Config, data: Path) -> None:
        self.batch_size = int(config["batch"])
        self.patch = tuple(config["patch"])
        table = read_table()
        self.paint = Painter(table)
        self.training = [Head(m, table.tissues) for m in tissue_maps(data, "training", table)]
        self.validation = [Head(m, table.tissues) for m in tissue_maps(data, "validation", table)]
        self.criterion = DiceCELoss(
            include_background=False, to_onehot_y=True, softmax=True, batch=True
        )
        self._checks: list[tuple[torch.Tensor, torch.Tensor]] = []

    def prepare(self, network: torch.nn.Module) -> None:
        """Nothing to do before the first step."""

    def batch(self, rng: np.random.Generator) -> Batch:
        samples = [self._sample(self.training, rng) for _ in range(self.batch_size)]
        images, tissues = (torch.stack(part) for part in zip(*samples, strict=True))
        return Batch(images, tissues, torch.ones(()))

    def _sample(
        self, heads: list[Head], rng: np.random.Generator, style: str | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised image and tissues, both (1, k, j, i)."""
        head = heads[rng.integers(len(heads))]
        rows = head.warped_patch(self.patch, rng)
        image, tissues = self.paint(rows, rng, style)
        return normalised(image, rng)[None], tissues[None]

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Soft Dice of the three tissues plus cross-entropy."""
        loss: torch.Tensor = self.criterion(output, batch.target)
        return loss

    def validate(self, network: torch.nn.Module) -> dict[str, float]:
        """Dice of each tissue over the same few patches of the validation heads every time."""
        if not self._checks:
            rng = np.random.default_rng(7)
            self._checks = [
                self._sample([head], rng, style)
                for head in self.validation
                for style in VALIDATION_STYLES
            ]
        scores = [dice(predict(network, image), target) for image, target in self._checks]
        measures = {
            f"dice_{name}": float(np.mean([s[value] for s in scores]))
            for value, name in TISSUES.items()
        }
        measures["score"] = float(np.mean(list(measures.values())))
        return measures


class Head:
    """A label map from which warped patches are cut."""

    def __init__(self, source: TissueMap, tissues: NDArray[np.uint8]) -> None:
        self.rows = torch.from_numpy(source.rows)
        rng = np.random.default_rng(0)
        brain, head = np.flatnonzero(tissues[source.rows]), np.flatnonzero(source.rows)
        some = np.concatenate([rng.choice(brain, CENTRES), rng.choice(head, CENTRES // 6)])
        self.centres = np.stack(np.unravel_index(some, source.rows.shape), axis=1)

    def warped_patch(self, patch: tuple[int, ...], rng: np.random.Generator) -> torch.Tensor:
        """Rows of the table (k, j, i) around a random point, air beyond the map."""
        centre = self.centres[rng.integers(len(self.centres))]
        places = torch.from_numpy(centre + rng.uniform(-8, 8, 3)).float()
        # Offsets (3, k, j, i) from the centre, bent, turned and stretched.
        axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in patch]
        bend = rng.normal(0, rng.uniform(0, BEND), (1, 3, *[BEND_GRID] * 3)).astype(np.float32)
        offsets = functional.interpolate(
            torch.from_numpy(bend), patch, mode="trilinear", align_corners=True
        )[0]
        matrix = torch.from_numpy(random_matrix(rng)).float()
        for row in range(3):
            for column, axis in enumerate(axes):
                shape = [1, 1, 1]
                shape[column] = -1
                offsets[row] += matrix[row, column] * axis.reshape(shape)
            offsets[row] += places[row]
        return nearest(self.rows, offsets)


def random_matrix(rng: np.random.Generator) -> NDArray[np.float64]:
    """A random affine map of (k, j, i): zoom, rotation, shear, half of them mirrored sideways."""
    matrix = np.eye(3) * (1 + rng.uniform(-ZOOM, ZOOM)) + np.diag(rng.normal(0, ZOOM / 3, 3))
    for first, second in ((0, 1), (0, 2), (1, 2)):
        angle = rng.normal(0, ROTATION)
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    matrix += rng.normal(0, SHEAR, (3, 3)) * (1 - np.eye(3))
    return matrix @ np.diag([1, 1, -1 if rng.random() < 0.5 else 1])


def nearest(rows: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Values (int64) of a map at places (3, k, j, i) in voxels; 0 beyond its borders."""
    index = torch.zeros(places.shape[1:], dtype=torch.int64)
    inside = torch.ones(places.shape[1:], dtype=torch.bool)
    for axis, size in enumerate(rows.shape):
        whole = places[axis].round_().to(torch.int64)
        inside &= (whole >= 0) & (whole < size)
        index = index * size + whole.clamp_(0, size - 1)
    return torch.where(inside, rows.reshape(-1)[index].to(torch.int64), 0)


def normalised(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Z-scored over nonzero voxels, a little off, as a whole scan differs from its patches."""
    inside = image[image > 0]
    mean, spread = (float(inside.mean()), float(inside.std())) if len(inside) > 1 else (0.0, 1.0)
    scale = float(np.exp(rng.normal(0, 0.15)))
    return (image - mean) / max(spread, 1e-3) * scale + float(rng.normal(0, 0.2))


def predict(network: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
    """Likeliest class (k, j, i) of a normalised patch (1, k, j, i)."""
    device = next(network.parameters()).device
    with torch.inference_mode():
        scores: torch.Tensor = network(image[None].to(device))
    return scores[0].argmax(0).cpu()


def dice(found: torch.Tensor, truth: torch.Tensor) -> dict[int, float]:
    """Dice of each tissue: 2 |A and B| / (|A| + |B|)."""
    truth = truth.reshape(found.shape)
    scores = {}
    for value in TISSUES:
        ours, theirs = found == value, truth == value
        scores[value] = float(2 * (ours & theirs).sum() / max(1, int(ours.sum() + theirs.sum())))
    return scores
