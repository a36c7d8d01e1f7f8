"""Evidence of denoising CT: correlated noise is no anatomy, and HU near zero are no small mean."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from MedEnhanceLib import Geometry
from MedEnhanceLib.quality.evidence import denoise_evidence

SHAPE = (12, 96, 96)
GEOMETRY = Geometry(SHAPE[::-1], (0.8, 0.8, 2.5))
SIGMA = 25.0


@pytest.fixture
def clean() -> np.ndarray:
    """A body of muscle and fat in air, with a bone and vessels, in HU."""
    blobs = gaussian_filter(np.random.default_rng(1).standard_normal(SHAPE), (1, 6, 6))
    voxels = np.where(blobs > 0, 50.0, -90.0)
    voxels[:, 20:30, 40:50] = 600
    voxels[:, :10], voxels[:, :, :10] = -1000, -1000
    return voxels.astype(np.float32)


@pytest.fixture
def noise() -> np.ndarray:
    """Correlated within the slice, twice as strong on one side as on the other."""
    rng = np.random.default_rng(2)
    grain = gaussian_filter(rng.standard_normal(SHAPE), (0, 0.8, 0.8), mode="wrap")
    level = np.linspace(0.7, 1.5, SHAPE[1])[None, :, None]
    return (SIGMA * level * grain / grain.std()).astype(np.float32)


def warnings_of(before: np.ndarray, after: np.ndarray) -> list[str]:
    return denoise_evidence(before, after, SIGMA, False, GEOMETRY, "HU")[1]


def test_correlated_noise_is_not_taken_for_structure(clean: np.ndarray, noise: np.ndarray) -> None:
    assert warnings_of(clean + noise, clean) == []


def test_smeared_edges_and_vessels_are(clean: np.ndarray, noise: np.ndarray) -> None:
    before = clean.copy()
    before[:, 40:90:8, 12:] += 250
    smeared = gaussian_filter(before, (0, 2, 2))
    assert any("shows structure" in w for w in warnings_of(before + noise, smeared))


@pytest.mark.parametrize("left", [-850, -600])
def test_what_was_erased_from_the_lung_is_told(
    clean: np.ndarray, noise: np.ndarray, left: int
) -> None:
    """What is left of it is no part of the body any more."""
    lung = np.where(np.arange(SHAPE[1])[:, None] < 60, -850, clean).astype(np.float32)
    nodule = lung.copy()
    nodule[4:8, 30:40, 30:40] = 40
    erased = np.where(nodule != lung, left, lung).astype(np.float32)
    assert warnings_of(lung + noise, lung) == []
    assert any("taken away" in w for w in warnings_of(nodule + noise, erased))


def test_the_mean_is_judged_in_hu(clean: np.ndarray, noise: np.ndarray) -> None:
    water = np.where(clean > -500, 0.0, clean).astype(np.float32)
    assert warnings_of(water + noise, water + 1) == []
    assert any("HU" in w for w in warnings_of(water + noise, water + 6))


def test_no_signal_to_noise_where_zero_is_water(clean: np.ndarray, noise: np.ndarray) -> None:
    measured = {
        is_mr: denoise_evidence(clean + noise, clean, SIGMA, is_mr, GEOMETRY, "")[0]
        for is_mr in (True, False)
    }
    names = {is_mr: {measure.name for measure in found} for is_mr, found in measured.items()}
    assert names[True] - names[False] == {"Signal to noise"}
