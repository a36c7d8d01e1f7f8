"""Interpolated images are told by their spectrum."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from MedEnhanceLib import Geometry, Volume, read_volume, suitability
from MedEnhanceLib.acquisition import add_rician_noise
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.interpolated import interpolated_axes
from MedEnhanceLib.task import Task
from MedEnhanceLib.tiles import central_block

MR = Bundle("m", "MR model", Task.DENOISE, "CNN", "MR", ranges={"noise_percent": (0.5, 11)})


def zero_filled(image: np.ndarray, factor: float) -> np.ndarray:
    """The magnitude (k, j, i) of a complex image whose k-space was filled with zeros in-plane."""
    spectrum = np.fft.fftshift(np.fft.fft2(image), axes=(1, 2))
    more = round(image.shape[1] * (factor - 1) / 2)
    filled = np.pad(spectrum, ((0, 0), (more, more), (more, more)))
    return np.abs(np.fft.ifft2(np.fft.ifftshift(filled, axes=(1, 2)))).astype(np.float32)


@pytest.fixture
def scan(root: Path) -> np.ndarray:
    voxels = read_volume(root / "Resources/SampleData/mr_head_t1.nii.gz").voxels
    return central_block(voxels, (24, 128, 128)).astype(np.float32)


@pytest.mark.parametrize("factor", [1.3, 1.5, 2.0])
def test_zero_filled_images_are_warned_of(scan: np.ndarray, factor: float) -> None:
    noise = np.random.default_rng(0).normal(0, 6, (2, *scan.shape))
    voxels = zero_filled(scan + noise[0] + 1j * noise[1], factor)
    assert interpolated_axes(voxels) == [1, 2]
    volume = Volume(voxels, Geometry(voxels.shape[::-1]), "MR")
    assert any("interpolated along x and y" in said for said in suitability(volume, MR).reasons)
    assert not any("interpolated" in said for said in suitability(volume, MR, 20.0).reasons)


def test_blurred_masked_noisy_and_partly_bright_images_are_not(scan: np.ndarray) -> None:
    noisy = add_rician_noise(scan, 6.0, np.random.default_rng(0))
    soft = sitk.GetArrayFromImage(sitk.DiscreteGaussian(sitk.GetImageFromArray(noisy), 0.64))
    implant = noisy.copy()
    implant[8:16, 56:72, 56:72] = 20 * noisy.max()
    for image in (scan, noisy, soft, noisy * (scan > 30), implant):
        assert interpolated_axes(image) == []
