"""Tiles cover a volume exactly once, and stay within memory."""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from MedEnhanceLib.tiles import (
    aligned_halo,
    bounding_box,
    exact_plan,
    gaussian_weight,
    largest_patch,
    middle_box,
    overlapping_plan,
    padded_shape,
)

shapes = st.tuples(*[st.integers(1, 48)] * 3)


@given(shapes, st.integers(0, 9), st.sampled_from([1, 2, 4]), st.integers(8_000, 200_000))
def test_exact_plan_covers_every_voxel_once(
    shape: tuple[int, int, int], halo: int, multiple: int, most: int
) -> None:
    padded = padded_shape(shape, multiple)
    count = np.zeros(padded, int)
    for box in exact_plan(padded, halo, multiple, most):
        count[box.slices] += 1
        grown = box.grown(aligned_halo(halo, multiple), padded)
        assert all(start % multiple == 0 for start in (*box.start, *grown.start))
        assert all(n % multiple == 0 for n in grown.shape)
        assert grown.voxels <= most or min(box.shape) <= multiple or box.halves(multiple) is None
    assert (count == 1).all()


def test_the_middle_is_a_multiple_unless_the_volume_is_smaller() -> None:
    box = middle_box((13, 40, 3), (8, 100, 100), 4)
    assert box.slices == (slice(2, 10), slice(0, 40), slice(0, 3))
    assert middle_box((13, 40, 3), 5).slices == (slice(4, 9), slice(17, 22), slice(0, 3))


@given(shapes, st.tuples(*[st.integers(1, 32)] * 3), st.floats(0, 0.8))
def test_overlapping_plan_covers_every_voxel_and_overlaps(
    shape: tuple[int, int, int], patch: tuple[int, int, int], overlap: float
) -> None:
    patch = tuple(min(p, n) for p, n in zip(patch, shape, strict=True))
    shared = tuple(int(p * overlap) for p in patch)
    plan = overlapping_plan(shape, patch, shared)
    covered = np.zeros(shape, bool)
    for box in plan:
        assert box.shape == patch and box.grown(0, shape) == box
        covered[box.slices] = True
    assert covered.all()
    assert [box.start[0] for box in plan] == sorted(box.start[0] for box in plan)
    for axis in range(3):
        starts = sorted({box.start[axis] for box in plan})
        gaps = (b - a for a, b in itertools.pairwise(starts))
        assert all(patch[axis] - gap >= shared[axis] for gap in gaps)


@given(shapes, st.integers(1, 4), st.integers(50, 20_000))
def test_largest_patch_is_within_bounds(
    shape: tuple[int, int, int], multiple: int, most: int
) -> None:
    padded = padded_shape(shape, multiple)
    smallest = padded_shape(tuple(min(n, 8) for n in padded), multiple)
    overlap = tuple(n // 4 for n in smallest)
    patch = largest_patch(padded, smallest, overlap, multiple, most)
    assert all(n % multiple == 0 for n in patch)
    assert all(a <= n <= b for a, n, b in zip(smallest, patch, padded, strict=True))
    assert math.prod(patch) <= most or patch == smallest
    if math.prod(padded) <= most:
        assert patch == padded


def test_few_large_patches_compute_little_twice() -> None:
    shape, smallest, overlap = (176, 256, 256), (64, 64, 64), (16, 16, 16)
    patch = largest_patch(shape, smallest, overlap, 4, 6_000_000)
    plan = overlapping_plan(shape, patch, overlap)
    assert len(plan) * math.prod(patch) < 1.25 * math.prod(shape)


def test_gaussian_weight_peaks_in_the_middle_and_never_vanishes() -> None:
    weight = gaussian_weight((9, 9, 9))
    assert weight[4, 4, 4] == weight.max()
    # As labels from the nearest patch hold it.
    assert weight.astype(np.float16).min() > 0


def test_bounding_box() -> None:
    mask = np.zeros((5, 6, 7), bool)
    assert bounding_box(mask) is None
    mask[1, 2:4, 3] = True
    box = bounding_box(mask)
    assert box is not None
    assert (box.start, box.stop) == ((1, 2, 3), (2, 4, 4))
