"""Teaching a network to find both hippocampi in a whole head, on images made from label maps.

No real scan is shown: every batch is drawn anew from a head's label map, with random intensities
for each tissue, as in SynthSeg (Billot et al. 2023, doi:10.1016/j.media.2023.102789). Here most
heads are given the order of intensities of T1-weighted scans. Axes are (k, j, i) of RAS
orientation: up, forward, right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray
from torch.nn import functional

from MedEnhanceLib.intensity import zscore_scaling
from training.data import FloatArray, Part, read_splits
from training.recipe import Batch, Config
from training.segmentation import rotation

SIDES = {1: "left", 2: "right"}
HIPPOCAMPUS = 0.60
TISSUES: tuple[tuple[float, tuple[int, ...]], ...] = (
    (0.0, (0,)),
    (HIPPOCAMPUS, (17,)),
    (HIPPOCAMPUS, (53,)),
    (0.58, (18, 26, 54, 58)),  # amygdala, accumbens
    (0.90, (2, 41)),  # white matter
    (0.60, (3, 42)),  # cortex
    (0.18, (4, 5, 14, 15, 24, 30, 43, 44, 62, 72)),  # fluid and vessels
    (0.58, (8, 47)),  # cortex of the cerebellum
    (0.86, (7, 46)),  # its white matter
    (0.72, (10, 49)),  # thalamus
    (0.66, (11, 12, 50, 51)),  # caudate, putamen
    (0.80, (13, 52, 28, 60, 85)),  # pallidum, ventral diencephalon, optic chiasm
    (0.84, (16,)),  # brain stem
    (0.75, (25, 57, 136, 137, 163, 164)),  # white matter and cortex that look unlike the rest
    (0.65, (502, 507, 511, 512, 530)),  # neck, soft tissue, skin
    (0.12, (515,)),  # compact bone
    (0.45, (516,)),  # marrow
    (0.25, (514, 506, 508, 509)),  # meninges, eyes, sinuses
)
"""Mean intensity in a T1-weighted scan, and FreeSurfer's (and, from 500 on, SynthSeg's) labels."""
FIRST_OUTER = 14
"""From this tissue on, it lies outside of the brain."""
FINE = 2
"""Images are drawn on voxels of half the spacing, and averaged: edges become partial volumes."""
STRETCH, TURN, BEND_MM, SHIFT_MM = 0.1, 0.14, 3.0, 16.0
"""Spread of the random maps: share of length, radians, millimetres."""


@dataclass(frozen=True)
class Head:
    """Tissues (k, j, i) of a head at 1 mm, as numbers of rows in `TISSUES`, and where to look."""

    name: str
    tissues: torch.Tensor
    middle: NDArray[np.float64]
    """Between the hippocampi: index (k, j, i)."""


class Finding:
    """Heads turned, bent, mirrored, recoloured, stripped and cut at random."""

    def __init__(self, config: Config, data: Path) -> None:
        self.batch_size = int(config["batch"])
        self.patch = tuple(config["patch"])
        self.spacing = float(config["spacing_mm"])
        self.training = heads(data, "training")
        self.validation = [
            sample
            for number, head in enumerate(heads(data, "validation"))
            for sample in self._fixed_samples(head, number)
        ]

    def _fixed_samples(self, head: Head, number: int) -> list[tuple[FloatArray, FloatArray]]:
        generators = (np.random.default_rng([11, number, turn]) for turn in range(6))
        return [self._look(self._shape(head, rng), rng) for rng in generators]

    def _shape(self, head: Head, rng: np.random.Generator) -> NDArray[np.int64]:
        return moved_tissues(head, self.patch, self.spacing, rng)

    def _look(
        self, tissues: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        return make_sample(tissues, self.spacing, rng)

    def prepare(self, network: torch.nn.Module) -> None:
        """Nothing to do before the first step."""

    def batch(self, rng: np.random.Generator) -> Batch:
        samples = []
        # Every shape is painted twice, since drawing it takes longer than painting it.
        for _ in range(self.batch_size // 2):
            head = self.training[rng.integers(len(self.training))]
            tissues = self._shape(head, rng)
            samples += [self._look(tissues, rng), self._look(tissues, rng)]
        images, targets = (np.stack(part) for part in zip(*samples, strict=True))
        return Batch(torch.from_numpy(images[:, None]), torch.from_numpy(targets), torch.ones(()))

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Soft Dice of both sides, and of both together, plus cross-entropy.

        Few voxels in ten thousand are hippocampus: each class' cross-entropy is averaged for
        itself, or the network would learn that there is none. And it learns where the hippocampi
        are long before which is which: what is right about both together counts for itself.
        """
        chance = output.softmax(1)[:, 1:]
        target = batch.target[:, 1:]
        both, either = target.sum(1, keepdim=True), chance.sum(1, keepdim=True)
        overlap = soft_dice(chance, target).mean() + soft_dice(either, both).mean()
        entropy = functional.cross_entropy(output, batch.target, reduction="none")
        present = both[:, 0]
        missed = (entropy * present).sum() / (present.sum() + 1)
        return 2 - overlap + 0.2 * missed + 2 * (entropy * (1 - present)).mean()

    def validate(self, network: torch.nn.Module) -> dict[str, float]:
        """Distance of the centres in mm, and the share that is over 8 mm off."""
        distances = np.concatenate(
            [centre_errors(network, *sample) * self.spacing for sample in self.validation]
        )
        missed = float(np.mean(distances > 8))
        clipped = float(np.mean(np.minimum(distances, 50)))
        return {
            "median_mm": float(np.median(distances)),
            "mean_mm": clipped,
            "missed": missed,
            "score": -clipped,
        }


def soft_dice(chance: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Dice of probabilities and shares (B, C, D, H, W), for each of B and C."""
    overlap = (chance * target).sum((2, 3, 4))
    return (2 * overlap + 1) / (chance.sum((2, 3, 4)) + target.sum((2, 3, 4)) + 1)


def heads(data: Path, part: Part) -> list[Head]:
    """All label maps of one part of the split."""
    subjects = read_splits()["brain_tissue"][part]
    return [read_head(data / file) for subject in subjects for file in subject["files"]]


def read_head(path: Path) -> Head:
    """A label map in RAS orientation at 1 mm, as tissues, cut to the head."""
    image = sitk.DICOMOrient(sitk.ReadImage(str(path), sitk.sitkUInt16), "RAS")
    table = np.full(1 << 16, FIRST_OUTER, np.uint8)
    for number, (_, values) in enumerate(TISSUES):
        table[list(values)] = number
    tissues = table[sitk.GetArrayViewFromImage(image)]
    tissues = tissues[bounding_box(tissues > 0)]
    # The middle of the box around both: independent of how large each of them is.
    both = bounding_box((tissues == 1) | (tissues == 2))
    middle = np.array([(side.start + side.stop - 1) / 2 for side in both])
    name = path.name.removesuffix(".nii.gz")
    return Head(name, torch.from_numpy(tissues.astype(np.float32)), middle)


def bounding_box(inside: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The smallest box with all voxels that are true."""
    box = []
    for axis in range(3):
        occupied = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(int(occupied[0]), int(occupied[-1]) + 1))
    return tuple(box)


def make_sample(
    tissues: NDArray[np.int64], spacing: float, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """A normalised image (k, j, i), and shares (3, k, j, i) of background, left and right."""
    shares = np.stack([average_blocks((tissues == side).astype(np.float32)) for side in SIDES])
    image = average_blocks(painted(tissues, rng))
    image = imperfect(image, spacing, rng)
    if rng.random() < 0.2:
        inside = random_field_of_view(image.shape, spacing, rng)
        image, shares = image * inside, shares * inside
    if rng.random() < 0.5:
        image, shares = image[:, :, ::-1], shares[::-1, :, :, ::-1]
    target = np.concatenate([1 - shares.sum(0, keepdims=True), shares])
    if image.std() > 0:
        image = zscore_scaling(image).normalise(image)
    return np.ascontiguousarray(image), np.ascontiguousarray(target, dtype=np.float32)


def moved_tissues(
    head: Head, patch: Sequence[int], spacing: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Tissues on the fine grid of a patch: turned, stretched, bent and shifted."""
    fine = [n * FINE for n in patch]
    shift = rng.normal(0, SHIFT_MM, 3)[::-1]
    if rng.random() < 0.04:
        shift[0] -= rng.uniform(110, 150)  # face and neck: nothing to be found
    matrix = np.diag(1 + rng.normal(0, STRETCH, 3).clip(-0.3, 0.3)) @ rotation(rng, TURN)
    sizes = np.array(head.tissues.shape[::-1], dtype=float)  # grid_sample counts x, y, z
    spans = np.array(patch[::-1], dtype=float) * spacing
    theta = np.zeros((1, 3, 4), dtype=np.float32)
    theta[0, :, :3] = matrix * spans[None, :] / sizes[:, None]
    theta[0, :, 3] = 2 * (head.middle[::-1] + 0.5 + shift[::-1]) / sizes - 1
    grid = functional.affine_grid(torch.from_numpy(theta), [1, 1, *fine], align_corners=False)
    knots = rng.normal(0, 2 * BEND_MM, (1, 3, 6, 6, 6)) / sizes[None, :, None, None, None]
    bend = torch.from_numpy(knots.astype(np.float32))
    bend = functional.interpolate(bend, size=fine, mode="trilinear", align_corners=True)
    grid = grid + bend.permute(0, 2, 3, 4, 1)
    moved = functional.grid_sample(head.tissues[None, None], grid, "nearest", align_corners=False)
    return moved[0, 0].numpy().astype(np.int64)


def painted(tissues: NDArray[np.int64], rng: np.random.Generator) -> FloatArray:
    """An intensity for every voxel: a Gaussian for each tissue, mostly like a T1-weighted scan."""
    means = np.array([mean for mean, _ in TISSUES])
    if rng.random() < 0.9:
        brain = rng.uniform(0.7, 1.3)  # the contrast within the brain
        means[1:FIRST_OUTER] = 0.6 + brain * (means[1:FIRST_OUTER] - 0.6)
        means[1:] += rng.normal(0, 0.04, len(means) - 1)
        if rng.random() < 0.5:
            means[FIRST_OUTER:] = rng.uniform(0, 1, len(means) - FIRST_OUTER)
    else:
        means[1:] = rng.uniform(0, 1, len(means) - 1)
    # Both hippocampi look alike.
    means[1] = means[2] = means[1]
    spread = rng.uniform(0.01, 0.1, len(means))
    spread[FIRST_OUTER:] *= 3
    spread[0] = 0
    if rng.random() < 0.3:  # the brain alone
        means[FIRST_OUTER:], spread[FIRST_OUTER:] = 0, 0
    noise = rng.standard_normal(tissues.shape, dtype=np.float32)
    image = means.astype(np.float32)[tissues] + noise * spread.astype(np.float32)[tissues]
    return np.abs(image)


def imperfect(image: FloatArray, spacing: float, rng: np.random.Generator) -> FloatArray:
    """Shading, gamma, thick slices, a removed face, noise."""
    if rng.random() < 0.7:
        image = image * np.exp(smooth_field(image.shape, 4, 0.25, rng))
    if rng.random() < 0.5:
        image = image ** np.float32(np.exp(rng.normal(0, 0.2)))
    if rng.random() < 0.3:
        image = thick_slices(image, int(rng.integers(3)))
    if rng.random() < 0.2:
        image = faceless(image, spacing, rng)
    if rng.random() < 0.7:
        sigma = np.float32(rng.uniform(0.005, 0.08))
        real, imaginary = rng.standard_normal((2, *image.shape), dtype=np.float32)
        image = np.hypot(image + sigma * real, sigma * imaginary)
    return image.astype(np.float32)


def smooth_field(
    shape: Sequence[int], knots: int, sigma: float, rng: np.random.Generator
) -> FloatArray:
    """A random field (k, j, i) that changes slowly: ``knots`` values along each axis, between them
    interpolated."""
    coarse = torch.from_numpy(rng.normal(0, sigma, (1, 1, *(knots,) * 3)).astype(np.float32))
    fine = functional.interpolate(coarse, size=list(shape), mode="trilinear", align_corners=True)
    field: FloatArray = fine[0, 0].numpy()
    return field


def thick_slices(image: FloatArray, axis: int) -> FloatArray:
    """Neighbouring slices averaged along an axis."""
    before, after = np.roll(image, 1, axis), np.roll(image, -1, axis)
    return (before + 2 * image + after) / 4


def faceless(image: FloatArray, spacing: float, rng: np.random.Generator) -> FloatArray:
    """The face cut off by a plane that leaves the brain nearly alone."""
    k, j, _ = np.meshgrid(*[np.arange(n) - n / 2 for n in image.shape], indexing="ij", sparse=True)
    angle = rng.uniform(0.5, 1.2)
    forward_and_down = spacing * (j * np.sin(angle) - k * np.cos(angle))
    return np.where(forward_and_down > rng.uniform(65, 85), np.float32(0), image)


def random_field_of_view(
    patch: Sequence[int], spacing: float, rng: np.random.Generator
) -> FloatArray:
    """1 inside a random slab of at least 80 mm along one axis, or a box, 0 outside."""
    inside = np.ones(tuple(patch), dtype=np.float32)
    for axis in rng.permutation(3)[: rng.integers(1, 3)]:
        size = patch[axis]
        span = int(rng.uniform(80 / spacing, size))
        start = int(rng.integers(0, size - span + 1))
        outside = np.ones(size, dtype=bool)
        outside[start : start + span] = False
        np.moveaxis(inside, axis, 0)[outside] = 0
    return inside


def average_blocks(fine: FloatArray) -> FloatArray:
    """Means of blocks of ``FINE`` voxels along each axis."""
    tensor = torch.from_numpy(fine)[None, None]
    means: FloatArray = functional.avg_pool3d(tensor, FINE)[0, 0].numpy()
    return means


def centre_errors(
    network: torch.nn.Module, image: FloatArray, target: FloatArray
) -> NDArray[np.float64]:
    """Distance in voxels of each side's centre of mass from the true one, where it is in view."""
    with torch.inference_mode():
        chance = network(torch.from_numpy(image)[None, None]).softmax(1)[0].numpy()
    errors = [
        np.linalg.norm(centre_of_mass(chance[side]) - centre_of_mass(target[side]))
        for side in SIDES
        if target[side].sum() * 2 > 20
    ]
    return np.array(errors)


def centre_of_mass(weights: FloatArray) -> NDArray[np.float64]:
    """Centre (k, j, i) of weights above one half of their largest."""
    kept = np.where(weights > weights.max() / 2, weights, 0).astype(np.float64)
    total = max(kept.sum(), 1e-9)
    return np.array(
        [
            (kept.sum(axis=tuple(a for a in range(3) if a != axis)) * np.arange(n)).sum() / total
            for axis, n in enumerate(kept.shape)
        ]
    )
