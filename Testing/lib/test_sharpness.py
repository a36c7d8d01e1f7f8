"""How sharp edges are, and where in a large volume that is looked at."""

from __future__ import annotations

import pytest
from scipy import ndimage

from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.quality import sharpness
from MedEnhanceLib.quality.sharpness import (
    edge_mask,
    edge_sharpness,
    gradient_magnitude,
    sharpness_at,
)
from MedEnhanceLib.slabs import middle_slab

from .conftest import head_like

SHAPE = (40, 30, 28)
GEOMETRY = Geometry(SHAPE[::-1], (1.0, 1.0, 1.0))


@pytest.mark.parametrize("most", [5 * 30 * 28, 10**9])
def test_both_ways_to_measure_look_at_the_same_place(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharpness, "ENOUGH_VOXELS", most)
    voxels = head_like(SHAPE)
    gradient = gradient_magnitude(voxels, GEOMETRY)
    edges = edge_mask(gradient)
    at_hand = sharpness_at(edges, gradient, voxels)
    assert at_hand > 0
    assert edge_sharpness(voxels, GEOMETRY, edges) == pytest.approx(at_hand, rel=1e-4)


def test_only_the_middle_of_a_large_volume_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharpness, "ENOUGH_VOXELS", 4 * 30 * 28)
    voxels = head_like(SHAPE)
    edges = edge_mask(gradient_magnitude(voxels, GEOMETRY))
    before = edge_sharpness(voxels, GEOMETRY, edges)
    blurred = ndimage.gaussian_filter(voxels, 1)
    far, near = voxels.copy(), voxels.copy()
    far[:2], near[18:22] = blurred[:2], blurred[18:22]
    assert edge_sharpness(far, GEOMETRY, edges) == pytest.approx(before, rel=0.01)
    assert edge_sharpness(near, GEOMETRY, edges) < 0.9 * before


def test_the_middle_slab() -> None:
    slab = middle_slab((40, 10, 10), 500, 3)
    assert (slab.core, slab.grown, slab.inner) == (slice(17, 22), slice(14, 25), slice(3, 8))
    assert middle_slab((40, 10, 10), 10, 3).core == slice(19, 20)
    whole = middle_slab((40, 10, 10), 10**6, 3)
    assert whole.core == whole.grown == whole.inner == slice(0, 40)
