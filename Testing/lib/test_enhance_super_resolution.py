"""Super-resolution through the one public call: its grid, its consistency, its denoiser."""

from __future__ import annotations

import numpy as np
import pytest

from MedEnhanceLib import Catalog, Geometry, Volume, enhance
from MedEnhanceLib.acquisition import thick_slices
from MedEnhanceLib.errors import (
    OptionsError,
)
from MedEnhanceLib.options import SuperResolutionOptions
from MedEnhanceLib.tasks.consistency import acquire, contradictions
from MedEnhanceLib.tasks.finer_grid import target_geometry

from .conftest import head_like, opened_short_of_memory


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
