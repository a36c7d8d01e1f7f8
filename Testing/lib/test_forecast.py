"""Time and memory told before a run."""

from __future__ import annotations

import os

import numpy as np
import pytest

from MedEnhanceLib import Volume, enhance
from MedEnhanceLib.catalog import Catalog
from MedEnhanceLib.forecast import Past, forecast
from MedEnhanceLib.geometry import Geometry


def test_an_earlier_run_is_scaled_with_the_voxels() -> None:
    model = Catalog.default().find("mr-denoise-residual")
    told = forecast(model, 4_000_000, Past(1_000_000, 3.0, 500.0))
    assert told is not None
    assert (told.seconds, told.memory_mb, told.measured_here) == (12.0, 2000.0, True)


def test_without_one_the_published_cost_is_shared_by_the_processors() -> None:
    model = Catalog.default().find("mr-denoise-attention")
    costs = [r["value"] for r in model.results if r["metric"].startswith("cost")]
    told = forecast(model, 2_000_000)
    assert told is not None and not told.measured_here
    expected = 2 * sum(costs) / len(costs) / (os.cpu_count() or 1)
    assert told.seconds == pytest.approx(expected)
    twice = forecast(model, 2_000_000, uncertainty=True)
    assert twice is not None and twice.seconds == pytest.approx(4 * expected)


@pytest.mark.parametrize(
    ("model", "passes"), [("mr-hippocampus-unet", 2), ("mr-denoise-residual", 4)]
)
def test_uncertainty_takes_a_run_for_each_mirror_image(model: str, passes: int) -> None:
    told = forecast(Catalog.default().find(model), 1000, Past(1000, 3.0), uncertainty=True)
    assert told is not None and told.seconds == 3.0 * passes


def test_a_filter_without_measurements_is_not_guessed() -> None:
    assert forecast(Catalog.default().find("filter-median"), 1000) is None


def test_runs_tell_what_they_took() -> None:
    voxels = np.random.default_rng(0).random((24, 32, 32), dtype=np.float32)
    volume = Volume(voxels, Geometry((32, 32, 24), (1, 1, 1)))
    made = enhance(volume, "denoise", "filter-median").provenance
    assert 0 <= made["core_seconds"] < 60
    assert made.get("peak_memory_mb", 0) >= 0
