"""The width of a slice profile, told from the volume."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from MedEnhanceLib import Geometry, Volume, enhance
from MedEnhanceLib.acquisition import apply_along, slice_matrix
from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.options import SuperResolutionOptions
from MedEnhanceLib.slice_profile import BOX_WIDTH, LIMITS, estimate_profile_width


@pytest.fixture(scope="module")
def anatomy() -> NDArray[np.float32]:
    """Blobs of all sizes, alike along every axis."""
    rng = np.random.default_rng(3)
    image = sum(
        size * ndimage.gaussian_filter(rng.standard_normal((72, 72, 72)), size) * size
        for size in (0.7, 1.4, 3.0)
    )
    return (100 + 60 * image / np.std(image)).clip(20).astype(np.float32)


def thick(voxels: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    return apply_along(slice_matrix(72, 36, "gaussian", width), voxels, 0)


@pytest.mark.parametrize("width", [0.75, 1.0, 1.25])
def test_the_width_is_told(anatomy: NDArray[np.float32], width: float) -> None:
    found = estimate_profile_width(thick(anatomy, width), 0, (2, 1, 1), 0.0)
    assert found == pytest.approx(width, abs=0.1)


def test_soft_images_hold_less_to_tell_it_by(anatomy: NDArray[np.float32]) -> None:
    soft = ndimage.gaussian_filter(anatomy, 0.8)
    found = [estimate_profile_width(thick(soft, w), 0, (2, 1, 1), 0.0) for w in (0.75, 1.0, 1.25)]
    assert found[0] + 0.05 < found[1] < found[2] - 0.05
    assert found == pytest.approx([0.75, 1.0, 1.25], abs=0.2)


def test_a_box_profile_is_told_as_what_blurs_as_much(anatomy: NDArray[np.float32]) -> None:
    slices = apply_along(slice_matrix(72, 36, "box", 1.0), anatomy, 0)
    found = estimate_profile_width(slices, 0, (2, 1, 1), 0.0)
    assert found == pytest.approx(BOX_WIDTH, abs=0.1)


def test_noise_is_no_detail(anatomy: NDArray[np.float32]) -> None:
    noise = np.random.default_rng(0).normal(0, 6, (36, 72, 72)).astype(np.float32)
    slices = thick(anatomy, 1.0) + noise
    told = estimate_profile_width(slices, 0, (2, 1, 1), 6.0)
    assert told == pytest.approx(1.0, abs=0.1)
    # Taken for detail it would make the slices look sharp.
    assert estimate_profile_width(slices, 0, (2, 1, 1), 0.0) < told


def test_a_few_very_bright_voxels_do_not_spoil_it(anatomy: NDArray[np.float32]) -> None:
    slices = thick(ndimage.gaussian_filter(anatomy, 0.8), 1.25)
    expected = estimate_profile_width(slices, 0, (2, 1, 1), 0.0)
    slices[17:19, 35:37, 35:37] = 10 * np.percentile(slices, 99.9)
    found = estimate_profile_width(slices, 0, (2, 1, 1), 0.0)
    assert found == pytest.approx(expected, abs=0.03)


def test_an_axis_of_coarse_voxels_is_left_out(anatomy: NDArray[np.float32]) -> None:
    slices = thick(anatomy, 1.0)
    coarse = apply_along(slice_matrix(72, 24, "gaussian", 1.0), slices, 1)
    found = estimate_profile_width(coarse, 0, (2, 3, 1), 0.0)
    assert found == pytest.approx(1.0, abs=0.12)


def test_nothing_is_beyond_the_limits(anatomy: NDArray[np.float32]) -> None:
    for width in (0.2, 2.5):
        found = estimate_profile_width(thick(anatomy, width), 0, (2, 1, 1), 0.0)
        assert LIMITS[0] <= found <= LIMITS[1]


def test_the_unit_of_the_image_does_not_matter(anatomy: NDArray[np.float32]) -> None:
    slices = thick(anatomy, 0.8)
    assert estimate_profile_width(slices, 0, (2, 1, 1), 2.0) == pytest.approx(
        estimate_profile_width(7 * slices, 0, (2, 1, 1), 14.0), abs=1e-4
    )


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((36, 72, 72), (1, 1, 1)), ((4, 72, 72), (3, 1, 1)), ((36, 6, 6), (3, 1, 1))],
    ids=["isotropic", "few slices", "little tissue"],
)
def test_what_cannot_be_told_is_taken_for_touching_slices(
    shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> None:
    voxels = np.random.default_rng(0).random(shape)
    assert estimate_profile_width(voxels, 0, spacing, 0.0) == 1.0


def test_an_empty_volume_is_no_trouble() -> None:
    assert estimate_profile_width(np.zeros((20, 40, 40)), 0, (3, 1, 1), 0.0) == 1.0


def test_the_width_is_reported_and_may_be_told(anatomy: NDArray[np.float32]) -> None:
    volume = Volume(thick(anatomy, 0.7), Geometry((72, 72, 36), (1, 1, 2)), modality="MR")
    estimated = profile_of(volume, {"factor": (1, 1, 2)})
    assert estimated < 1
    assert profile_of(volume, {"factor": (1, 1, 2), "profile_width": 1.2}) == 1.2


def profile_of(volume: Volume, options: dict[str, object]) -> float:
    result = enhance(volume, "super-resolution", "filter-bspline", options)
    (measure,) = [m for m in result.evidence if m.name == "Slice profile along z"]
    assert measure.after is not None
    return measure.after


def test_an_impossible_width_is_refused() -> None:
    with pytest.raises(OptionsError, match=r"3\.0.*leave it out"):
        SuperResolutionOptions(profile_width=3.0)
