"""Patches, quieted references and the batches made of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.data import average_neighbours, measure_noise, quiet_references
from training.patches import noise_left, random_contrast, random_patch, random_turn, softened
from training.segmentation import label_dice, random_affine_grid
from training.super_resolution import choose_reference


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_patch_prefers_tissue(rng: np.random.Generator) -> None:
    voxels = np.zeros((60, 60, 60), np.float32)
    voxels[20:40, 20:40, 20:40] = 1
    found = [(random_patch(voxels, (12, 12, 12), rng) > 0.5).mean() for _ in range(30)]
    assert np.mean(found) > 0.2  # anywhere at all it would be 0.04


def test_patch_of_a_small_volume_is_mirrored(rng: np.random.Generator) -> None:
    voxels = rng.random((4, 30, 30), dtype=np.float32) + 1
    patch = random_patch(voxels, (8, 16, 16), rng)
    assert patch.shape == (8, 16, 16)
    np.testing.assert_array_equal(patch[:4], patch[:3:-1])


def test_turn_keeps_the_named_order(rng: np.random.Generator) -> None:
    patch = rng.random((4, 5, 6), dtype=np.float32)
    turned = random_turn(patch, rng, (0, 2, 1))
    assert turned.shape == (4, 6, 5)
    np.testing.assert_allclose(np.sort(turned, axis=None), np.sort(patch, axis=None))


def test_contrast_stays_positive_and_finite(rng: np.random.Generator) -> None:
    patch = rng.random((8, 8, 8), dtype=np.float32) - 0.1
    for _ in range(20):
        changed = random_contrast(patch, rng)
        assert changed.dtype == np.float32
        assert np.isfinite(changed).all()
        assert changed.min() >= 0


def test_averaging_halves_size_and_noise(rng: np.random.Generator) -> None:
    noise = rng.normal(1, 0.1, (41, 40, 40)).astype(np.float32)
    quiet = average_neighbours(noise, (0, 2))
    assert quiet.shape == (20, 40, 20)
    assert quiet.std() == pytest.approx(0.05, rel=0.05)
    assert measure_noise(noise) == pytest.approx(0.1, rel=0.05)


def test_references_of_thick_slices_are_averaged_in_plane(rng: np.random.Generator) -> None:
    scan = rng.random((10, 64, 64), dtype=np.float32) + 0.5
    assert [r.voxels.shape for r in quiet_references("ms", scan)] == [(10, 64, 64), (10, 32, 32)]


def test_super_resolution_keeps_detail_along_its_axis(rng: np.random.Generator) -> None:
    """A reference that is averaged along exactly two axes is never thickened along those."""
    scans = quiet_references("t1", rng.random((40, 40, 40), dtype=np.float32) + 0.5)
    for _ in range(60):
        reference, axis = choose_reference(scans, rng)
        averaged = [a for a in range(3) if reference.voxels.shape[a] == 20]
        assert len(averaged) != 2 or axis not in averaged


def test_softening_tells_the_noise_that_is_left(rng: np.random.Generator) -> None:
    noisy = rng.normal(0.5, 0.02, (48, 48, 48)).astype(np.float32)
    soft = softened(noisy, 0.6)
    assert 0.02 * noise_left(0.6) == pytest.approx(float(soft.std()), rel=0.05)


def test_affine_map_keeps_the_middle(rng: np.random.Generator) -> None:
    """The patch's centre lies within a few voxels of the crop's."""
    for _ in range(10):
        grid = random_affine_grid((36, 50, 34), (40, 56, 40), rng)
        assert grid.shape == (1, 40, 56, 40, 3)
        centre = grid[0, 19:21, 27:29, 19:21].reshape(-1, 3).mean(0)
        assert torch.all(centre.abs() < 0.3)


def test_dice_of_known_overlap() -> None:
    expert = np.array([1, 1, 2, 2, 0, 0], np.uint8)
    found = np.array([1, 0, 2, 2, 2, 0])
    assert label_dice(found, expert) == {1: pytest.approx(2 / 3), 2: pytest.approx(4 / 5)}
