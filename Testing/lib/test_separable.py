"""Filters as matrices give what ITK's filters give."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.quality.separable import along, box_mean
from MedEnhanceLib.quality.sharpness import gradient_magnitude

from .conftest import head_like


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.9, 2.5)])
def test_gradient_is_that_of_itk(spacing: tuple[float, float, float]) -> None:
    voxels = head_like((24, 30, 28))
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(spacing)
    expected = sitk.GetArrayFromImage(sitk.GradientMagnitudeRecursiveGaussian(image, min(spacing)))
    found = gradient_magnitude(voxels, Geometry((28, 30, 24), spacing))
    assert np.abs(found - expected).max() < 1e-5 * expected.max()


@pytest.mark.parametrize("radius", [(1, 1, 1), (4, 3, 1)])
def test_box_mean_is_that_of_itk(radius: tuple[int, int, int]) -> None:
    voxels = head_like((9, 12, 20))
    expected = sitk.GetArrayFromImage(sitk.BoxMean(sitk.GetImageFromArray(voxels), radius))
    assert np.abs(box_mean(voxels, radius) - expected).max() < 1e-5 * expected.max()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_matrices_work_along_their_axis(axis: int) -> None:
    values = np.random.default_rng(0).random((70, 40, 33)).astype(np.float32)
    reversal = np.eye(values.shape[axis], dtype=np.float32)[::-1]
    assert np.array_equal(along(reversal, values, axis), np.flip(values, axis))
