"""Teaching a network to sharpen volumes that were interpolated from thick slices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from MedEnhanceLib.acquisition import (
    FACTOR_UNIT,
    Profile,
    add_rician_noise,
    apply_along,
    interpolation_matrix,
    slice_matrix,
)
from MedEnhanceLib.engine.networks import SharpeningFilter
from MedEnhanceLib.noise import estimate_noise
from MedEnhanceLib.slice_profile import BOX_WIDTH, LIMITS, estimate_profile_width
from training.data import (
    FOREGROUND,
    FloatArray,
    Reference,
    Spacing,
    is_thick_sliced,
    mr_scans,
    mr_spacings,
    quiet_references,
    smallest_first,
)
from training.patches import noise_left, random_contrast, random_patch, random_turn, softened
from training.phantoms import Phantoms
from training.recipe import Batch, Config

VALIDATION_SIZE = 64
VALIDATION_DEPTH = 96
LARGE_ERROR = 5.0
"""Times the typical error of a patch, from which on the loss grows linearly."""
FITTED = 60
"""Batches from which the linear sharpening is fitted."""
LEAST_ERROR = 0.003
"""Share of the peak; a patch that interpolation leaves this well is well enough."""
WIDTH_ERROR = 0.1
"""How far the profile's width that the network is told is off, as an estimate is."""
SOFTNESS = (0.3, 0.8)
"""Voxels of Gaussian blur: scanners and their filters differ in how sharp their images are."""
MARGIN = 8
"""Voxels cut off at both ends along the thick axis, so that patches have no mirrored edge."""


class SuperResolution:
    """Patches of scans, acquired in thick slices along one axis and interpolated back."""

    def __init__(self, config: Config, data: Path) -> None:
        self.batch_size = int(config["batch"])
        self.patch = tuple(config["patch"])
        self.factors = tuple(config["factor"])
        self.noise = tuple(config["noise"])
        self.phantom_share = float(config.get("phantoms", 0.0))
        self.soft_share = float(config.get("soft", 0.0))
        self.phantoms = Phantoms(data, "training") if self.phantom_share else None
        self._noise: dict[tuple[int, int], float] = {}
        self.training = [
            quiet_references(name, scan) for name, scan in mr_scans(data, "training").items()
        ]
        spacings = mr_spacings(data, "validation")
        self.validation = [
            validation_block(scan, spacings[name])
            for name, scan in mr_scans(data, "validation").items()
        ]

    def prepare(self, network: torch.nn.Module) -> None:
        """Fit the network's linear sharpening by weighted least squares."""
        if isinstance(network, SharpeningFilter):
            fit_sharpening(network, [self.batch(np.random.default_rng(n)) for n in range(FITTED)])

    def batch(self, rng: np.random.Generator) -> Batch:
        samples = [self._sample(rng) for _ in range(self.batch_size)]
        inputs, targets, weights = (np.stack(part) for part in zip(*samples, strict=True))
        return Batch(torch.from_numpy(inputs), torch.from_numpy(targets), torch.from_numpy(weights))

    def _sample(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
        """One interpolated patch with factor and noise level, the sharp patch, its weights."""
        depth, height, width = self.patch
        sharp, own_noise = self._sharp_patch((depth + 2 * MARGIN, height, width), rng)
        slices = self._slices(sharp.shape[0], rng)
        sigma = 0.0 if rng.random() < 0.7 else float(rng.uniform(*self.noise))
        blurred, width = acquire_and_interpolate(sharp, slices, sigma, rng)
        told = float(np.clip(width + rng.normal(0, WIDTH_ERROR), *LIMITS))
        inside = slice(MARGIN, MARGIN + depth)
        target = sharp[inside]
        peak = np.float32(rng.uniform(0.6, 1.5))
        believed = np.hypot(sigma, own_noise)
        inputs = network_input(blurred[inside], sharp.shape[0] / slices, believed, told)
        inputs[[0, 2]] /= peak
        weight = np.where(target > FOREGROUND, 1.0, 0.2) / error_of(blurred[inside], target)
        return inputs, target[None] / peak, weight[None].astype(np.float32) * peak

    def _sharp_patch(
        self, size: tuple[int, int, int], rng: np.random.Generator
    ) -> tuple[FloatArray, float]:
        """A patch of a scan or a phantom with the axis to thicken first, and its own noise."""
        if self.phantoms is not None and rng.random() < self.phantom_share:
            return self.phantoms.patch(size, rng), 0.0
        scans = self.training[rng.integers(len(self.training))]
        reference, axis = choose_reference(scans, rng)
        noise = self._believed_noise(reference, axis) * float(rng.uniform(0.5, 1.2))
        sharp = random_patch(np.moveaxis(reference.voxels, axis, 0), size, rng)
        order = (0, 1, 2) if rng.random() < 0.5 else (0, 2, 1)
        sharp = random_contrast(random_turn(sharp, rng, order), rng)
        if rng.random() < self.soft_share:
            softness = float(rng.uniform(*SOFTNESS))
            return softened(sharp, softness), noise * noise_left(softness)
        return sharp, noise

    def _believed_noise(self, reference: Reference, axis: int) -> float:
        """What the product takes for noise in slices of a reference made twice as thick.

        Fine texture counts as noise there; the network has to know how much to trust that.
        """
        key = (id(reference), axis)
        if key not in self._noise:
            sharp = np.moveaxis(reference.voxels, axis, 0)
            matrix = slice_matrix(sharp.shape[0], sharp.shape[0] // 2, "gaussian", 1.0)
            self._noise[key] = estimate_noise(apply_along(matrix, sharp, 0))
        return self._noise[key]

    def _slices(self, fine: int, rng: np.random.Generator) -> int:
        """How many thick slices: half as many in most patches, else any factor in the range."""
        kind = rng.random()
        if kind < 0.6:
            return fine // 2
        if kind < 0.75:
            return fine // 4
        return max(1, round(fine / rng.uniform(*self.factors)))

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Huber loss in units of the interpolated patch's own error.

        Quadratic for most errors, so that edges count more than the reference's noise; in
        relative units, so that noisy patches do not drown the clean ones.
        """
        error = (output - batch.target) * batch.weight
        return functional.smooth_l1_loss(error, torch.zeros_like(error), beta=LARGE_ERROR)

    def validate(self, network: torch.nn.Module) -> dict[str, float]:
        """Mean gain of foreground PSNR (dB) over 5th-order B-spline interpolation."""
        conditions: dict[str, tuple[int, Profile, float]] = {
            "gain_db_2x": (2, "gaussian", 0.0),
            "gain_db_2x_box_noise_3%": (2, "box", 0.03),
            "gain_db_4x": (4, "gaussian", 0.0),
        }
        measures = {
            name: float(np.mean([gain(network, block, *how) for block in self.validation]))
            for name, how in conditions.items()
        }
        measures["score"] = sum(measures.values()) + measures["gain_db_2x"]
        return measures


def fit_sharpening(network: SharpeningFilter, batches: list[Batch]) -> None:
    """Set the weights of ``network.sharpening`` to those with the least weighted square error."""
    weights = network.sharpening.weights
    count = weights.numel()
    normal, right = np.zeros((count, count)), np.zeros(count)
    for batch in batches:
        columns = []
        for number in range(count):
            with torch.no_grad():
                weights.zero_().view(-1)[number] = 1
                change = network.sharpened(batch.inputs) - batch.inputs[:, :1]
                columns.append((change * batch.weight).double().reshape(-1).numpy())
        wanted = ((batch.target - batch.inputs[:, :1]) * batch.weight).double().reshape(-1).numpy()
        matrix = np.stack(columns)
        normal += matrix @ matrix.T
        right += matrix @ wanted
    solution = np.linalg.solve(normal + 1e-6 * np.trace(normal) / count * np.eye(count), right)
    with torch.no_grad():
        weights.copy_(torch.from_numpy(solution).reshape(weights.shape))


def choose_reference(scans: list[Reference], rng: np.random.Generator) -> tuple[Reference, int]:
    """A reference, and the axis of it to thicken.

    Mostly one that was quieted by averaging across the axis and keeps its detail along it. Of
    thick-sliced scans the axis is nearly always one in-plane.
    """
    scanned, *quieted = scans
    if is_thick_sliced(scanned.voxels):
        axis = int(rng.integers(1, 3)) if rng.random() < 0.9 else 0
        return (quieted[0] if axis == 0 or rng.random() < 0.5 else scanned), axis
    axis = int(rng.integers(3))
    kind = rng.random()
    if kind < 0.35:
        return scanned, axis
    # Averages over the axes (0, 1), (0, 2), (1, 2): the one that leaves out `axis`.
    return quieted[2 - axis] if kind < 0.85 else quieted[3], axis


def acquire_and_interpolate(
    sharp: FloatArray, slices: int, sigma: float, rng: np.random.Generator
) -> tuple[FloatArray, float]:
    """Thick slices with a random profile and noise, interpolated back along axis 0; its width."""
    matrix, width = random_profile(sharp.shape[0], slices, rng)
    thick = apply_along(matrix, sharp, 0)
    if sigma > 0:
        thick = add_rician_noise(thick, sigma, rng)
    return apply_along(interpolation_matrix(slices, sharp.shape[0], 3), thick, 0), width


def random_profile(
    fine: int, slices: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], float]:
    """A matrix that makes slices of ``fine`` voxels, and the width of its profile."""
    kind = rng.random()
    if kind < 0.25:
        return slice_matrix(fine, slices, "box", 1.0), BOX_WIDTH
    width = round(float(rng.uniform(0.7, 1.3)), 2) if kind < 0.6 else 1.0
    return slice_matrix(fine, slices, "gaussian", width), width


def error_of(interpolated: FloatArray, sharp: FloatArray) -> float:
    """Root mean square error of interpolation in the foreground, as a share of the peak."""
    tissue = sharp > FOREGROUND
    if not tissue.any():
        return 1.0
    return max(LEAST_ERROR, float(np.sqrt(np.mean((interpolated - sharp)[tissue] ** 2))))


def network_input(
    interpolated: FloatArray, factor: float, sigma: float, width: float
) -> FloatArray:
    """The four channels the network reads: image, factor / 4, noise level, profile's width."""
    facts = [np.full_like(interpolated, fact) for fact in (factor / FACTOR_UNIT, sigma, width)]
    return np.stack([interpolated, *facts]).astype(np.float32)


@dataclass(frozen=True, eq=False)
class ThinBlock:
    """The middle of a scan with its smallest voxels along the first axis.

    Attributes:
        voxels: over the scan's peak, (k, j, i).
        spacing: mm along these axes.
    """

    voxels: FloatArray
    spacing: Spacing

    def spacing_of(self, factor: float) -> Spacing:
        """With slices so many times as thick."""
        k, j, i = self.spacing
        return (factor * k, j, i)


def validation_block(scan: FloatArray, spacing: Spacing) -> ThinBlock:
    """The block of a validation scan (k, j, i) that training is watched on."""
    scan, spacing = smallest_first(scan, spacing)
    size = [VALIDATION_DEPTH, *(min(n // 2 * 2, VALIDATION_SIZE) for n in scan.shape[1:])]
    starts = [(n - s) // 2 for n, s in zip(scan.shape, size, strict=True)]
    window = tuple(slice(s, s + n) for s, n in zip(starts, size, strict=True))
    return ThinBlock(np.ascontiguousarray(scan[window]), spacing)


def gain(
    network: torch.nn.Module, block: ThinBlock, factor: int, profile: Profile, sigma: float
) -> float:
    """How many dB the network comes closer to the sharp block than a 5th-order B-spline."""
    sharp = block.voxels
    fine, slices = sharp.shape[0], sharp.shape[0] // factor
    thick = apply_along(slice_matrix(fine, slices, profile, 1.0), sharp, 0)
    if sigma > 0:
        thick = add_rician_noise(thick, sigma, np.random.default_rng(7))
    spline = apply_along(interpolation_matrix(slices, fine, 5), thick, 0)
    cubic = apply_along(interpolation_matrix(slices, fine, 3), thick, 0)
    believed = estimate_noise(thick)
    width = estimate_profile_width(thick, 0, block.spacing_of(factor), believed)
    inputs = torch.from_numpy(network_input(cubic, factor, believed, width)[None])
    with torch.inference_mode():
        output = network(inputs)[0, 0].numpy()
    tissue = sharp > FOREGROUND
    before = np.mean((spline - sharp)[tissue] ** 2)
    after = np.mean((output - sharp)[tissue] ** 2)
    return float(10 * np.log10(before / after))
