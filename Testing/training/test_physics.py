"""Varying noise, k-space, gaps between slices and shading do what a scanner does."""

from __future__ import annotations

import numpy as np
import pytest

from MedEnhanceLib.acquisition import FWHM_PER_SIGMA, add_rician_noise
from training.physics.bias_field import bias_field
from training.physics.kspace import partial_fourier, to_image, to_kspace, truncate
from training.physics.slices import gap_matrix
from training.physics.varying_noise import add_varying_rician_noise, geometry_factor


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.fixture
def edge() -> np.ndarray:
    """A box of 1 in a field of 0, 64 voxels along each of two axes."""
    image = np.zeros((64, 64), dtype=np.float32)
    image[20:44, 20:44] = 1
    return image


def test_geometry_factor_is_smooth_and_within_its_limits(rng: np.random.Generator) -> None:
    for _ in range(20):
        factor = geometry_factor((20, 24, 16), rng, 2.0)
        assert factor.dtype == np.float32
        assert factor.min() >= 1
        assert factor.max() <= 2.0 + 1e-5
        assert max(np.abs(np.diff(factor, axis=axis)).max() for axis in range(3)) < 0.2


def test_varying_noise_has_the_level_of_its_map(rng: np.random.Generator) -> None:
    clean = np.full((60, 60, 60), 100, dtype=np.float32)
    noisy, level = add_varying_rician_noise(clean, 1.0, rng)
    assert level.max() / level.min() > 1.1
    for part in (level < np.quantile(level, 0.2), level > np.quantile(level, 0.8)):
        expected = np.sqrt((level[part] ** 2).mean())
        assert (noisy - clean)[part].std() == pytest.approx(expected, rel=0.02)


def test_geometry_factor_below_one_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=r"0\.5"):
        geometry_factor((4, 4), rng, 0.5)


def test_kspace_and_back(rng: np.random.Generator) -> None:
    for size in (7, 8):
        image = rng.random((size, 3))
        np.testing.assert_allclose(to_image(to_kspace(image, 0), 0), image, atol=1e-12)
        centre = to_kspace(image, 0)[size // 2]
        np.testing.assert_allclose(centre, image.sum(axis=0), atol=1e-12)


def test_truncation_rings_at_an_edge_and_nowhere_else(edge: np.ndarray) -> None:
    ringing = truncate(edge, 1, 0.5)
    assert ringing.shape == edge.shape
    assert ringing.dtype == np.float32
    assert ringing[32].max() == pytest.approx(1.09, abs=0.04)  # Gibbs: 9 % of the jump
    np.testing.assert_allclose(ringing[:20], 0, atol=1e-6)
    np.testing.assert_allclose(truncate(edge, 0, 1.0), edge, atol=1e-6)


def test_zero_filling_makes_the_noise_of_neighbours_alike(rng: np.random.Generator) -> None:
    noise = rng.standard_normal((64, 64, 16)) + 1j * rng.standard_normal((64, 64, 16))
    real = truncate(noise, 0, 0.5).real
    assert np.mean(real[1:] * real[:-1]) / real.var() == pytest.approx(2 / np.pi, abs=0.03)
    assert real.var() == pytest.approx(0.5, rel=0.03)


def test_homodyne_brings_back_what_zero_filling_blurs(edge: np.ndarray) -> None:
    phase = np.exp(1j * np.linspace(0, 1.5, 64))[None]
    complex_image = edge * phase
    zero_filled = np.abs(partial_fourier(complex_image, 1, 0.65))
    homodyne = partial_fourier(complex_image, 1, 0.65, "homodyne")
    assert not np.iscomplexobj(homodyne)
    blurred, restored = (np.sqrt(np.mean((i - edge) ** 2)) for i in (zero_filled, homodyne))
    assert restored < 0.6 * blurred


@pytest.mark.parametrize("count", [63, 64])
def test_homodyne_leaves_what_was_sampled_whole(count: int) -> None:
    image = np.random.default_rng(0).random(count).astype(np.float32)
    np.testing.assert_allclose(partial_fourier(image, 0, 1.0, "homodyne"), image, atol=1e-5)


@pytest.mark.parametrize("count", [9, 10])
@pytest.mark.parametrize("method", ["zero-filled", "homodyne"])
def test_full_sampling_and_constants_survive(count: int, method: str) -> None:
    image = np.random.default_rng(0).random((count, 2)).astype(np.float32)
    np.testing.assert_allclose(partial_fourier(image, 0, 1.0, "zero-filled"), image, atol=1e-6)
    constant = partial_fourier(np.full((count, 2), 4.0), 0, 0.51, method)
    np.testing.assert_allclose(constant, 4, atol=1e-6)


@pytest.mark.parametrize("share", [0, 1.2])
def test_impossible_sampling_is_named(share: float) -> None:
    with pytest.raises(ValueError, match=str(share)):
        truncate(np.ones(8), 0, share)
    with pytest.raises(ValueError, match=str(share)):
        partial_fourier(np.ones(8), 0, share)
    with pytest.raises(ValueError, match="pocs"):
        partial_fourier(np.ones(8), 0, 0.7, "pocs")  # type: ignore[arg-type]


def test_gap_leaves_voxels_out() -> None:
    voxels = np.zeros(16)
    voxels[3::4] = 100  # in the gap between two slices
    voxels[0::4] = 100
    np.testing.assert_allclose(gap_matrix(16, 4, 0.5) @ voxels, 0, atol=1e-6)
    np.testing.assert_allclose(gap_matrix(16, 4, 0.0) @ voxels, 50)


def test_the_narrowest_profile_measures_the_nearest_voxels() -> None:
    matrix = gap_matrix(16, 8, 0.99, "gaussian")
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    np.testing.assert_allclose(matrix[1, 2:4], 0.5)


def test_gap_narrows_the_profile() -> None:
    matrix = gap_matrix(200, 20, 0.25, "gaussian")
    place = np.arange(200)
    centre = matrix[10] @ place
    spread = np.sqrt(matrix[10] @ (place - centre) ** 2)
    assert spread * FWHM_PER_SIGMA == pytest.approx(7.5, rel=0.01)
    with pytest.raises(ValueError, match="1"):
        gap_matrix(10, 5, 1)


def test_bias_field_is_smooth_and_around_one(rng: np.random.Generator) -> None:
    fields = [bias_field((16, 20, 12), rng) for _ in range(10)]
    assert all(field.shape == (16, 20, 12) for field in fields)
    assert min(field.min() for field in fields) > 0
    assert np.mean([np.log(field).mean() for field in fields]) == pytest.approx(0, abs=0.1)
    assert all(field.std() > 0.02 for field in fields)
    again = bias_field((16, 20, 12), np.random.default_rng(3))
    np.testing.assert_array_equal(again, fields[0])


def test_no_noise_where_the_level_is_zero(rng: np.random.Generator) -> None:
    clean = rng.random((4, 4, 4), dtype=np.float32)
    noisy, level = add_varying_rician_noise(clean, 0.0, rng)
    np.testing.assert_allclose(noisy, add_rician_noise(clean, 0, rng))
    assert not level.any()
