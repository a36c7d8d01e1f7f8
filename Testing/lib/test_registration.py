"""A guide that lies elsewhere than its header says is brought back, and nothing else is moved."""

from __future__ import annotations

import numpy as np
import pytest

from MedEnhanceLib import Geometry, Volume
from MedEnhanceLib.guide import guide_on_grid
from MedEnhanceLib.registration import rigidly_placed

from .conftest import OBLIQUE, places_of

GRID = Geometry((40, 44, 30), (2.0, 2.0, 3.0), (-38.0, -45.0, -40.0), OBLIQUE)


def contrast(geometry: Geometry, inverted: bool) -> Volume:
    """Balls at fixed places in millimetres: tissue in a head, bright or dark, with noise."""
    points = places_of(geometry)
    image = 400.0 * (np.linalg.norm(points / [1.0, 1.2, 1.1], axis=1) < 32)
    rng = np.random.default_rng(1)
    for centre in rng.uniform(-20, 20, (14, 3)):
        brightness = 100 * rng.integers(1, 6)
        inside = np.linalg.norm(points - centre, axis=1) < rng.uniform(5, 9)
        image[inside] = 900 - brightness if inverted else brightness
    noisy = image + np.random.default_rng(2 + inverted).normal(0, 40, len(image))
    return Volume(np.abs(noisy).reshape(geometry.shape), geometry, "MR")


def shifted(volume: Volume, x: float) -> Volume:
    """The volume with a header that is wrong by ``x`` mm from right to left."""
    left, back, up = volume.geometry.origin
    wrong = Geometry(
        volume.geometry.size,
        volume.geometry.spacing,
        (left + x, back, up),
        volume.geometry.direction,
    )
    return volume.with_voxels(volume.voxels, wrong)


def test_a_moved_guide_is_brought_back() -> None:
    image, guide = contrast(GRID, False), contrast(GRID.resized((50, 55, 26)), True)
    placement = rigidly_placed(shifted(guide, 6.0), image)
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in guide.geometry.size])).reshape(3, -1).T
    off = placement.geometry.to_world(corners) - guide.geometry.to_world(corners)
    assert np.linalg.norm(off, axis=1).max() < 1.0
    assert placement.moved_mm == pytest.approx(6, abs=0.5)
    assert placement.turned_degrees < 1


def test_a_guide_in_place_stays() -> None:
    image, guide = contrast(GRID, False), contrast(GRID, True)
    assert rigidly_placed(guide, image).moved_mm < 0.3


def test_moves_that_no_patient_makes_are_not_believed() -> None:
    image, guide = contrast(GRID, False), contrast(GRID, True)
    far = rigidly_placed(shifted(guide, 18.0), image)
    assert far.moved_mm == 0 and far.geometry == shifted(guide, 18.0).geometry
    assert "when it is shifted by 18 mm" in far.failure and "than patients move" in far.failure
    slab = Volume(guide.voxels[12:18], guide.geometry.cropped((0, 0, 12), (40, 44, 6)), "MR")
    assert "less than 30 mm" in rigidly_placed(shifted(slab, 6.0), image).failure


def test_a_guide_that_was_not_registered_is_not_called_in_place() -> None:
    image, guide = contrast(GRID, False), contrast(GRID, True)
    far = guide_on_grid(shifted(guide, 18.0), image)
    assert [m.name for m in far.measures] == ["Guide: coverage"]
    assert any("could not be registered (it fits best when" in w for w in far.warnings)
    unasked = guide_on_grid(guide, image, register=False)
    assert [m.name for m in unasked.measures] == ["Guide: coverage"] and not unasked.warnings


def test_a_guide_that_fits_nowhere_better_is_said_to_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("MedEnhanceLib.registration.LEAST_GAIN", np.inf)
    aligned = guide_on_grid(contrast(GRID, True), contrast(GRID, False))
    assert not aligned.warnings
    assert "No better place was found" in aligned.measures[1].meaning


def test_scans_that_hardly_overlap_are_not_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing_shared(*_: object) -> None:
        raise RuntimeError("All samples map outside moving image buffer.")

    monkeypatch.setattr("MedEnhanceLib.registration._best_move", nothing_shared)
    placement = rigidly_placed(contrast(GRID, True), contrast(GRID, False))
    assert "overlaps too little" in placement.failure


def test_the_guide_is_resampled_where_it_was_found() -> None:
    image, guide = contrast(GRID, False), contrast(GRID, True)
    aligned = guide_on_grid(shifted(guide, 5.0), image)
    inner = (slice(5, -5),) * 3
    assert np.corrcoef(aligned.voxels[inner].ravel(), guide.voxels[inner].ravel())[0, 1] > 0.85
    names = {measure.name: measure.after for measure in aligned.measures}
    assert names["Guide: moved by"] == pytest.approx(5, abs=0.5)
