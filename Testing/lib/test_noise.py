"""The noise estimate and intensity scaling."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from MedEnhanceLib.acquisition import add_rician_noise
from MedEnhanceLib.errors import BundleError, VolumeError
from MedEnhanceLib.intensity import (
    Scaling,
    largest_usual,
    peak_without_noise,
    robust_peak,
    scaling_named,
    usual_values,
)
from MedEnhanceLib.noise import (
    _koay_factor,
    _with_beside,
    estimate_noise,
    noise_in_parts,
    prudent_level,
)
from MedEnhanceLib.quality.evidence import object_mask, uneven_noise_warning

from .conftest import head_like


@pytest.mark.parametrize("percent", [1, 3, 9, 15])
def test_noise_is_found_within_a_tenth(percent: float) -> None:
    clean = head_like((40, 48, 44), sigma=0)
    sigma = percent / 100 * 900
    noisy = add_rician_noise(clean, sigma, np.random.default_rng(1))
    assert estimate_noise(noisy) == pytest.approx(sigma, rel=0.1)


@pytest.mark.parametrize("unit", [1, 0.001])
@pytest.mark.parametrize("sigma", [1.5, 2.4, 3.3])
def test_steps_of_stored_integers_do_not_show(sigma: float, unit: float) -> None:
    """The magnitudes of detail of integers have few values; their median jumped by up to 30 %."""
    noisy = add_rician_noise(head_like((40, 48, 44), sigma=0), sigma, np.random.default_rng(1))
    rounded = np.round(noisy).astype(np.int16)
    stored = rounded if unit == 1 else rounded.astype(np.float32) * np.float32(unit)
    expected = np.hypot(estimate_noise(noisy), 1 / np.sqrt(12))  # rounding is noise as well
    assert estimate_noise(stored) / unit == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("kind", ["windowed", "8 bit", "white around"])
def test_noise_is_found_beside_what_was_cut_off(kind: str) -> None:
    clean = head_like((40, 48, 44), sigma=0)
    noisy = add_rician_noise(clean, 45, np.random.default_rng(1))
    if kind == "white around":
        cut, unit = np.where(clean > 0, noisy, noisy.max()), 1.0
    else:
        ceiling = np.percentile(noisy, 80)
        cut, unit = np.minimum(noisy, ceiling), 1.0
        if kind == "8 bit":
            cut, unit = (cut * 255 / ceiling).astype(np.uint8), ceiling / 255
    assert unit * estimate_noise(cut) == pytest.approx(45, rel=0.15)


@pytest.mark.parametrize("shape", [(9, 10, 11), (1, 20, 20), (2, 3, 1)])
def test_beside_the_ceiling_lies_what_is_up_to_two_steps_away(shape: tuple[int, int, int]) -> None:
    at_ceiling = np.random.default_rng(0).random(shape) < 0.05
    at_ceiling[0, 0, 0] = True
    expected = ndimage.binary_dilation(at_ceiling, iterations=2)
    assert np.array_equal(_with_beside(at_ceiling), expected)


def test_noise_at_low_signal_is_not_underestimated() -> None:
    """At a signal of 1.5 sigma the magnitude's spread is a fifth smaller than sigma."""
    clean = np.full((40, 40, 40), 15.0, np.float32)
    noisy = add_rician_noise(clean, 10.0, np.random.default_rng(1))
    assert noisy.std() < 9
    assert estimate_noise(noisy) == pytest.approx(10, rel=0.07)


def test_gaussian_noise_of_ct() -> None:
    rng = np.random.default_rng(1)
    air_and_tissue = np.where(np.arange(40) < 20, -1000, 40) * np.ones((40, 40, 40))
    assert estimate_noise(air_and_tissue + rng.normal(0, 12, (40,) * 3), rician=False) == (
        pytest.approx(12, rel=0.1)
    )


@pytest.mark.parametrize("snr", [0.0, 1.0, 4.0, 35.0])
def test_the_spread_of_magnitudes_is_that_of_rice(snr: float) -> None:
    drawn = add_rician_noise(np.full((100, 100, 100), snr), 1.0, np.random.default_rng(0))
    assert _koay_factor(snr) == pytest.approx(drawn.var(), rel=0.01)


def test_all_of_a_tiny_volume_tells_its_noise() -> None:
    """In its flattest half too few voxels are left."""
    clean = np.full((8, 8, 8), 500, np.float32)
    found = [
        estimate_noise(add_rician_noise(clean, 20.0, np.random.default_rng(seed)))
        for seed in range(60)
    ]
    assert np.std(found) < 5


def test_an_axis_too_short_to_halve_is_not_halved() -> None:
    flat = np.full((12, 80, 80), 500, np.float32)
    assert len(noise_in_parts(add_rician_noise(flat, 20.0, np.random.default_rng(1)))) == 2


@pytest.mark.parametrize("shape", [(1, 60, 60), (3, 50, 50), (60, 1, 60)])
def test_thin_volumes(shape: tuple[int, int, int]) -> None:
    clean = np.full(shape, 500.0, np.float32)
    noisy = add_rician_noise(clean, 20.0, np.random.default_rng(1))
    assert estimate_noise(noisy) == pytest.approx(20, rel=0.15)


def test_an_implant_does_not_hide_the_object() -> None:
    noisy = head_like((40, 48, 44), sigma=30)
    plain = estimate_noise(noisy)
    noisy[18:24, 20:26, 20:26] = 9000
    assert estimate_noise(noisy) == pytest.approx(plain, rel=0.1)
    assert 0.2 < object_mask(noisy).mean() < 0.3
    assert usual_values(np.full(9, 3.0)).size == 9


def test_noise_that_rises_across_the_volume_is_told_and_even_or_weak_noise_is_not() -> None:
    clean = head_like((48, 56, 60), sigma=0)
    rising = np.linspace(9, 90, 60, dtype=np.float32)
    for sigma, told in ((rising, 1), (rising.mean(), 0), (rising / 4, 0)):
        first, second = np.random.default_rng(1).normal(0, 1, (2, *clean.shape)) * sigma
        warnings = uneven_noise_warning(np.hypot(clean + first, second))
        assert len(warnings) == told and all("differs within" in said for said in warnings)


def test_noise_that_was_cut_off_in_places_is_not_called_uneven() -> None:
    clean = head_like((64, 64, 64), sigma=0) * np.linspace(0.5, 1.5, 64, dtype=np.float32)
    noisy = add_rician_noise(clean, 45, np.random.default_rng(2))
    assert not uneven_noise_warning(np.minimum(noisy, np.percentile(noisy, 70)))


def test_no_noise_is_zero() -> None:
    assert estimate_noise(head_like((24, 24, 24), sigma=0)) == 0
    assert estimate_noise(np.ones((3, 3, 3))) == 0


def test_robust_peak_ignores_outliers_but_not_small_objects() -> None:
    voxels = np.ones((20, 20, 20))
    voxels[0, 0, 0] = 1e6
    assert robust_peak(voxels) == 1
    small = np.zeros((20, 20, 20))
    small[3, 3, 3] = 5
    assert robust_peak(small) == 5
    with pytest.raises(VolumeError, match="above"):
        robust_peak(np.full((4, 4, 4), -3.0))
    assert largest_usual(-small) == 5


def test_half_of_the_peak_is_left_however_strong_the_noise() -> None:
    half = np.where(np.arange(20) < 10, 0.0, 100.0) * np.ones((20, 20, 20))
    assert peak_without_noise(half, 1e4) == 50


@pytest.mark.parametrize("name", ["robust_peak", "zscore_nonzero", "hu"])
def test_scalings_are_undone_exactly_enough(name: str) -> None:
    voxels = (head_like() - 20).astype(np.int16)
    scaling = scaling_named(name, voxels)
    assert np.abs(scaling.restore(scaling.normalise(voxels)) - voxels).max() < 1e-3


def test_zscore_is_of_the_voxels_inside() -> None:
    voxels = np.array([0, 0, 0, 1, 3], np.float32)
    assert scaling_named("zscore_nonzero", voxels) == Scaling(2, 1)
    for constant in ([0, 0, 0], [0, 0, 3], [0, 3, 3]):
        with pytest.raises(VolumeError, match="constant"):
            scaling_named("zscore_nonzero", np.array(constant))


def test_unknown_scaling_is_named() -> None:
    with pytest.raises(BundleError, match="histogram"):
        scaling_named("histogram", np.ones(3))


@pytest.mark.parametrize(("texture", "lowest"), [(0.6, 0.93), (1.0, 0.75)])
def test_texture_is_hardly_taken_for_noise_nor_noise_for_texture(
    texture: float, lowest: float
) -> None:
    """Texture as strong as the noise, down to the size of a voxel; then smoother and stronger."""
    rng = np.random.default_rng(0)
    grain = sitk.GetImageFromArray(rng.normal(size=(48, 64, 64)).astype(np.float32))
    grain = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(grain, texture))
    sigma = 30.0 if texture < 1 else 10.0
    clean = head_like((48, 64, 64), sigma=0)
    textured = clean + (clean > 0) * 30 * grain / grain.std()
    found = estimate_noise(add_rician_noise(np.maximum(textured, 0), sigma, rng))
    assert lowest < found / sigma < 1.08


def test_noise_that_was_smoothed_is_not_mistaken_for_none() -> None:
    noise = np.random.default_rng(0).normal(500, 30, (32, 48, 48)).astype(np.float32)
    smooth = sitk.SmoothingRecursiveGaussian(sitk.GetImageFromArray(noise), 1.0)
    assert estimate_noise(sitk.GetArrayFromImage(smooth)) > 0


def test_a_denoiser_is_told_less_of_weak_noise_and_all_of_strong() -> None:
    assert prudent_level(1.0, 100.0) == pytest.approx(0.6)
    assert prudent_level(9.0, 100.0) == pytest.approx(9.0, rel=0.01)
    assert prudent_level(2.0, 100.0) < 1.7
