"""Interpolation where a volume has few voxels along an axis."""

from __future__ import annotations

import numpy as np
import pytest

from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.resample import resample, resample_averaged


@pytest.mark.parametrize(
    "shape", [(2, 8, 8), (3, 8, 8), (8, 2, 8), (8, 8, 3), (3, 2, 2), (1, 8, 8)]
)
def test_splines_of_few_slices_stay_in_range(shape: tuple[int, int, int]) -> None:
    """ITK reads beyond such an image, where anything may lie."""
    voxels = np.random.default_rng(0).uniform(0, 100, shape).astype(np.float32)
    grid = Geometry(shape[::-1], (1, 2, 3), (5, -3, 2))
    first, second = (resample(voxels, grid, grid.refined((2, 2, 2)), "bspline5") for _ in range(2))
    assert np.array_equal(first, second)
    assert first.min() > -40 and first.max() < 140
    np.testing.assert_allclose(resample(voxels, grid, grid, "bspline5"), voxels, atol=1e-3)


def test_beyond_a_short_axis_lies_what_was_asked_for() -> None:
    voxels = np.full((2, 8, 8), 50, np.float32)
    grid = Geometry((8, 8, 2))
    wider = resample(voxels, grid, grid.cropped((0, 0, -2), (8, 8, 6)), "bspline5", outside=-7)
    assert (wider[[0, 1, 4, 5]] == -7).all() and np.allclose(wider[2:4], 50)


def test_averages_are_those_of_the_voxels_that_each_one_covers() -> None:
    """Eight along x, which is the target's third axis."""
    voxels = np.random.default_rng(0).uniform(0, 100, (2, 3, 32)).astype(np.float32)
    source = Geometry((32, 3, 2), (0.125, 1, 2))
    axes = ((0, 0, 1), (1, 0, 0), (0, 1, 0))
    target = Geometry((3, 2, 4), (1, 2, 1), (3.5 * 0.125, 0, 0), axes)
    expected = voxels.reshape(2, 3, 4, 8).mean(axis=3).transpose(2, 0, 1)
    np.testing.assert_allclose(resample_averaged(voxels, source, target), expected, rtol=1e-4)
