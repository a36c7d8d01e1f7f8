"""Teaching a network to remove the noise of CT, which is correlated within the slice."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from MedEnhanceLib.evaluation.subjects import LEAST_NOISE_OVER_REFERENCE
from MedEnhanceLib.quality.metrics import gain_db
from training.ct_data import (
    CLASSES,
    CtReference,
    central_part,
    ct_scans,
    quiet_reference,
    tissue,
)
from training.data import FloatArray
from training.fingerprint import fingerprint
from training.patches import TRIES, random_turn
from training.physics import ct_noise
from training.physics.ct_noise import (
    Acquisition,
    line_integrals,
    random_acquisition,
    random_spectral_noise,
    reconstructed_noise,
)
from training.physics.phantom import random_phantom
from training.recipe import Batch, Config
from training.whole_files import written_whole

CACHE = Path("runs/cache")
HU_SCALE = 1000.0
"""As the scaling "hu" of `MedEnhanceLib.intensity`."""
PHANTOM_SHARE = 0.3
BELIEF_SPREAD = 0.13
"""How far, as a share, blind estimates of sigma are off."""
CLASS_WEIGHTS = {"air": 0.1, "lung": 0.6, "soft tissue": 1.0, "bone": 0.6}
EDGE_WEIGHT = 0.8
VALIDATION_LEVELS = (20.0, 40.0)
VALIDATION_PART = (24, 192, 192)
"""Voxels (k, j, i) of the scan; of the reference half as many along each axis."""
VALIDATION_SCANS = (
    Acquisition(photons=3e5, electronic=8, kernel="hann", blur=0.4, mixing=0.1),
    Acquisition(photons=1e5, electronic=8, kernel="shepp-logan", blur=0.0, mixing=0.0),
)


class CtDenoising:
    """Patches of quieted scans and of phantoms, with noise of random strength and grain."""

    def __init__(self, config: Config, data: Path) -> None:
        self.batch_size = int(config["batch"])
        self.patch = tuple(config["patch"])
        self.levels = tuple(config["noise_hu"])
        self.training = [quiet_reference(scan) for scan in ct_scans(data, "training")]
        count, seed = int(config["realisations"]), int(config["seed"])
        self.library = [noise_library(reference, count, seed) for reference in self.training]
        self.validation = [
            quiet_reference(central_part(scan, VALIDATION_PART))
            for scan in ct_scans(data, "validation")
        ]
        self.validation_noise = [validation_noise(reference) for reference in self.validation]

    def prepare(self, network: torch.nn.Module) -> None:
        """Nothing to do before the first step."""

    def batch(self, rng: np.random.Generator) -> Batch:
        return Batch.of(self._sample(rng) for _ in range(self.batch_size))

    def _sample(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
        """One noisy patch with its noise level, the clean patch, and weights over sigma."""
        sigma = float(np.exp(rng.uniform(*np.log(self.levels))))
        if rng.random() < PHANTOM_SHARE:
            clean, noise, own = random_phantom(self.patch, rng), self._spectral(rng), 0.0
        else:
            clean, noise, own = self._scanned(sigma, rng)
        clean, noise = turned_alike(clean, noise, rng)
        noisy = clean + np.float32(sigma) * noise
        believed = np.hypot(sigma, own) * np.exp(rng.normal(0.03, BELIEF_SPREAD))
        inputs = np.stack([noisy, np.full_like(noisy, believed)]) / np.float32(HU_SCALE)
        weights = class_weights(clean) * np.float32(HU_SCALE / sigma)
        return inputs, clean[None] / np.float32(HU_SCALE), weights[None]

    def _scanned(
        self, sigma: float, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray, float]:
        """A patch of a reference, noise of standard deviation 1, and the reference's own noise."""
        number = int(rng.integers(len(self.training)))
        reference = self.training[number]
        window = random_window(reference.voxels, self.patch, rng)
        averaged = sigma >= LEAST_NOISE_OVER_REFERENCE * reference.noise and rng.random() < 0.7
        clean = (reference.voxels if averaged else reference.cleaned)[window]
        if rng.random() < 0.6:
            library = self.library[number]
            noise = library[rng.integers(len(library))][window].astype(np.float32)
        else:
            noise = self._spectral(rng)
        return clean, noise, reference.noise if averaged else 0.0

    def _spectral(self, rng: np.random.Generator) -> FloatArray:
        noise = random_spectral_noise(self.patch, rng)
        slope = np.linspace(-1, 1, self.patch[2], dtype=np.float32) * rng.normal(0, 0.2)
        return noise * np.exp(slope).astype(np.float32)

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Huber loss in units of sigma, so that means are kept and edges do not rule."""
        weight = batch.weight.float()
        return functional.smooth_l1_loss(output * weight, batch.target * weight)

    def validate(self, network: torch.nn.Module) -> dict[str, float]:
        """Mean gain of soft-tissue PSNR (dB) at each level over all validation scans."""
        measures: dict[str, float] = {}
        for level in VALIDATION_LEVELS:
            gains = [
                soft_tissue_gain(network, reference.voxels, noise * np.float32(level), level)
                for reference, noises in zip(self.validation, self.validation_noise, strict=True)
                for noise in noises
            ]
            measures[f"gain_db_at_{level:.0f}_hu"] = float(np.mean(gains))
        measures["score"] = float(np.mean(list(measures.values())))
        return measures


def noise_library(reference: CtReference, count: int, seed: int) -> FloatArray:
    """Realisations of noise (n, k, j, i), of standard deviation 1 in soft tissue; kept on disk."""
    about = f"{count} {seed} {reference.pixel_mm} {reference.cleaned.shape}".encode()
    code = Path(ct_noise.__file__).read_bytes()
    made_of = fingerprint(about, code, reference.cleaned)
    path = CACHE / f"ct_noise_{reference.name}_{made_of}.npy"
    if path.exists():
        return np.asarray(np.load(path, mmap_mode="r"))
    rng = np.random.default_rng([seed, zlib.crc32(reference.name.encode())])
    noises = physical_noise(reference, [random_acquisition(rng) for _ in range(count)], rng)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        np.save(partial, np.stack(noises).astype(np.float16))
    return np.asarray(np.load(path, mmap_mode="r"))


def physical_noise(
    reference: CtReference, acquisitions: list[Acquisition], rng: np.random.Generator
) -> list[FloatArray]:
    """The noise of each acquisition of a reference, of standard deviation 1 in soft tissue."""
    lines = line_integrals(reference.cleaned, reference.pixel_mm)
    rows, columns = reference.voxels.shape[1:]
    soft = tissue(reference.cleaned, "soft tissue")
    noises = []
    for acquisition in acquisitions:
        noise = reconstructed_noise(lines, (rows, columns), reference.pixel_mm, acquisition, rng)
        noises.append(noise / noise[soft].std())
    return noises


def random_window(
    voxels: FloatArray, size: tuple[int, ...], rng: np.random.Generator
) -> tuple[slice, ...]:
    """Where to cut a patch that is at least two fifths body, if one is found."""
    for _ in range(TRIES):
        starts = [int(rng.integers(0, n - s + 1)) for n, s in zip(voxels.shape, size, strict=True)]
        window = tuple(slice(a, a + s) for a, s in zip(starts, size, strict=True))
        if np.mean(voxels[window] > CLASSES["air"][1]) >= 0.4:
            break
    return window


def turned_alike(
    clean: FloatArray, noise: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Flip both and swap their in-plane axes in the same way; slices stay slices."""
    order = (0, 1, 2) if rng.random() < 0.5 else (0, 2, 1)
    seed = int(rng.integers(2**31))
    first, second = (
        random_turn(patch, np.random.default_rng(seed), order) for patch in (clean, noise)
    )
    return first, second


def class_weights(clean: FloatArray) -> FloatArray:
    """How much each voxel counts, by its class of tissue."""
    weights = np.full(clean.shape, EDGE_WEIGHT, np.float32)
    for name, weight in CLASS_WEIGHTS.items():
        weights[tissue(clean, name)] = weight
    return weights


def validation_noise(reference: CtReference) -> list[FloatArray]:
    """The same noise whenever a network is validated."""
    return physical_noise(reference, list(VALIDATION_SCANS), np.random.default_rng(7))


def soft_tissue_gain(
    network: torch.nn.Module, clean: FloatArray, noise: FloatArray, sigma: float
) -> float:
    """How many dB the network brings soft tissue closer to the reference."""
    noisy = clean + noise
    inputs = np.stack([noisy, np.full_like(noisy, sigma)])[None] / np.float32(HU_SCALE)
    with torch.inference_mode():
        output = network(torch.from_numpy(inputs))[0, 0].numpy() * HU_SCALE
    return gain_db(clean, noisy, output, tissue(clean, "soft tissue"))
