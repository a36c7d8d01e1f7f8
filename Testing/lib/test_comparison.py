"""Comparison with a reference in steps gives what the metrics give at once."""

from __future__ import annotations

import numpy as np
import pytest

from MedEnhanceLib.errors import VolumeError
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.intensity import robust_peak
from MedEnhanceLib.quality import comparison, metrics
from MedEnhanceLib.quality.comparison import compare_segments, compare_volumes, finished
from MedEnhanceLib.volume import Volume

GRID = Geometry((24, 22, 40), (1.0, 1.0, 2.0))


def head(noise: float, seed: int = 0) -> Volume:
    z, y, x = np.indices(GRID.shape)
    ball = (x - 12) ** 2 + (y - 11) ** 2 + ((z - 20) / 2) ** 2 < 80
    random = np.random.default_rng(seed)
    voxels = 500 * ball * (1 + 0.2 * np.sin(x)) + random.normal(0, noise, GRID.shape)
    return Volume(np.abs(voxels).astype(np.float32), GRID, "MR")


def test_tiles_do_not_change_the_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "TILE", 11)
    truth, noisy, clean = head(0), head(60, 1), head(20, 2)
    psnr, ssim, rmse = finished(compare_volumes(truth, noisy, clean))
    peak = robust_peak(truth.voxels)
    mask = metrics.foreground(truth.voxels, peak)
    for image, column in ((noisy, "before"), (clean, "after")):
        expected = metrics.ssim(truth.voxels, image.voxels, peak, mask)
        assert getattr(ssim, column) == pytest.approx(expected, abs=1e-4)
        expected = metrics.psnr(truth.voxels, image.voxels, peak, mask)
        assert getattr(psnr, column) == pytest.approx(expected, abs=1e-4)
        expected = metrics.rmse(truth.voxels, image.voxels, mask)
        assert getattr(rmse, column) == pytest.approx(expected, rel=1e-4)
    assert psnr.after > psnr.before


def test_progress_grows_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "TILE", 11)
    told = list(compare_volumes(head(0), head(60), head(20)))
    assert told == sorted(told) and told[-1] == 1 and len(told) > 12


def test_without_an_input_on_the_grid_only_after_is_measured() -> None:
    measures = finished(compare_volumes(head(0), None, head(20)))
    assert all(m.before is None and m.after is not None for m in measures)


def test_another_grid_is_refused_in_words() -> None:
    shifted = Volume(head(0).voxels, Geometry(GRID.size, GRID.spacing, (0.5, 0, 0)), "MR")
    with pytest.raises(VolumeError, match="not on the grid of the result; resample"):
        finished(compare_volumes(shifted, None, head(20)))


def test_an_empty_reference_is_refused() -> None:
    nothing = Volume(np.zeros(GRID.shape, np.float32), GRID, "MR")
    with pytest.raises(VolumeError, match="brightest voxel is 0"):
        finished(compare_volumes(nothing, None, head(20)))


def test_segments() -> None:
    truth = np.zeros(GRID.shape, bool)
    truth[10:20, 5:15, 5:15] = True
    found = np.roll(truth, 1, axis=0)
    dice, hd95, error = finished(compare_segments({"Left": (lambda: truth, lambda: found)}, GRID))
    assert dice.after == pytest.approx(0.9) and dice.name == "Dice of Left"
    assert hd95.after == pytest.approx(2.0) and hd95.unit == "mm"
    assert error.after == 0
