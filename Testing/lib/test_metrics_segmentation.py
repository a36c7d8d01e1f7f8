"""Overlap and surface distances against MONAI's and against brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_dice, compute_hausdorff_distance, compute_iou

from MedEnhanceLib.errors import VolumeError
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.quality.segmentation_metrics import dice, hd95, iou, volume_error_percent

SPACING = (0.7, 1.1, 2.5)


def _ball(centre, radius, shape=(20, 24, 28)):
    grid = np.indices(shape)
    return sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) <= radius**2


def _geometry(mask):
    return Geometry(mask.shape[::-1], SPACING)


def _batch(mask):
    return torch.from_numpy(mask)[None, None].float()


@pytest.fixture(scope="module")
def masks():
    return _ball((9, 12, 13), 6), _ball((10, 11, 15), 5) | _ball((4, 18, 20), 2)


def test_overlap_agrees_with_monai(masks):
    reference, found = masks
    batches = _batch(found), _batch(reference)
    assert dice(reference, found) == pytest.approx(float(compute_dice(*batches)))
    assert iou(reference, found) == pytest.approx(float(compute_iou(*batches)))


def test_hd95_agrees_with_monai_on_anisotropic_voxels(masks):
    reference, found = masks
    expected = compute_hausdorff_distance(
        _batch(found), _batch(reference), percentile=95, spacing=SPACING[::-1]
    )
    assert hd95(reference, found, _geometry(reference)) == pytest.approx(float(expected), abs=1e-3)


def test_hd95_agrees_with_brute_force_at_the_border():
    reference, found = np.zeros((2, 5, 6, 7), bool)
    reference[0:2, 1:4, 0:3] = True
    found[0:3, 2:5, 1:4] = True
    expected = max(
        np.percentile(_nearest(reference, found), 95), np.percentile(_nearest(found, reference), 95)
    )
    assert hd95(reference, found, _geometry(reference)) == pytest.approx(expected, abs=1e-4)


def _nearest(mask, other):
    points, others = (
        np.array(np.nonzero(m)).T * np.array(SPACING[::-1]) for m in map(_shell, (mask, other))
    )
    return np.linalg.norm(points[:, None] - others[None], axis=2).min(axis=1)


def _shell(mask):
    padded = np.pad(mask, 1)
    core = padded.copy()
    for axis in range(3):
        core &= np.roll(padded, 1, axis) & np.roll(padded, -1, axis)
    return mask & ~core[1:-1, 1:-1, 1:-1]


def test_a_shift_is_measured_in_mm():
    reference, found = np.zeros((2, 12, 12, 12), bool)
    reference[3:8, 3:8, 3:8] = True
    found[5:10, 3:8, 3:8] = True
    assert hd95(reference, found, _geometry(reference)) == pytest.approx(2 * SPACING[2])


def test_empty_masks():
    nothing, something = np.zeros((4, 4, 4), bool), np.ones((4, 4, 4), bool)
    geometry = _geometry(nothing)
    assert (dice(nothing, nothing), iou(nothing, nothing)) == (1, 1)
    assert (dice(nothing, something), iou(something, nothing)) == (0, 0)
    assert hd95(nothing, nothing, geometry) == 0
    assert hd95(nothing, something, geometry) == math.inf
    assert volume_error_percent(nothing, something) == math.inf


def test_volume_error_has_a_sign():
    reference, found = np.zeros((2, 4, 4, 4), bool)
    reference[:2] = True
    found[:1] = True
    assert volume_error_percent(reference, found) == -50
    assert volume_error_percent(found, reference) == 100


def test_different_grids_are_refused():
    with pytest.raises(VolumeError, match="same grid"):
        dice(np.zeros((4, 4, 4), bool), np.zeros((4, 4, 5), bool))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_single_slice_has_its_surface_within(axis):
    grid = np.indices((30, 40))
    disc = (grid[0] - 12) ** 2 + (grid[1] - 15) ** 2 <= 64
    reference, found = (np.expand_dims(m, axis) for m in (disc, np.roll(disc, 5, axis=1)))
    flat = [torch.from_numpy(m)[None, None].float() for m in (np.roll(disc, 5, axis=1), disc)]
    expected = compute_hausdorff_distance(*flat, percentile=95)
    geometry = Geometry(reference.shape[::-1])
    assert hd95(reference, found, geometry) == pytest.approx(float(expected), abs=1e-5)
