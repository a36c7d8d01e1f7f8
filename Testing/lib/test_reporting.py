"""One progress bar for a whole run."""

from __future__ import annotations

import pytest

from MedEnhanceLib.reporting import Reporter


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
