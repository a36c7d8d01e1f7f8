"""Teaching a network to remove Rician noise of a known level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from MedEnhanceLib.acquisition import add_rician_noise
from MedEnhanceLib.engine.networks import RefinedDenoiser
from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.evaluation.subjects import LEAST_NOISE_OVER_REFERENCE
from MedEnhanceLib.intensity import FOREGROUND
from MedEnhanceLib.noise import estimate_noise, prudent_level
from MedEnhanceLib.quality.metrics import gain_db
from MedEnhanceLib.tiles import middle_box
from training.data import FloatArray, Reference, mr_scans, quiet_references
from training.patches import random_contrast, random_patch, random_turn, softened
from training.phantoms import Phantoms
from training.physics.bias_field import bias_field
from training.physics.kspace import acquire_partial_fourier, acquire_zero_filled
from training.physics.varying_noise import LARGEST_G, add_varying_rician_noise
from training.recipe import Batch, Config
from training.weights import read_first_stage

LOSSES = ("absolute", "squared", "decibels")
VALIDATION_LEVELS = (0.01, 0.03, 0.09)
VALIDATION_PATCH = (24, 80, 80)
OPTIONAL_PHYSICS = ("bias_field", "varying_noise", "zero_filled", "partial_fourier")
"""Keys of a configuration: the share of patches that get the effect, 0 without the key."""
ZERO_FILLED_KEPT = (0.5, 0.9)
"""Share of k-space that was measured along each of two axes of an interpolated patch."""
PARTIAL_FOURIER = (0.6, 0.9)
"""Share of k-space that was measured along one axis, from one end on."""
REFERENCE_SIGMA, LEVELLING = 0.03, 0.5
"""Squared error over sigma squared falls as sigma to the power of about -0.5."""
MISJUDGED, MOST_TEXTURE = 0.05, 0.02
"""How far the estimate of the level is off, and what texture can add to it at most, squared."""
SOFTNESS = (0.4, 1.0)
"""Voxels of Gaussian blur: scanners, their filters and averages differ in how sharp images are."""
MOST_TEXTURE_OF_SOFT = 0.004
LEAST_ERROR = 0.02
"""In units of sigma; better than this a patch need not become."""


class Denoising:
    """Patches of quiet references, Rician noise of a random level added on the fly."""

    def __init__(self, config: Config, data: Path) -> None:
        self.batch_size = int(config["batch"])
        self.patch = tuple(config["patch"])
        self.levels = tuple(config["noise"])
        self.first_stage = str(config.get("first_stage", ""))
        self.phantom_share = float(config.get("phantoms", 0.0))
        self.soft_share = float(config.get("soft", 0.0))
        self.phantoms = Phantoms(data, "training") if self.phantom_share else None
        self.loss_kind = str(config.get("loss", "absolute"))
        if self.loss_kind not in LOSSES:
            raise OptionsError(
                f"The configuration's loss '{self.loss_kind}' is unknown; choose "
                f"{', '.join(LOSSES)}."
            )
        self.shares = {name: float(config.get(name, 0)) for name in OPTIONAL_PHYSICS}
        self.training = [
            quiet_references(name, scan) for name, scan in mr_scans(data, "training").items()
        ]
        self.validation = [
            validation_patch(name, scan) for name, scan in mr_scans(data, "validation").items()
        ]

    def prepare(self, network: torch.nn.Module) -> None:
        """Give a two-stage network its trained first stage."""
        if isinstance(network, RefinedDenoiser):
            network.first.load_state_dict(read_first_stage(self.first_stage))

    def batch(self, rng: np.random.Generator) -> Batch:
        return Batch.of(self._sample(rng) for _ in range(self.batch_size))

    def _sample(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
        """One noisy patch with its noise level, the clean patch, and weights 1 / sigma."""
        sigma = float(rng.uniform(*self.levels))
        is_soft = self.soft_share > 0 and rng.random() < self.soft_share
        clean = self._soft_patch(rng) if is_soft else self._clean_patch(sigma, rng)
        if self._now("bias_field", rng):
            clean = clean * bias_field(clean.shape, rng)
        noisy, clean, level = self._acquire(clean, sigma, rng)
        tissue = np.where(clean > FOREGROUND, 1.0, 0.1).astype(np.float32)
        peak = np.float32(rng.uniform(0.6, 1.5))
        texture = MOST_TEXTURE_OF_SOFT if is_soft else MOST_TEXTURE
        believed = np.full_like(noisy, misjudged(level, rng, texture))
        return np.stack([noisy, believed]) / peak, clean[None] / peak, tissue[None] * peak / level

    def _acquire(
        self, clean: FloatArray, sigma: float, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray, float | FloatArray]:
        """The patch with noise and without, as a scanner gives it, and the noise's level."""
        if self._now("varying_noise", rng):
            noisy, level = add_varying_rician_noise(
                clean, sigma, rng, np.clip(self.levels[1] / sigma, 1, LARGEST_G)
            )
            return noisy, clean, level
        if self._now("zero_filled", rng):
            axes = rng.permutation(clean.ndim)[:2].tolist()
            kept = float(rng.uniform(*ZERO_FILLED_KEPT))
            return *acquire_zero_filled(clean, sigma, axes, kept, rng), sigma
        if self._now("partial_fourier", rng):
            axis, fraction = int(rng.integers(clean.ndim)), float(rng.uniform(*PARTIAL_FOURIER))
            return *acquire_partial_fourier(clean, sigma, axis, fraction, rng), sigma
        return add_rician_noise(clean, sigma, rng), clean, sigma

    def _now(self, name: str, rng: np.random.Generator) -> bool:
        """Whether this patch gets an effect; without a share no chance is drawn."""
        return self.shares[name] > 0 and rng.random() < self.shares[name]

    def _clean_patch(self, sigma: float, rng: np.random.Generator) -> FloatArray:
        """A patch of a scan or of a phantom, turned and recoloured."""
        if self.phantoms is not None and rng.random() < self.phantom_share:
            return self.phantoms.patch(self.patch, rng)
        scans = self.training[rng.integers(len(self.training))]
        reference = choose_reference(scans, sigma, rng)
        clean = random_turn(random_patch(reference.voxels, self.patch, rng), rng)
        return random_contrast(clean, rng)

    def _soft_patch(self, rng: np.random.Generator) -> FloatArray:
        """A patch of a scan, blurred: its own noise hardly matters then at any level."""
        scanned, *_ = self.training[rng.integers(len(self.training))]
        clean = random_turn(random_patch(scanned.voxels, self.patch, rng), rng)
        return softened(random_contrast(clean, rng), float(rng.uniform(*SOFTNESS)))

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The error in units of the noise's standard deviation, as the configuration wants it.

        "absolute": its mean size. "squared": its mean square, as PSNR counts; what is left of noise
        grows more slowly than the noise itself, so each patch's is divided by a power of sigma
        that lets all levels count alike. "decibels": half the logarithm of each patch's mean
        square, so that a decibel counts the same wherever it is won, in soft images too, which
        have small errors.
        """
        error = (output - batch.target) * batch.weight.float()
        if self.loss_kind == "absolute":
            return error.abs().mean()
        if self.loss_kind == "decibels":
            return (error.square().mean(dim=(1, 2, 3, 4)) + LEAST_ERROR**2).log().mean() / 2
        sigma = 1 / batch.weight.float().amax(dim=(1, 2, 3, 4), keepdim=True)
        return (error.square() * (sigma / REFERENCE_SIGMA) ** LEVELLING).mean()

    def validate(self, network: torch.nn.Module) -> dict[str, float]:
        """Mean gain of foreground PSNR (dB) at each noise level, over all validation scans."""
        measures: dict[str, float] = {}
        for level in VALIDATION_LEVELS:
            gains = [psnr_gain(network, patch, level) for patch in self.validation]
            measures[f"gain_db_at_{level:.0%}"] = float(np.mean(gains))
        measures["score"] = float(np.mean(list(measures.values())))
        return measures


def misjudged(
    level: float | FloatArray, rng: np.random.Generator, most_texture: float = MOST_TEXTURE
) -> float | FloatArray:
    """The level that is told: an estimate, off by some per cent and by texture, made prudent."""
    typical = float(np.mean(level))
    estimate = np.hypot(typical * np.exp(rng.normal(0, MISJUDGED)), rng.uniform(0, most_texture))
    return level * np.float32(prudent_level(float(estimate), 1.0) / typical)


def choose_reference(scans: list[Reference], sigma: float, rng: np.random.Generator) -> Reference:
    """The scan as it was made, where its own noise hardly matters; else a quieted one."""
    scanned, *quieted = scans
    if sigma >= LEAST_NOISE_OVER_REFERENCE * scanned.noise and rng.random() < 0.5:
        return scanned
    return quieted[rng.integers(len(quieted))]


def validation_patch(name: str, scan: FloatArray) -> Reference:
    """The middle of a validation scan, quieted by averaging in-plane neighbours."""
    quieted = next(r for r in reversed(quiet_references(name, scan)[:4]) if not r.as_scanned)
    box = middle_box(quieted.voxels.shape, VALIDATION_PATCH, 2)
    voxels = np.ascontiguousarray(quieted.voxels[box.slices])
    return Reference(name, voxels, quieted.noise, False)


def psnr_gain(network: torch.nn.Module, reference: Reference, sigma: float) -> float:
    """How many dB the network, told an estimated noise, brings the noisy reference to the clean."""
    clean = reference.voxels
    noisy = add_rician_noise(clean, sigma, np.random.default_rng(7))
    told = prudent_level(estimate_noise(noisy), 1.0)
    inputs = np.stack([noisy, np.full_like(noisy, told)])[None]
    with torch.inference_mode():
        output = network(torch.from_numpy(inputs))[0, 0].numpy()
    return gain_db(clean, noisy, output, clean > FOREGROUND)
