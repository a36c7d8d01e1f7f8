"""The noise level of CT, whose noise is correlated between neighbours in the slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from MedEnhanceLib import Catalog, Geometry, Volume, enhance
from MedEnhanceLib.ct_noise import estimate_ct_noise
from MedEnhanceLib.noise import estimate_noise

from .conftest import head_like, resolver_bundle

SHAPE = (16, 96, 96)


def body(rng: np.random.Generator) -> np.ndarray:
    """Fat and muscle with bone, lung and air, in HU."""
    blobs = gaussian_filter(rng.standard_normal(SHAPE), (2, 8, 8))
    voxels = np.where(blobs > 0, 50.0, -100.0)
    voxels[:, 30:38, 30:38] = 700
    voxels[:, 60:80, 20:50] = -850
    voxels[:, :, :12] = -1000
    return voxels


def grain(rng: np.random.Generator, width: float) -> np.ndarray:
    """Noise of standard deviation 1, correlated over ``width`` voxels of the slice."""
    noise = gaussian_filter(rng.standard_normal(SHAPE), (0, width, width), mode="wrap")
    return noise / noise.std()


@pytest.mark.parametrize("width", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("sigma", [12.0, 40.0])
def test_noise_is_found_whatever_its_grain(width: float, sigma: float) -> None:
    rng = np.random.default_rng(3)
    noisy = body(rng) + sigma * grain(rng, width)
    assert estimate_ct_noise(noisy) == pytest.approx(sigma, rel=0.15)
    assert estimate_noise(noisy, rician=False) == estimate_ct_noise(noisy)


def test_differences_of_neighbours_would_miss_most_of_it() -> None:
    """The reason why CT has an estimator of its own."""
    rng = np.random.default_rng(3)
    noisy = 1000 + 40 * grain(rng, 1.0)
    assert estimate_noise(noisy) < 0.5 * 40
    assert estimate_ct_noise(noisy) == pytest.approx(40, rel=0.15)


def test_scans_of_air_and_lung_and_small_ones_have_a_value_too() -> None:
    rng = np.random.default_rng(3)
    lung = rng.normal(-850, 30, (4, 40, 40))
    assert estimate_ct_noise(lung) == pytest.approx(30, rel=0.1)
    assert estimate_ct_noise(rng.normal(40, 30, (3, 6, 5))) == pytest.approx(30, rel=0.3)
    assert estimate_ct_noise(np.full((4, 40, 40), 40.0)) == 0


def test_parts_that_were_masked_out_do_not_count() -> None:
    rng = np.random.default_rng(3)
    voxels = np.zeros((8, 80, 80))
    voxels[:, :40] = rng.normal(40, 30, (8, 40, 80))
    assert estimate_ct_noise(voxels) == pytest.approx(30, rel=0.1)


@pytest.mark.parametrize("order", [(1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_slices_are_axial_in_whatever_order_they_are_stored(order: tuple[int, int, int]) -> None:
    """The network knows noise that is correlated in the slice, along k."""
    rng = np.random.default_rng(9)
    voxels = (body(rng) + 20 * grain(rng, 1.0))[:, :48, :48].astype(np.float32)
    stored = Volume(voxels, Geometry((48, 48, 16), (0.8, 0.8, 2.0)), "CT", "HU")
    matrix = stored.geometry.matrix
    matrix[:3, :3] = matrix[:3, [2 - axis for axis in order[::-1]]]
    shape = [voxels.shape[axis] for axis in order]
    turned = Volume(voxels.transpose(order), Geometry.from_matrix(matrix, shape[::-1]), "CT", "HU")
    options = {"uncertainty": True, "precision": "float32"}
    first, second = (
        enhance(v, "denoise", "ct-denoise-residual", options) for v in (stored, turned)
    )
    assert second.output.geometry == second.uncertainty.geometry == turned.geometry
    for before, after in ((first.output, second.output), (first.uncertainty, second.uncertainty)):
        assert np.abs(before.voxels.transpose(order) - after.voxels).max() < 0.01
    noise = [{m.name: m.before for m in r.evidence}["Noise"] for r in (first, second)]
    assert noise[0] == pytest.approx(noise[1], rel=1e-5)


def test_super_resolution_estimates_it_as_that_of_ct_in_hu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def spy(voxels: np.ndarray, rician: bool = True) -> float:
        seen.append((rician, float(voxels.min())))
        return 20.0

    monkeypatch.setattr("MedEnhanceLib.tasks.super_resolution.estimate_noise", spy)
    resolver_bundle(tmp_path, "ct", modality="CT")
    body = Volume(head_like() * 2 - 1000, Geometry((28, 24, 20)), "CT")
    catalog = Catalog.default(extra_folders=[tmp_path])
    enhance(body, "super-resolution", "ct", {"factor": (2, 2, 1), "device": "cpu"}, catalog=catalog)
    assert len(seen) == 2 and all(not rician and least < -500 for rician, least in seen)
