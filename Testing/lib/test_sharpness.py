"""How sharp edges are, and where in a large volume that is looked at."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.quality import sharpness
from MedEnhanceLib.quality.sharpness import (
    edge_mask,
    edge_sharpness,
    enough_slices,
    gradient_in,
    gradient_magnitude,
)
from MedEnhanceLib.slabs import fullest_slab

from .conftest import head_like

SHAPE = (40, 30, 28)
GEOMETRY = Geometry(SHAPE[::-1], (1.0, 1.0, 1.0))
EVERYWHERE = np.ones(SHAPE, bool)


@pytest.mark.parametrize("most", [5 * 30 * 28, 10**9])
def test_the_gradient_of_a_part_is_that_of_the_whole(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharpness, "ENOUGH_VOXELS", most)
    voxels = head_like(SHAPE)
    part = enough_slices(EVERYWHERE)
    found = gradient_in(part, voxels, GEOMETRY)
    assert found.size == min(most, voxels.size)
    whole = gradient_magnitude(voxels, GEOMETRY)[part.core]
    assert np.allclose(found, whole, rtol=1e-3, atol=1e-3 * whole.max())


def test_only_the_chosen_slices_of_a_large_volume_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharpness, "ENOUGH_VOXELS", 4 * 30 * 28)
    voxels = head_like(SHAPE)
    part = enough_slices(EVERYWHERE)
    edges = edge_mask(gradient_in(part, voxels, GEOMETRY))

    def measured(image: np.ndarray) -> float:
        return edge_sharpness(edges, gradient_in(part, image, GEOMETRY), image)

    blurred = ndimage.gaussian_filter(voxels, 1)
    far, near = voxels.copy(), voxels.copy()
    far[:2], near[18:22] = blurred[:2], blurred[18:22]
    assert measured(far) == pytest.approx(measured(voxels), rel=0.01)
    assert measured(near) < 0.9 * measured(voxels)


def test_the_gradient_is_per_millimetre_along_each_axis() -> None:
    k, j, i = np.indices(SHAPE)
    spacing = (0.5, 1.0, 3.0)
    ramp = 2 * spacing[0] * i + 3 * spacing[1] * j + 6 * spacing[2] * k
    found = gradient_magnitude(ramp, Geometry(SHAPE[::-1], spacing))
    np.testing.assert_allclose(found[15:25, 12:18, 12:16], 7, rtol=0.01)


def test_sharpness_does_not_change_with_the_values_of_air() -> None:
    """CT begins below zero."""
    voxels = head_like(SHAPE)
    gradient = gradient_magnitude(voxels, GEOMETRY)
    edges = edge_mask(gradient)
    shifted = edge_sharpness(edges, gradient, voxels - 1024)
    assert shifted == pytest.approx(edge_sharpness(edges, gradient, voxels), rel=0.01)


def test_no_edges_have_no_sharpness() -> None:
    flat = np.full(SHAPE, 5, np.float32)
    gradient = gradient_magnitude(flat, GEOMETRY)
    assert edge_sharpness(edge_mask(np.zeros_like(gradient)), gradient, flat) == 0


def test_of_slices_that_hold_as_much_the_middle_ones_are_taken() -> None:
    slab = fullest_slab(np.ones(40), 100, 500, 3)
    assert (slab.core, slab.grown, slab.inner) == (slice(17, 22), slice(14, 25), slice(3, 8))
    assert fullest_slab(np.zeros(40), 100, 10, 3).core == slice(19, 20)
    whole = fullest_slab(np.ones(40), 100, 10**6, 3)
    assert whole.core == whole.grown == whole.inner == slice(0, 40)


def test_slices_are_taken_where_the_object_is() -> None:
    inside = np.zeros((40, 10, 10), bool)
    inside[31:36] = True
    content = np.count_nonzero(inside, axis=(1, 2))
    assert fullest_slab(content, 100, 500, 3).core == slice(31, 36)
