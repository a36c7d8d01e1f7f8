"""Finding the slices where a map is largest."""

from __future__ import annotations

import numpy as np
import pytest

from MedEnhanceLib.quality.hot_spots import hot_spots


def blob(voxels: np.ndarray, k: int, j: int, i: int, value: float) -> None:
    voxels[k - 1 : k + 2, j - 1 : j + 2, i - 1 : i + 2] = value


def test_the_largest_come_first_at_their_places() -> None:
    voxels = np.zeros((20, 16, 12), np.float32)
    blob(voxels, 4, 5, 6, 3.0)
    blob(voxels, 12, 8, 3, -7.0)
    first, second = hot_spots(voxels)[:2]
    assert (first.index, second.index) == ((3, 8, 12), (6, 5, 4))
    assert first.value == pytest.approx(7.0, rel=1e-4)


def test_a_single_voxel_does_not_win_over_a_region() -> None:
    voxels = np.zeros((20, 16, 12), np.float32)
    voxels[3, 3, 3] = 9.0
    blob(voxels, 12, 8, 3, 5.0)
    assert hot_spots(voxels)[0].index == (3, 8, 12)


def test_neighbouring_slices_count_once_and_empty_ones_not_at_all() -> None:
    voxels = np.zeros((20, 16, 12), np.float32)
    blob(voxels, 5, 5, 5, 2.0)
    slices = [spot.index[2] for spot in hot_spots(voxels)]
    assert 5 in slices and len(slices) < 3
    blob(voxels, 8, 11, 8, 1.5)
    assert [spot.index[2] for spot in hot_spots(voxels)[:2]] == [5, 8]
    assert hot_spots(np.zeros((4, 4, 4))) == []
