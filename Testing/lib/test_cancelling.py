"""Cancelling takes effect wherever a run is, and leaves nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from MedEnhanceLib import Catalog, Volume, enhance
from MedEnhanceLib.errors import CancelledError
from MedEnhanceLib.result import Progress
from Testing.counts import count

RUNS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("denoise", "tiny-denoiser", {"tile": 16}),
    ("denoise", "tiny-denoiser", {"uncertainty": True}),
    ("denoise", "filter-median", {}),
    ("super-resolution", "tiny-resolver", {"tile": 16}),
    ("super-resolution", "tiny-resolver", {"denoise": True}),
    ("super-resolution", "filter-bspline", {}),
    ("segment", "tiny-unet", {"tile": 16}),
    ("segment", "tiny-unet", {"uncertainty": True}),
)
# Of the places where a run asks, at most so many are tried, from first to last.
MOST = 12


@pytest.mark.parametrize(("task", "model", "options"), RUNS)
def test_cancelling_anywhere(
    catalog: Catalog, head: Volume, task: str, model: str, options: dict[str, Any]
) -> None:
    before = head.voxels.copy()
    asked: list[str] = []
    phases: list[str] = []

    def run(stop_at: int) -> None:
        asked.clear()

        def cancel() -> bool:
            asked.append(phases[-1] if phases else "")
            return len(asked) == stop_at

        def progress(now: Progress) -> None:
            phases.append(now.phase)

        enhance(head, task, model, options, catalog=catalog, progress=progress, cancel=cancel)

    run(stop_at=0)
    total = len(asked)
    places = sorted({round(n) for n in np.linspace(1, total, min(total, MOST))})
    for place in places:
        with pytest.raises(CancelledError, match="nothing was changed"):
            run(place)
        # It asks no more once it has been told.
        assert len(asked) == place
    count("cancelled runs", len(places))
    assert len(set(phases)) >= 3
    np.testing.assert_array_equal(head.voxels, before)
