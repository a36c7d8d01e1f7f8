"""Learning to denoise from noisy scans alone: Noise2Noise, and Neighbor2Neighbor.

A network that is to predict a second measurement of the same thing cannot predict its noise, and
learns to predict what both have in common (Noise2Noise: Lehtinen et al. 2018, arXiv:1803.04189).
Without a repeated scan, voxels beside each other serve as two measurements (Neighbor2Neighbor:
Huang et al. 2021, arXiv:2101.02824); a second term makes up for what truly differs between them.
What both measurements share is not taken away, but for the Rician bias, which is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from MedEnhanceLib.engine.networks.folding import space_to_depth
from MedEnhanceLib.intensity import FOREGROUND
from training.data import FloatArray
from training.patches import random_patch, random_turn

LARGE_ERROR = 3.0
"""Standard deviations of the noise, from which on the loss grows linearly."""
AIR_WEIGHT = 0.1
DIFFERENCE_WEIGHT = 1.0
"""Of Neighbor2Neighbor's second term."""
BELIEF_SPREAD = 0.07
HELD_OUT_SHARE, FEWEST_HELD_OUT = 0.2, 8
PATCH = 48
LESSONS_TO_VALIDATE = 8
STEP_OF_AXIS = (4, 2, 1)
"""How far apart neighbours along k, j, i are among the eight voxels of a folded cell."""


@dataclass(frozen=True)
class Scan:
    """One scan of the user's: voxels (n, k, j, i) over their peak, n = 1, or 2 when repeated.

    ``sigma`` is the noise's standard deviation in the same unit.
    """

    voxels: FloatArray
    sigma: float


@dataclass(frozen=True)
class Lesson:
    """Measurements (B, n, D, H, W), their noise level (B, 1, 1, 1, 1), and which cells' voxels.

    ``first`` and ``second``, (B, 1, D/2, H/2, W/2), choose two neighbours of the eight voxels of
    every cell; they are not used when the measurements are repeated.
    """

    measured: torch.Tensor
    sigma: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor


class SelfSupervised:
    """A recipe whose lessons are parts of noisy scans; held-out slabs of them are looked at.

    ``axes`` are those along which neighbours count as two measurements; the network can halve
    patches of ``multiple`` voxels.
    """

    def __init__(self, scans: Sequence[Scan], axes: Sequence[int], multiple: int) -> None:
        divided = [halves(scan) for scan in scans]
        self.parts = [part for parts, _ in divided for part in parts]
        self.slabs = [slab for _, slab in divided]
        self.axes = axes
        # Neighbor2Neighbor halves a patch, and the network may halve it further.
        self.unit = 2 * multiple

    def prepare(self, network: torch.nn.Module) -> None:
        """Nothing to do before the first step."""

    def lesson(self, rng: np.random.Generator) -> Lesson:
        """A patch of a random part of the scans."""
        part = self.parts[rng.integers(len(self.parts))]
        return make_lesson([part], self._size(part), self.axes, rng)

    def validate(self, network: torch.nn.Module) -> dict[str, float]:
        """The self-supervised loss on the held-out slabs; its negative is the score."""
        size = np.min([self._size(slab) for slab in self.slabs], axis=0)
        lessons = validation_lessons(self.slabs, size, self.axes)
        with torch.inference_mode():
            loss = float(np.mean([float(self_supervised_loss(network, one)) for one in lessons]))
        return {"self_supervised_loss": loss, "score": -loss}

    def _size(self, scan: Scan) -> list[int]:
        """A patch that the scan holds and the network can halve as often as it wants."""
        shape = scan.voxels.shape[1:]
        return [max(self.unit, min(PATCH, n) // self.unit * self.unit) for n in shape]


def long_axes(scans: Sequence[Scan], least: int) -> tuple[int, ...]:
    """Axes of at least so many voxels in every part of every scan, which need no mirror image.

    A mirrored voxel is no other measurement: its noise is the same.
    """
    parts = [part for both, slab in map(halves, scans) for part in (*both, slab)]
    shortest = np.min([part.voxels.shape[1:] for part in parts], axis=0)
    return tuple(int(axis) for axis in np.flatnonzero(shortest >= least))


def halves(scan: Scan) -> tuple[list[Scan], Scan]:
    """The parts to learn from, and the slab in the middle of the longest axis to validate on."""
    shape = scan.voxels.shape[1:]
    axis = int(np.argmax(shape))
    count = max(FEWEST_HELD_OUT, round(HELD_OUT_SHARE * shape[axis]) // 2 * 2)
    start = (shape[axis] - count) // 2
    ends = [(0, start), (start + count, shape[axis]), (start, start + count)]
    parts = [np.take(scan.voxels, range(*end), axis + 1) for end in ends]
    below, above, slab = (Scan(np.ascontiguousarray(part), scan.sigma) for part in parts)
    return [below, above], slab


def make_lesson(
    scans: Sequence[Scan], size: Sequence[int], axes: Sequence[int], rng: np.random.Generator
) -> Lesson:
    """Random patches, one of each scan given, and random neighbours along ``axes`` in them."""
    patches, levels = [], []
    for scan in scans:
        patch = random_patch(scan.voxels, (len(scan.voxels), *size), rng)
        # Flipping the first axis too lets either of two measurements predict the other.
        patches.append(random_turn(patch, rng, (0, 1, 2, 3)))
        levels.append(scan.sigma * np.exp(rng.normal(0, BELIEF_SPREAD)))
    first, second = random_neighbours((len(patches), 1, *(n // 2 for n in size)), axes, rng)
    sigma = torch.tensor(levels, dtype=torch.float32).reshape(-1, 1, 1, 1, 1)
    return Lesson(torch.from_numpy(np.stack(patches)), sigma, first, second)


def random_neighbours(
    shape: Sequence[int], axes: Sequence[int], rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """For every cell of eight voxels, two that lie beside each other along one of ``axes``.

    Cells in a row along another axis choose alike. Their noise may be the same, and the second
    voxel of one must not be seen in the first of the next.
    """
    drawn = [*shape[:2], *(n if axis in axes else 1 for axis, n in enumerate(shape[2:]))]
    first = rng.integers(0, 8, drawn)
    steps = np.array([STEP_OF_AXIS[axis] for axis in axes])
    second = first ^ steps[rng.integers(0, len(steps), drawn)]
    return torch.from_numpy(first).expand(*shape), torch.from_numpy(second).expand(*shape)


def chosen(image: torch.Tensor, choice: torch.Tensor) -> torch.Tensor:
    """The chosen voxel of every cell: (B, 1, D, H, W) -> (B, 1, D/2, H/2, W/2)."""
    return space_to_depth(image).gather(1, choice)


def self_supervised_loss(network: torch.nn.Module, lesson: Lesson) -> torch.Tensor:
    """How badly one measurement predicts the other, in squares of sigma.

    A repeated one cannot be predicted better than to 1. With neighbours there is a second term:
    how far the difference of prediction and neighbour is from the one in the denoised image.
    """
    if lesson.measured.shape[1] == 2:
        first, second = lesson.measured.split(1, dim=1)
        return _error(measured_again(network, first, lesson.sigma) - second, second, lesson.sigma)
    first, second = (chosen(lesson.measured, choice) for choice in (lesson.first, lesson.second))
    with torch.no_grad():
        whole = measured_again(network, lesson.measured, lesson.sigma)
    true_difference = chosen(whole, lesson.first) - chosen(whole, lesson.second)
    error = measured_again(network, first, lesson.sigma) - second
    return _error(error, second, lesson.sigma) + DIFFERENCE_WEIGHT * _error(
        error - true_difference, second, lesson.sigma
    )


def measured_again(
    network: torch.nn.Module, image: torch.Tensor, sigma: torch.Tensor
) -> torch.Tensor:
    """What another measurement of the denoised image would be on average.

    Magnitudes are brighter than the truth: Rice's mean is the root of the squared truth and
    squared sigma, nearly so from one sigma on (Gudbjartsson and Patz 1995,
    doi:10.1002/mrm.1910340618). Without it the network would learn to leave that in.
    """
    return (denoised(network, image, sigma).square() + sigma.square()).sqrt()


def denoised(network: torch.nn.Module, image: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """What the network makes of an image (B, 1, D, H, W) whose noise has this level."""
    inputs = torch.cat([image, sigma.expand_as(image)], dim=1)
    output: torch.Tensor = network(inputs.contiguous(memory_format=torch.channels_last_3d))
    return output.float()


def _error(error: torch.Tensor, image: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Mean squared error over sigma squared, linear for large errors, air counting little."""
    weight = torch.where(image > FOREGROUND, 1.0, AIR_WEIGHT)
    relative = error / sigma
    half = functional.smooth_l1_loss(
        relative, torch.zeros_like(relative), beta=LARGE_ERROR, reduction="none"
    )
    return (2 * LARGE_ERROR * half * weight).sum() / weight.sum()


def validation_lessons(
    slabs: Sequence[Scan], size: Sequence[int], axes: Sequence[int]
) -> Iterator[Lesson]:
    """The same lessons each time."""
    for number in range(LESSONS_TO_VALIDATE):
        rng = np.random.default_rng([99, number])
        yield make_lesson([slabs[number % len(slabs)]], size, axes, rng)
