"""Teaching a network to label the hippocampus in crops of T1-weighted scans.

Axes are (k, j, i), as numpy reads a scan in RAS orientation: up, forward, right.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from monai.losses import DiceCELoss
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from MedEnhanceLib.intensity import zscore_scaling
from MedEnhanceLib.quality.segmentation_metrics import dice
from training.data import FloatArray, Part, read_image, read_splits, scan_file
from training.patches import rotation
from training.recipe import Batch, Config

LABELS = {1: "anterior", 2: "posterior"}
MULTIPLE = 4
"""Voxels along an axis are a multiple of it, as the network halves them twice."""
ROTATION, SHEAR, ZOOM = 0.25, 0.08, 0.15
"""Spread of the random affine map: radians, and shares of length."""
PLANES = ((1, 2), (0, 2), (0, 1))
"""Rotations are about x, y and z."""
BENDING, BEND_POINTS = 1.5, 5
"""Spread in voxels of random shifts at so many points along each axis; smooth in between."""


@dataclass(frozen=True)
class Case:
    """One crop: normalised image and labels (k, j, i) at 1 mm in RAS orientation."""

    name: str
    image: FloatArray
    labels: NDArray[np.uint8]


class Segmentation:
    """Crops turned, stretched, mirrored left to right and recoloured at random."""

    def __init__(self, config: Config, data: Path) -> None:
        self.batch_size = int(config["batch"])
        self.patch = tuple(config["patch"])
        self.training = hippocampus_cases(data, "training")
        self.validation = hippocampus_cases(data, "validation")
        self.criterion = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True)

    def prepare(self, network: torch.nn.Module) -> None:
        """Nothing to do before the first step."""

    def batch(self, rng: np.random.Generator) -> Batch:
        pairs = [self._sample(rng) for _ in range(self.batch_size)]
        images, labels = (torch.cat(part) for part in zip(*pairs, strict=True))
        return Batch(images, labels, torch.ones(()))

    def _sample(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        case = self.training[rng.integers(len(self.training))]
        image = torch.from_numpy(random_look(case.image, rng))[None, None]
        labels = torch.from_numpy(case.labels.astype(np.float32))[None, None]
        grid = random_affine_grid(case.image.shape, self.patch, rng)
        grid += random_bending(case.image.shape, self.patch, rng)
        return (
            functional.grid_sample(image, grid, "bilinear", "border", align_corners=False),
            functional.grid_sample(labels, grid, "nearest", "border", align_corners=False),
        )

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Soft Dice of the two labels plus cross-entropy."""
        loss: torch.Tensor = self.criterion(output, batch.target)
        return loss

    def validate(self, network: torch.nn.Module) -> dict[str, float]:
        """Mean Dice of each label over the validation subjects."""
        table = dice_table(network, self.validation)
        measures = {
            f"dice_{name}": float(np.mean([row[value] for row in table.values()]))
            for value, name in LABELS.items()
        }
        measures["score"] = float(np.mean(list(measures.values())))
        return measures


def hippocampus_cases(data: Path, part: Part) -> list[Case]:
    """All crops of one part of the split."""
    return [read_case(data, name) for name in read_splits()["hippocampus"][part]]


def read_case(data: Path, name: str) -> Case:
    """One crop, turned to RAS, z-scored over its nonzero voxels."""
    image, labels = hippocampus_files(data, name)
    return Case(name, zscore_scaling(image).normalise(image), labels)


def hippocampus_files(data: Path, name: str) -> tuple[FloatArray, NDArray[np.uint8]]:
    """Image and labels (k, j, i) of one crop, turned to RAS."""
    image = _read_ras(scan_file(data, f"hippocampus/images/{name}.nii.gz")).astype(np.float32)
    labels = _read_ras(scan_file(data, f"hippocampus/labels/{name}.nii.gz")).astype(np.uint8)
    return image, labels


def _read_ras(path: Path) -> NDArray[np.generic]:
    # SimpleITK names the direction that each axis points to; RAS here is NIfTI's RAS+.
    turned = sitk.DICOMOrient(read_image(path), "RAS")
    return sitk.GetArrayFromImage(turned)


def random_look(image: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Another scanner: gamma, brightness, blur, noise; each with probability one half or less."""
    low, high = (np.float32(v) for v in np.percentile(image, [0.5, 99.5]))
    if rng.random() < 0.5:
        share = np.clip((image - low) / (high - low), 0, 1.5)
        image = low + (high - low) * share ** np.float32(np.exp(rng.normal(0, 0.25)))
    if rng.random() < 0.5:
        image = image * np.float32(np.exp(rng.normal(0, 0.1))) + np.float32(rng.normal(0, 0.1))
    if rng.random() < 0.25:
        image = ndimage.gaussian_filter(image, rng.uniform(0.3, 0.9))
    if rng.random() < 0.4:
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        image = image + noise * np.float32(rng.uniform(0.02, 0.3))
    return image


def random_affine_grid(
    shape: tuple[int, ...], patch: tuple[int, ...], rng: np.random.Generator
) -> torch.Tensor:
    """Where in a crop of ``shape`` the voxels of a random patch lie, for ``grid_sample``.

    The patch is centred in the crop up to a few voxels, rotated, sheared, zoomed, and mirrored
    left to right in half of the cases, since the scans hold hippocampi of one side.
    """
    matrix = np.diag(1 + rng.uniform(-ZOOM, ZOOM, 3)) @ rotation(PLANES, ROTATION / 2, rng)
    matrix = matrix + rng.normal(0, SHEAR / 2, (3, 3)) * (1 - np.eye(3))
    if rng.random() < 0.5:
        matrix = matrix @ np.diag([-1.0, 1.0, 1.0])
    sizes = np.array(shape[::-1], dtype=float)  # grid_sample counts x, y, z
    spans = np.array(patch[::-1], dtype=float)
    theta = np.zeros((1, 3, 4), dtype=np.float32)
    theta[0, :, :3] = matrix * spans[None, :] / sizes[:, None]
    theta[0, :, 3] = rng.uniform(-4, 4, 3) * 2 / sizes
    return functional.affine_grid(torch.from_numpy(theta), [1, 1, *patch], align_corners=False)


def random_bending(
    shape: tuple[int, ...], patch: tuple[int, ...], rng: np.random.Generator
) -> torch.Tensor:
    """Smooth random shifts to add to a grid of ``random_affine_grid``: (1, *patch, 3)."""
    strength = rng.uniform(0, BENDING)
    shifts = rng.normal(0, strength, (1, 3, *[BEND_POINTS] * 3)) * 2
    shifts /= np.array(shape[::-1]).reshape(1, 3, 1, 1, 1)
    coarse = torch.from_numpy(shifts.astype(np.float32))
    smooth = functional.interpolate(coarse, patch, mode="trilinear", align_corners=True)
    return smooth.permute(0, 2, 3, 4, 1)


def dice_table(network: torch.nn.Module, cases: list[Case]) -> dict[str, dict[int, float]]:
    """Dice of each label for each case, the whole crop in one pass."""
    return {case.name: label_dice(predict(network, case.image), case.labels) for case in cases}


def predict(network: torch.nn.Module, image: FloatArray) -> NDArray[np.int64]:
    """Labels (k, j, i) of a crop, padded at its far ends to what the network can halve."""
    padding = [(0, -n % MULTIPLE) for n in image.shape]
    padded = torch.from_numpy(np.pad(image, padding, mode="edge"))[None, None]
    with torch.inference_mode():
        scores = network(padded)[0]
    labels: NDArray[np.int64] = scores.argmax(0).numpy()
    return labels[tuple(slice(0, n) for n in image.shape)]


def label_dice(found: NDArray[np.integer], expert: NDArray[np.uint8]) -> dict[int, float]:
    """Dice of each label."""
    return {value: dice(expert == value, found == value) for value in LABELS}
