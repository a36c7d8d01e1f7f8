"""Image metrics against scikit-image, and their behaviour at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from MedEnhanceLib.errors import VolumeError
from MedEnhanceLib.quality.metrics import foreground, gain_db, psnr, rmse, ssim


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(3)
    k, j, i = np.mgrid[:18, :22, :26]
    clean = 400 * np.exp(-((k - 9) ** 2 + (j - 11) ** 2 + (i - 13) ** 2) / 60) + 3 * i
    return clean.astype(np.float32), (clean + rng.normal(0, 20, clean.shape)).astype(np.float32)


def test_psnr_agrees_with_scikit_image(pair):
    clean, noisy = pair
    expected = peak_signal_noise_ratio(clean, noisy, data_range=500)
    assert psnr(clean, noisy, 500) == pytest.approx(expected, abs=1e-4)


def test_ssim_agrees_with_scikit_image(pair):
    clean, noisy = pair
    expected = structural_similarity(
        clean.astype(float),
        noisy.astype(float),
        data_range=500,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim(clean, noisy, 500) == pytest.approx(expected, abs=1e-5)


def test_ssim_over_a_mask_averages_the_map_there(pair):
    clean, noisy = pair
    _, full = structural_similarity(
        clean.astype(float),
        noisy.astype(float),
        data_range=500,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    mask = foreground(clean, 500)
    assert 0 < mask.sum() < mask.size
    assert ssim(clean, noisy, 500, mask) == pytest.approx(full[mask].mean(), abs=1e-5)


def test_ssim_of_large_values_with_small_contrast(pair):
    clean, noisy = pair
    far, far_noisy = clean.astype(np.float64) + 1e5, noisy.astype(np.float64) + 1e5
    expected = structural_similarity(
        far, far_noisy, data_range=500, gaussian_weights=True, use_sample_covariance=False
    )
    assert ssim(far, far_noisy, 500) == pytest.approx(expected, abs=2e-3)


def test_identical_images(pair):
    clean, _ = pair
    assert rmse(clean, clean) == 0
    assert psnr(clean, clean, 500) == math.inf
    assert ssim(clean, clean, 500) == pytest.approx(1, abs=1e-6)


def test_half_the_error_is_a_gain_of_six_decibels(pair):
    clean, noisy = pair
    assert gain_db(clean, noisy, (clean + noisy) / 2) == pytest.approx(20 * math.log10(2))
    assert gain_db(clean, noisy, clean) == math.inf


def test_rmse_counts_the_mask_only(pair):
    clean, _ = pair
    spoilt = clean.copy()
    spoilt[0] += 1000
    mask = np.ones(clean.shape, bool)
    mask[0] = False
    assert rmse(clean, spoilt, mask) == 0
    assert rmse(clean, spoilt) == pytest.approx(1000 / math.sqrt(len(clean)))


def test_whole_numbers_do_not_wrap_around():
    dark = np.zeros((4, 4, 4), np.uint8)
    bright = np.full((4, 4, 4), 200, np.uint8)
    assert rmse(bright, dark) == rmse(dark, bright) == 200


def test_one_slice_has_a_similarity():
    rng = np.random.default_rng(1)
    slice_ = rng.random((1, 30, 30)).astype(np.float32)
    assert ssim(slice_, slice_, 1.0) == pytest.approx(1)


def test_foreground_is_above_ten_of_255():
    values = np.array([0.0, 9.9, 10.1, 255.0])
    assert foreground(values, 255).tolist() == [False, False, True, True]


@pytest.mark.parametrize("metric", [rmse, lambda a, b, mask=None: ssim(a, b, 1, mask)])
def test_bad_pairs_say_what_is_wrong(metric, pair):
    clean, _ = pair
    with pytest.raises(VolumeError, match="26 x 22 x 17 voxels"):
        metric(clean, clean[1:])
    with pytest.raises(VolumeError, match="mask is empty"):
        metric(clean, clean, np.zeros(clean.shape, bool))
