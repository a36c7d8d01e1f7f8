"""Super-resolution through the one public call: its grid, its consistency, its denoiser."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from MedEnhanceLib import Catalog, Geometry, Volume, enhance
from MedEnhanceLib.acquisition import interpolate_axis, thick_slices
from MedEnhanceLib.errors import (
    OptionsError,
)
from MedEnhanceLib.filters.interpolation import lanczos
from MedEnhanceLib.intensity import largest_usual
from MedEnhanceLib.options import SuperResolutionOptions
from MedEnhanceLib.quality.evidence import _consistency_warning
from MedEnhanceLib.tasks.consistency import (
    USUAL_WIDTHS,
    acquire,
    contradictions,
    made_consistent,
)
from MedEnhanceLib.tasks.finer_grid import target_geometry
from MedEnhanceLib.tasks.super_resolution import CONSISTENCY_GOAL_PERCENT, _refined_by, _steps

from .conftest import head_like, opened_short_of_memory

TASK = "MedEnhanceLib.tasks.super_resolution"


def test_super_resolution_reaches_the_finest_spacing_by_default(
    catalog: Catalog, head: Volume
) -> None:
    fine = enhance(head, "super-resolution", "tiny-resolver", catalog=catalog).volume
    assert np.allclose(fine.geometry.spacing, 0.9, rtol=0.03)


@pytest.mark.parametrize("factor", [(1, 1, 2), (2, 2, 2), (1, 1.5, 1), (1, 1, 6)])
def test_super_resolution_is_consistent_with_its_input(
    catalog: Catalog, factor: tuple[float, float, float]
) -> None:
    """Even a network with random weights cannot stray far from what was measured."""
    smooth = thick_slices(head_like((40, 40, 40), sigma=0), 0, 2)
    volume = Volume(smooth, Geometry((40, 40, 20), (1, 1, 2)), "MR")
    options = SuperResolutionOptions(factor=factor)
    result = enhance(volume, "super-resolution", "tiny-resolver", options, catalog=catalog)
    expected = [round(n * f) for n, f in zip((40, 40, 20), factor, strict=True)]
    assert list(result.volume.geometry.size) == expected
    again = acquire(result.volume.voxels, smooth.shape)
    inner = (slice(2, -2),) * 3
    assert np.sqrt(np.mean((again - smooth)[inner] ** 2)) < 0.02 * smooth.max()


@pytest.mark.parametrize("model", ["tiny-resolver", "filter-bspline"])
def test_masked_background_stays_zero_on_the_finer_grid(catalog: Catalog, model: str) -> None:
    voxels = np.zeros((24, 40, 40), np.float32)
    voxels[6:18, 8:30, 8:30] = 300 + head_like((12, 22, 22))
    volume = Volume(voxels, Geometry((40, 40, 24), (1, 1, 2.5)), "MR")
    fine = enhance(volume, "super-resolution", model, catalog=catalog).volume.voxels
    assert fine.shape == (60, 40, 40)
    beside = np.zeros(fine.shape, bool)
    beside[12:48, 7:31, 7:31] = True
    assert (fine[~beside] == 0).all()
    assert (fine[15:45, 8:30, 8:30] > 0).all()
    # What is beside tissue may hold some of it.
    assert fine[12:15].any()


@pytest.mark.parametrize("factor", [(1, 1, 4), (1.3, 2, 2.7)])
def test_lanczos_keeps_what_is_even(factor: tuple[float, float, float]) -> None:
    """Weights of a sinc that is cut off do not sum to one by themselves, which shows as stripes."""
    voxels = np.full((24, 20, 20), 1000, np.float32)
    voxels[0] = 0
    grid = Geometry((20, 20, 24), (1, 1, 4))
    fine = lanczos(voxels, grid, grid.refined(factor))
    assert fine.shape == grid.refined(factor).shape
    even = fine[round(6 * factor[2]) :]
    np.testing.assert_allclose(even, 1000, rtol=1e-6)


def test_an_image_below_zero_is_made_consistent_too() -> None:
    slices = thick_slices(head_like((40, 40, 40), sigma=0), 0, 2) - 1000
    fine = made_consistent(slices, np.repeat(slices, 2, axis=0), 0.0, USUAL_WIDTHS)
    again = acquire(fine, slices.shape)
    assert np.sqrt(np.mean((again - slices)[2:-2] ** 2)) < 0.02 * np.ptp(slices)


def test_noise_that_was_removed_is_no_reason_to_be_far_from_the_input(
    catalog: Catalog, head: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    goals = []

    def unchanged(_coarse: object, fine: np.ndarray, goal: float, _widths: object) -> np.ndarray:
        goals.append(100 * goal / largest_usual(head.voxels))
        return fine

    monkeypatch.setattr(f"{TASK}.made_consistent", unchanged)
    for denoise in (False, True):
        how = {"factor": (1, 1, 2), "denoise": denoise}
        enhance(head, "super-resolution", "tiny-resolver", how, catalog=catalog)
    assert goals[0] > 1 and goals[1] == pytest.approx(CONSISTENCY_GOAL_PERCENT)


def test_what_was_refined_once_touches_and_has_less_noise(
    catalog: Catalog, head: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels, widths = [], []

    def refine(image: Any, axis: int, size: int, level: float, width: float, *_: Any) -> Any:
        levels.append(level)
        widths.append(width)
        return interpolate_axis(image, axis, size)

    monkeypatch.setattr(f"{TASK}._refine_axis", refine)
    how = {"factor": (1, 1, 6), "profile_width": 0.75, "denoise": False}
    enhance(head, "super-resolution", "tiny-resolver", how, catalog=catalog)
    assert widths == [0.75, 1.0]
    assert 0 < levels[1] < levels[0]


def test_how_many_times_finer_is_told_in_array_order() -> None:
    grid = Geometry((10, 20, 5))
    assert _refined_by(grid, grid.resized((10, 40, 15))) == (3, 2, 1)


def test_steps_are_as_few_as_the_trained_range_allows() -> None:
    assert _steps((2, 4, 4), (250, 4, 4), 5.0) == [(0, 10), (0, 50), (0, 250)]


def test_more_than_any_noise_explains_is_told() -> None:
    assert not _consistency_warning(39, 30)
    assert "45.00 % of the peak" in _consistency_warning(45, 30)[0]


def test_where_there_is_no_noise_none_is_removed(
    catalog: Catalog, head: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{TASK}.estimate_noise", lambda *_: 0.0)
    how = {"factor": (1, 1, 2), "denoise": True}
    result = enhance(head, "super-resolution", "tiny-resolver", how, catalog=catalog)
    assert "denoised_with" not in result.provenance


def test_noise_alone_contradicts_nothing() -> None:
    noise = np.random.default_rng(0).normal(0, 10, (40, 40, 40))
    assert contradictions(noise, 10, scale=50) == []
    noise[18:22, 18:22, 18:22] += 60
    assert contradictions(noise, 10, scale=50) != []


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (SuperResolutionOptions(spacing=(1, 1, 5)), "coarser"),
        (SuperResolutionOptions(factor=(1, 1, 1)), "nothing to refine"),
        (SuperResolutionOptions(spacing=(0.1, 1, 1)), "more than 8"),
    ],
)
def test_impossible_targets(options: SuperResolutionOptions, word: str) -> None:
    with pytest.raises(OptionsError, match=word):
        target_geometry(Geometry((20, 20, 20), (1, 1, 2)), options)


def test_what_the_denoiser_before_lacked_and_took_is_told(
    catalog: Catalog, head: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("MedEnhanceLib.tasks.denoise.open_network", opened_short_of_memory)
    how = {"denoise": True, "factor": (1, 1, 2)}
    result = enhance(head, "super-resolution", "tiny-resolver", how, catalog=catalog)
    assert any("Memory was short" in warning for warning in result.warnings)
    assert result.provenance["network_seconds"] >= 100
