"""The acquisition physics: noise moments, edges, constants, adjoints."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from MedEnhanceLib.acquisition import (
    FWHM_PER_SIGMA,
    add_rician_noise,
    apply_along,
    interpolate_axis,
    interpolation_matrix,
    lanczos_matrix,
    slice_matrix,
    thick_slices,
)

SHAPE = (24, 10, 7)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_noise_without_signal_is_rayleigh(rng: np.random.Generator) -> None:
    noise = add_rician_noise(np.zeros((60, 60, 60)), 2.0, rng)
    assert noise.dtype == np.float32
    assert noise.mean() == pytest.approx(2 * np.sqrt(np.pi / 2), rel=0.01)
    assert noise.var() == pytest.approx(4 * (2 - np.pi / 2), rel=0.02)


def test_second_moment_of_rician_noise(rng: np.random.Generator) -> None:
    for signal in (0.5, 3.0, 20.0):
        noisy = add_rician_noise(np.full((60, 60, 60), signal), 1.0, rng)
        assert (noisy.astype(float) ** 2).mean() == pytest.approx(signal**2 + 2, rel=0.02)
    assert noisy.std() == pytest.approx(1, rel=0.02)


def test_noise_level_may_vary_over_the_volume(rng: np.random.Generator) -> None:
    sigma = np.array([0.0, 1.0, 5.0])[:, None, None]
    noisy = add_rician_noise(np.full((3, 80, 80), 100.0), sigma, rng)
    np.testing.assert_allclose(noisy.std(axis=(1, 2)), sigma.ravel(), rtol=0.05)


def test_negative_noise_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="-1"):
        add_rician_noise(np.ones(3), -1.0, rng)


@pytest.mark.parametrize("profile", ["gaussian", "box"])
@pytest.mark.parametrize("factor", [1, 1.3, 2, 2.5, 4, 24, 100])
@pytest.mark.parametrize("ratio", [0.4, 1.0, 1.5])
def test_constants_survive_thick_slices(profile: str, factor: float, ratio: float) -> None:
    for axis in range(3):
        thick = thick_slices(np.full(SHAPE, 7.0), axis, factor, profile, ratio)
        assert thick.shape[axis] == max(1, round(SHAPE[axis] / factor))
        np.testing.assert_allclose(thick, 7.0, rtol=1e-6)


@pytest.mark.parametrize("order", range(6))
def test_constants_survive_interpolation(order: int) -> None:
    for axis, size in ((0, 61), (1, 20), (2, 3)):
        fine = interpolate_axis(np.full(SHAPE, 7.0), axis, size, order)
        assert fine.shape[axis] == size
        np.testing.assert_allclose(fine, 7.0, rtol=1e-6)


def test_box_profile_of_two_averages_pairs(rng: np.random.Generator) -> None:
    voxels = rng.random(SHAPE, dtype=np.float32)
    expected = voxels.reshape(12, 2, 10, 7).mean(axis=1)
    np.testing.assert_allclose(thick_slices(voxels, 0, 2, "box"), expected, rtol=1e-5)


def test_gaussian_profile_has_the_stated_width() -> None:
    matrix = slice_matrix(200, 25, "gaussian", 1.5)
    position = np.arange(200)
    weights = matrix[12]
    centre = (weights * position).sum()
    spread = np.sqrt((weights * (position - centre) ** 2).sum())
    assert centre == pytest.approx(12.5 * 8 - 0.5)
    assert spread * FWHM_PER_SIGMA == pytest.approx(12.0, rel=0.01)


@pytest.mark.parametrize("factor", [2, 3, 1.6])
def test_field_of_view_is_kept(factor: float) -> None:
    """A slope keeps its values at the same physical places, up to the mirrored edges."""
    ramp = np.arange(48, dtype=float) + 0.5
    thick = thick_slices(ramp, 0, factor, "box")
    thickness = 48 / len(thick)
    np.testing.assert_allclose(thick, (np.arange(len(thick)) + 0.5) * thickness, atol=0.15)
    fine = interpolate_axis(thick, 0, 48)
    np.testing.assert_allclose(fine[8:-8], ramp[8:-8], atol=0.1)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [40, 53, 20, 9])
def test_interpolation_agrees_with_scipy(rng: np.random.Generator, order: int, size: int) -> None:
    line = rng.random(20)
    places = (np.arange(size) + 0.5) * 20 / size - 0.5
    expected = ndimage.map_coordinates(line, [places], order=order, mode="reflect")
    np.testing.assert_allclose(interpolation_matrix(20, size, order) @ line, expected, atol=1e-6)


@pytest.mark.parametrize(("count", "size"), [(20, 53), (20, 40), (7, 8), (2, 16), (1, 3)])
def test_lanczos_is_the_windowed_sinc_over_ten_voxels_edges_repeated(
    rng: np.random.Generator, count: int, size: int
) -> None:
    line = rng.random(count)
    repeated = np.pad(line, 5, mode="edge")
    places = (np.arange(size) + 0.5) * count / size - 0.5
    distance = places[:, None] - np.arange(-5, count + 5)
    weights = np.sinc(distance) * np.sinc(distance / 5) * (abs(distance) < 5)
    expected = weights @ repeated / weights.sum(axis=1)
    np.testing.assert_allclose(lanczos_matrix(count, size) @ line, expected, atol=1e-12)


def test_same_size_changes_nothing(rng: np.random.Generator) -> None:
    voxels = rng.random(SHAPE, dtype=np.float32)
    for order in (1, 3, 5):
        np.testing.assert_allclose(interpolate_axis(voxels, 1, 10, order), voxels, atol=1e-6)
    np.testing.assert_allclose(lanczos_matrix(10, 10), np.eye(10), atol=1e-12)
    np.testing.assert_allclose(thick_slices(voxels, 0, 1, "box"), voxels, atol=1e-6)


def test_transpose_is_the_adjoint(rng: np.random.Generator) -> None:
    """<A x, y> = <x, A^T y>: what back-projection relies on."""
    matrix = slice_matrix(24, 11)
    x, y = rng.random(SHAPE), rng.random((11, *SHAPE[1:]))
    forward = float((apply_along(matrix, x, 0) * y).sum())
    backward = float((x * apply_along(matrix.T, y, 0)).sum())
    assert forward == pytest.approx(backward, rel=1e-5)


def test_every_axis_is_treated_alike(rng: np.random.Generator) -> None:
    voxels = rng.random((12, 12, 12), dtype=np.float32)
    for axis in (1, 2):
        turned = np.moveaxis(voxels, axis, 0)
        np.testing.assert_allclose(
            np.moveaxis(thick_slices(voxels, axis, 2), axis, 0), thick_slices(turned, 0, 2)
        )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [((10, 11), "11"), ((10, 0), "0"), ((10, 5, "square"), "square"), ((10, 5, "box", 0), "0")],
)
def test_impossible_slices_are_named(arguments: tuple, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        slice_matrix(*arguments)


def test_slices_cannot_become_thinner() -> None:
    with pytest.raises(ValueError, match=r"0\.5"):
        thick_slices(np.ones(4), 0, 0.5)


def test_matrices_cannot_be_spoiled() -> None:
    with pytest.raises(ValueError, match="read-only"):
        interpolation_matrix(4, 8)[0, 0] = 1
