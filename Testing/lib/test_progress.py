"""One progress bar for a whole run."""

from __future__ import annotations

import time

import pytest

from MedEnhanceLib.progress import Reporter
from MedEnhanceLib.result import Progress


def test_items_share_a_phase_which_ends_where_it_would_have_without_them() -> None:
    fractions: list[float] = []
    reporter = Reporter(lambda progress: fractions.append(progress.fraction))
    reporter.phase("Reading", 0.2)
    reporter.phase("Segmenting", 0.8)
    fractions.clear()
    for _ in reporter.over(["left", "right"]):
        reporter.step(0.5)
        reporter.step(1.0)
    reporter.step(1.0)
    reporter.phase("Measuring", 1.0)
    assert fractions == pytest.approx([0.35, 0.5, 0.65, 0.8, 0.8, 0.8])


def test_work_that_begins_again_does_not_take_back_what_was_told() -> None:
    told: list[Progress] = []
    reporter = Reporter(told.append, started=time.monotonic() - 10)
    reporter.phase("Denoising", 1.0)
    for fraction in (0.5, 0.25, 0.75):
        reporter.step(fraction)
    assert [progress.fraction for progress in told] == [0.0, 0.5, 0.5, 0.75]
    assert told[2].seconds_left == pytest.approx(10, abs=1)
