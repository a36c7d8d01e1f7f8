"""Made-up anatomy without any noise: blobs and folds of random HU with more or less soft edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
FEWEST_PARTS, MOST_PARTS = 3, 8
STEPS_HU = ((10.0, 80.0, 0.6), (100.0, 400.0, 0.25), (600.0, 1200.0, 0.15))
"""Least and greatest step in HU between a part and what it lies in, and how often."""


def random_phantom(shape: tuple[int, int, int], rng: np.random.Generator) -> FloatArray:
    """A volume (k, j, i) in HU of parts laid over each other.

    Each part is where a smooth random field exceeds a threshold, which makes round, folded and
    thin shapes; real scans alone would teach a network their own noise.
    """
    image = np.full(shape, rng.uniform(-120, 80), np.float32)
    chances = np.array([chance for _, _, chance in STEPS_HU])
    for _ in range(rng.integers(FEWEST_PARTS, MOST_PARTS + 1)):
        low, high, _ = STEPS_HU[rng.choice(len(STEPS_HU), p=chances / chances.sum())]
        step = rng.uniform(low, high) * rng.choice([-1, 1])
        image += np.float32(step) * _part(shape, rng)
    return np.clip(image, -1024, 2000)


def _part(shape: tuple[int, int, int], rng: np.random.Generator) -> FloatArray:
    """Between 0 outside and 1 inside a random shape."""
    size = np.exp(rng.uniform(np.log(4.0), np.log(24.0)))
    field = _smooth_field(shape, (size * rng.uniform(0.3, 1.0), size, size), rng)
    if rng.random() < 0.4:
        field = np.float32(rng.uniform(0.1, 0.5)) - np.abs(
            field
        )  # a shell: walls, vessels, fasciae
    else:
        field = field - rng.uniform(0, 1.5)
    softness = rng.uniform(0.6, 2.5) / size  # the field changes by about 1 over its grain
    return np.clip(field / np.float32(softness) + np.float32(0.5), 0, 1)


def _smooth_field(
    shape: tuple[int, int, int], grain: tuple[float, float, float], rng: np.random.Generator
) -> FloatArray:
    """A Gaussian random field of standard deviation 1; ``grain`` in voxels."""
    frequencies = np.meshgrid(*[np.fft.fftfreq(n) for n in shape], indexing="ij")
    power = sum((f * g) ** 2 for f, g in zip(frequencies, grain, strict=True))
    spectrum = np.exp(-0.5 * (2 * np.pi / 2) ** 2 * power)
    field = np.fft.ifftn(np.fft.fftn(rng.standard_normal(shape)) * spectrum).real
    return np.asarray(field / max(field.std(), 1e-6), dtype=np.float32)
