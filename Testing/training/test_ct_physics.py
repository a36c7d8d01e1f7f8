"""Noise of CT: as filtered back-projection makes it, and the quick model of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.physics.ct_noise import (
    Acquisition,
    line_integrals,
    mixed_over_slices,
    random_spectral_noise,
    reconstructed_noise,
    spectral_noise,
)
from training.physics.phantom import random_phantom

SIZE = 64
USUAL = Acquisition(photons=1e5, electronic=5, kernel="hann", blur=0.5, mixing=0.0)


def correlation(noise: np.ndarray, axis: int) -> float:
    first = noise.take(range(noise.shape[axis] - 1), axis)
    second = noise.take(range(1, noise.shape[axis]), axis)
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def water() -> np.ndarray:
    """Two slices of a disc of water, 250 mm wide."""
    j, i = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    return np.repeat(np.where(np.hypot(j, i) < 25, 0.0, -1000.0)[None], 2, axis=0)


def noise_of(volume: np.ndarray, acquisition: Acquisition, seed: int = 0) -> np.ndarray:
    lines = line_integrals(volume.astype(np.float32), 5.0, angles=90)
    rng = np.random.default_rng(seed)
    return reconstructed_noise(lines, (SIZE, SIZE), 5.0, acquisition, rng)


def test_line_integrals_are_those_of_water() -> None:
    """250 mm of water let exp(-5) of the photons through."""
    middle = line_integrals(water().astype(np.float32), 5.0, angles=4)[0]
    assert middle.max() == pytest.approx(5.0, rel=0.03)


def test_noise_of_back_projection() -> None:
    noise = noise_of(water(), USUAL)
    assert noise.shape == (2, SIZE, SIZE)
    centre, rim = noise[:, 26:38, 26:38], noise[:, :, :6]
    assert abs(centre.mean()) < 0.2 * centre.std()
    assert centre.std() > 1.5 * rim.std()  # fewer photons come through the middle
    assert min(correlation(noise, axis) for axis in (1, 2)) > 0.4
    assert abs(correlation(noise, 0)) < 0.1


def test_dose_and_kernel() -> None:
    usual = noise_of(water(), USUAL).std()
    more = noise_of(water(), replace(USUAL, photons=4e5, electronic=0)).std()
    sharp = noise_of(water(), replace(USUAL, kernel="ramp", blur=0.0)).std()
    assert more == pytest.approx(usual / 2, rel=0.1)
    assert sharp > 2 * usual


def test_electronic_noise_counts_where_few_photons_come_through() -> None:
    few = replace(USUAL, photons=2e4, electronic=0)
    assert noise_of(water(), replace(few, electronic=30)).std() > 1.5 * noise_of(water(), few).std()


def test_oblong_slices_keep_their_place() -> None:
    volume = water()[:, 8:56]
    lines = line_integrals(volume.astype(np.float32), 5.0, angles=60)
    noise = reconstructed_noise(lines, (48, SIZE), 5.0, USUAL, np.random.default_rng(0))
    assert noise.shape == volume.shape
    assert noise[:, 18:30, 26:38].std() > 1.2 * noise[:, :, :5].std()


def test_spectral_noise_has_the_grain_it_is_told() -> None:
    shape = (6, 96, 96)
    rng = np.random.default_rng(0)
    white = spectral_noise(shape, rng, power=0, cutoff=10)
    coarse = spectral_noise(shape, rng, power=0.5, cutoff=0.15)
    streaks = spectral_noise(shape, rng, power=0.5, cutoff=0.3, stretch=2.0, turn=0.0)
    for noise in (white, coarse, streaks):
        assert noise.std() == pytest.approx(1, rel=0.05)
    assert abs(correlation(white, 2)) < 0.03
    assert correlation(coarse, 2) > 0.6
    assert correlation(streaks, 2) > correlation(streaks, 1) + 0.2
    # The ramp leaves little of the lowest frequencies: wide means are far quieter than of blur.
    blurred = spectral_noise(shape, rng, power=0, cutoff=0.15)
    assert wide_mean_spread(coarse) < 0.6 * wide_mean_spread(blurred)


def wide_mean_spread(noise: np.ndarray) -> float:
    return float(noise.reshape(6, 6, 16, 6, 16).mean(axis=(2, 4)).std())


def test_slices_that_overlap_share_noise() -> None:
    noise = np.random.default_rng(0).standard_normal((40, 24, 24)).astype(np.float32)
    mixed = mixed_over_slices(noise, 0.2)
    assert mixed.std() == pytest.approx(1, rel=0.05)
    assert correlation(mixed, 0) == pytest.approx(0.4 / 1.08, abs=0.03)


def test_chance_comes_from_the_generator_alone() -> None:
    shape = (4, 32, 32)
    for make in (random_spectral_noise, random_phantom):
        same = [make(shape, np.random.default_rng(5)) for _ in range(2)]
        assert np.array_equal(*same)
        assert same[0].dtype == np.float32
        assert not np.array_equal(same[0], make(shape, np.random.default_rng(6)))
