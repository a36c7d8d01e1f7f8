"""Geometry: matrices, edges, bad headers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from MedEnhanceLib import Geometry, MedEnhanceError
from MedEnhanceLib.orientation import turn_towards

spacings = st.tuples(*[st.floats(0.05, 20)] * 3)
sizes = st.tuples(*[st.integers(1, 40)] * 3)
origins = st.tuples(*[st.floats(-500, 500)] * 3)


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Any rotation, with or without a mirror, and permuted axes."""
    angles = draw(st.tuples(*[st.floats(-180, 180)] * 3))
    direction = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    direction[:, draw(st.integers(0, 2))] *= draw(st.sampled_from([1, -1]))
    return Geometry(draw(sizes), draw(spacings), draw(origins), direction.tolist())


@given(geometries())
def test_matrix_and_json_round_trips(geometry: Geometry) -> None:
    again = Geometry.from_matrix(geometry.matrix, geometry.size)
    assert again.is_close(geometry, 1e-6)
    assert Geometry.from_json(geometry.to_json()) == geometry


@given(geometries(), st.tuples(*[st.floats(-5, 45)] * 3))
def test_index_and_world_are_inverse(geometry: Geometry, index: tuple[float, ...]) -> None:
    assert np.allclose(geometry.to_index(geometry.to_world(index)), index, atol=1e-6)


@given(geometries(), st.tuples(*[st.floats(1, 4)] * 3))
def test_refined_keeps_the_outer_edges(geometry: Geometry, factors: tuple[float, ...]) -> None:
    fine = geometry.refined(factors)
    assert np.allclose(fine.extent, geometry.extent)
    for corner in ([-0.5] * 3, [n - 0.5 for n in geometry.size]):
        fine_corner = [-0.5 if c < 0 else n - 0.5 for c, n in zip(corner, fine.size, strict=True)]
        gap = geometry.to_world(corner) - fine.to_world(fine_corner)
        assert np.abs(gap).max() < 1e-4


def test_refined_rounds_to_the_nearest_number_of_voxels() -> None:
    assert Geometry((10, 10, 5)).refined((1.16, 1.14, 1.55)).size == (12, 11, 8)


def test_grids_are_close_when_their_last_corners_are_too() -> None:
    grid = Geometry((40, 40, 40))
    assert grid.is_close(Geometry((40, 40, 40), (1.00001, 1, 1)))
    assert not grid.is_close(Geometry((40, 40, 40), (1.0001, 1, 1)))


def test_refined_moves_the_origin_by_half_the_difference_of_the_voxels() -> None:
    fine = Geometry((10, 10, 10), (1, 1, 4)).refined((1, 1, 2))
    assert fine.size == (10, 10, 20)
    assert fine.spacing == (1, 1, 2)
    assert fine.origin == (0, 0, -1)


@given(geometries(), st.sampled_from(["RAS", "LPS", "SAR", "ILP"]))
def test_turning_moves_no_voxel(geometry: Geometry, code: str) -> None:
    turn = turn_towards(geometry, code)
    voxels = np.arange(np.prod(geometry.size)).reshape(geometry.shape)
    turned, there = turn.apply(voxels), turn.apply_to(geometry)
    assert turned.shape == there.shape
    for value in (0, voxels.size // 2, voxels.size - 1):
        old = np.argwhere(voxels == value)[0][::-1]
        new = np.argwhere(turned == value)[0][::-1]
        assert np.allclose(geometry.to_world(old), there.to_world(new), atol=1e-4)
    assert np.array_equal(turn.undo(turned), voxels)


def test_turned_axes_point_where_the_letters_say() -> None:
    turned = turn_towards(Geometry((4, 5, 6)), "RAS").apply_to(Geometry((4, 5, 6)))
    assert np.allclose(np.diag(turned.direction), (-1, -1, 1))
    assert turn_towards(Geometry((4, 5, 6)), "SLP").apply_to(Geometry((4, 5, 6))).size == (6, 4, 5)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"size": (0, 4, 4)}, "empty"),
        ({"size": (4, 4, 65_536)}, "65535"),
        ({"size": (float("nan"), 4, 4)}, "size"),
        ({"size": (2.7, 4, 4)}, "2.7"),
        ({"size": (4, 4)}, "size"),
        ({"size": None}, "size None"),
        ({"spacing": (1, 0, 1)}, "spacing"),
        ({"spacing": (1, -1, 1)}, "spacing"),
        ({"spacing": (1, float("nan"), 1)}, "spacing"),
        ({"spacing": (1, 2, 1e6)}, r"spacing 1 x 2 x 1e\+06 mm"),
        ({"origin": (0, float("inf"), 0)}, "origin"),
        ({"direction": ((1, 0.002, 0), (0, 1, 0), (0, 0, 1))}, "perpendicular"),
    ],
)
def test_bad_headers_are_named(changes: dict, word: str) -> None:
    with pytest.raises(MedEnhanceError, match=word):
        Geometry(**{"size": (4, 4, 4), **changes})


@pytest.mark.parametrize("factors", [(2, 2), (2, 0, 1), (2, float("nan"), 1)])
def test_factors_are_three_positive_numbers(factors: tuple[float, ...]) -> None:
    with pytest.raises(MedEnhanceError, match="three positive numbers"):
        Geometry((4, 4, 4)).refined(factors)


@pytest.mark.parametrize("size", [(0, 1, 1), (2.5, 1, 1)])
def test_a_grid_is_not_resized_to_what_is_no_size(size: tuple[int, ...]) -> None:
    with pytest.raises(MedEnhanceError, match="size"):
        Geometry((4, 4, 4)).resized(size)


def test_from_matrix_refuses_a_flat_axis() -> None:
    with pytest.raises(MedEnhanceError, match="not positive"):
        Geometry.from_matrix(np.diag([1.0, 0, 1, 1]), (4, 4, 4))
