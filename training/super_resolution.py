"""Teaching a network to divide thick slices into thinner ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from MedEnhanceLib.acquisition import (
    FACTOR_UNIT,
    PARTS,
    Profile,
    add_rician_noise,
    apply_along,
    interpolation_matrix,
    joined_parts,
    slice_matrix,
)
from MedEnhanceLib.engine.networks import SliceSplitter
from MedEnhanceLib.engine.networks.slice_splitter import REACH, basis, changed
from MedEnhanceLib.intensity import FOREGROUND
from MedEnhanceLib.noise import estimate_noise
from MedEnhanceLib.options import PROFILE_WIDTHS
from MedEnhanceLib.quality.metrics import gain_db
from MedEnhanceLib.slice_profile import BOX_WIDTH, estimate_profile_width
from MedEnhanceLib.tiles import middle_box
from training.data import (
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
from training.physics.slices import gap_matrix
from training.recipe import Batch, Config

VALIDATION_SHAPE = (96, 64, 64)
LARGE_ERROR = 5.0
"""Times the typical error of a patch, from which on the loss grows linearly."""
FITTED = 24
"""Batches from which the linear part is fitted."""
LEAST_ERROR = 0.003
"""Share of the peak; a patch that interpolation leaves this well is well enough."""
WIDTH_ERROR = 0.15
"""How far the profile's width that the network is told is off, as an estimate is."""
LARGEST_GAP = 0.25
"""Share of the distance of slices that is not excited."""
SOFTNESS = (0.3, 0.8)
"""Voxels of Gaussian blur: scanners and their filters differ in how sharp their images are."""
SOFT = 0.8
"""The same of the soft scans that training is watched on."""


class SuperResolution:
    """Patches of scans, acquired in thick slices along one axis."""

    def __init__(self, config: Config, data: Path) -> None:
        self.batch_size = int(config["batch"])
        self.patch = tuple(config["patch"])
        self.factors = tuple(config["factor"])
        self.noise = tuple(config["noise"])
        self.phantom_share = float(config.get("phantoms", 0.0))
        self.soft_share = float(config.get("soft", 0.0))
        self.gap_share = float(config.get("gap", 0.0))
        self.phantoms = Phantoms(data, "training") if self.phantom_share else None
        self._noise: dict[tuple[int, int], float] = {}
        self.training = [
            quiet_references(name, scan) for name, scan in mr_scans(data, "training").items()
        ]
        spacings = mr_spacings(data, "validation")
        self.validation = [
            validation_block(softened(scan, softness) if softness else scan, spacings[name])
            for name, scan in mr_scans(data, "validation").items()
            for softness in (0.0, SOFT)
        ]

    def prepare(self, network: torch.nn.Module) -> None:
        """Fit the network's linear part by weighted least squares."""
        if isinstance(network, SliceSplitter):
            fit_linearly(network, [self.batch(np.random.default_rng(n)) for n in range(FITTED)])

    def batch(self, rng: np.random.Generator) -> Batch:
        """Patches of the same number of slices, drawn anew for every batch."""
        slices = self._slices(self.patch[0], rng)
        return Batch.of(self._sample(slices, rng) for _ in range(self.batch_size))

    def _sample(
        self, slices: int, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Thick slices with what the network is told of them, the sharp patch, its weights."""
        sharp, own_noise = self._sharp_patch(self.patch, rng)
        fine = sharp.shape[0]
        sigma = 0.0 if rng.random() < 0.7 else float(rng.uniform(*self.noise))
        thick, width = acquire(sharp, slices, sigma, self.gap_share, rng)
        told = float(np.clip(width + rng.normal(0, WIDTH_ERROR), *PROFILE_WIDTHS))
        peak = np.float32(rng.uniform(0.6, 1.5))
        inputs = network_input(thick, fine / slices, np.hypot(sigma, own_noise), told)
        inputs[[0, 2]] /= peak
        interpolated = apply_along(interpolation_matrix(slices, fine), thick, 0)
        weight = np.where(sharp > FOREGROUND, 1.0, 0.2) / error_of(interpolated, sharp)
        # The outermost slices hold the mirror image of what a scanner would have seen there.
        edge = math.ceil(fine / slices)
        weight[:edge] = weight[-edge:] = 0
        return inputs, sharp[None] / peak, weight[None].astype(np.float32) * peak

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
        """How many thick slices: half as many in every other batch, else any factor in range."""
        kind = rng.random()
        if kind < 0.5:
            return fine // 2
        if kind < 0.75:
            return fine // 4
        return max(1, round(fine / rng.uniform(*self.factors)))

    def image(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The parts that the network gives, joined to slices as thin as the target's."""
        return refined(output, batch.target.shape[2])

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Huber loss in units of the interpolated patch's own error.

        Quadratic for most errors, so that edges count more than the reference's noise; in
        relative units, so that noisy patches do not drown the clean ones.
        """
        error = (self.image(output, batch) - batch.target) * batch.weight
        return functional.smooth_l1_loss(error, torch.zeros_like(error), beta=LARGE_ERROR)

    def validate(self, network: torch.nn.Module) -> dict[str, float]:
        """Mean gain of foreground PSNR (dB) over 5th-order B-spline interpolation.

        Of the scans as they are, and of soft ones.
        """
        conditions: dict[str, tuple[int, Profile, float]] = {
            "2x": (2, "gaussian", 0.0),
            "2x_box_noise_3%": (2, "box", 0.03),
            "4x": (4, "gaussian", 0.0),
        }
        measures = {}
        for name, how in conditions.items():
            gains = [gain(network, block, *how) for block in self.validation]
            measures[f"gain_db_{name}"] = float(np.mean(gains[::2]))
            measures[f"gain_db_{name}_soft"] = float(np.mean(gains[1::2]))
        measures["score"] = sum(measures.values())
        return measures


def refined(parts: torch.Tensor, size: int) -> torch.Tensor:
    """The parts of slices (B, parts, D, H, W), resampled to ``size`` slices: (B, 1, size, H, W)."""
    b, count, d, h, w = parts.shape
    matrix = interpolation_matrix(count * d, size, 1)
    in_order = parts.transpose(1, 2).reshape(b, count * d, h, w)
    weights = torch.from_numpy(matrix.astype(np.float32)).to(parts.device)
    return torch.einsum("mn,bnhw->bmhw", weights, in_order)[:, None]


def fit_linearly(network: SliceSplitter, batches: list[Batch]) -> None:
    """Set the weights of ``network.linear`` to those with the least weighted square error."""
    weights = network.linear.weights
    count = weights.numel()
    normal, right = np.zeros((count, count)), np.zeros(count)
    for batch in batches:
        factor, sigma, width = batch.inputs[:, 1:, 0, 0, 0].unbind(1)
        for powers, kernels, wanted in zip(
            basis(factor, width, sigma).double().numpy(), *_kernel_columns(batch), strict=True
        ):
            # The weights of a place act alike but for their powers, which are an image's own.
            normal += np.kron(np.outer(powers, powers), kernels @ kernels.T)
            right += np.kron(powers, kernels @ wanted)
    solution = np.linalg.solve(normal + 1e-6 * np.trace(normal) / count * np.eye(count), right)
    with torch.no_grad():
        weights.copy_(torch.from_numpy(solution).reshape(weights.shape))


def _kernel_columns(batch: Batch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What each place of a kernel changes (B, places, voxels), and all that lacks (B, voxels).

    Both times the voxels' weights.
    """
    image, size = batch.inputs[:, :1], batch.target.shape[2]
    places = torch.eye(PARTS // 2 * 2 * REACH).reshape(-1, PARTS // 2, 2 * REACH)
    changes = [refined(changed(image, p.expand(len(image), -1, -1)), size) for p in places]
    lacking = batch.target - refined(image.expand(-1, PARTS, -1, -1, -1), size)
    columns = torch.stack([(change * batch.weight).flatten(1) for change in changes], dim=1)
    return columns.double().numpy(), (lacking * batch.weight).flatten(1).double().numpy()


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


def acquire(
    sharp: FloatArray, slices: int, sigma: float, gap_share: float, rng: np.random.Generator
) -> tuple[FloatArray, float]:
    """Thick slices along axis 0 with a random profile and noise, and the profile's width."""
    matrix, width = random_profile(sharp.shape[0], slices, gap_share, rng)
    thick = apply_along(matrix, sharp, 0)
    if sigma > 0:
        thick = add_rician_noise(thick, sigma, rng)
    return thick, width


def random_profile(
    fine: int, slices: int, gap_share: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], float]:
    """A matrix that makes slices of ``fine`` voxels, and the width of its profile.

    A share of them leave gaps; without a share no chance is drawn.
    """
    if gap_share > 0 and rng.random() < gap_share:
        gap = float(rng.uniform(0, LARGEST_GAP))
        return gap_matrix(fine, slices, gap), (1 - gap) * BOX_WIDTH
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


def network_input(thick: FloatArray, factor: float, sigma: float, width: float) -> FloatArray:
    """The four channels the network reads: slices, factor / 4, noise level, profile's width."""
    facts = [np.full_like(thick, fact) for fact in (factor / FACTOR_UNIT, sigma, width)]
    return np.stack([thick, *facts]).astype(np.float32)


def divided(network: torch.nn.Module, inputs: FloatArray, size: int) -> FloatArray:
    """What the network makes of its input (C, D, H, W), as so many slices (size, H, W)."""
    with torch.inference_mode():
        parts = network(torch.from_numpy(inputs[None]))[0].numpy()
    return joined_parts(parts, size)


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
    box = middle_box(scan.shape, VALIDATION_SHAPE, 2)
    return ThinBlock(np.ascontiguousarray(scan[box.slices]), spacing)


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
    believed = estimate_noise(thick)
    width = estimate_profile_width(thick, 0, block.spacing_of(factor), believed)
    output = divided(network, network_input(thick, factor, believed, width), fine)
    return gain_db(sharp, spline, output, sharp > FOREGROUND)
