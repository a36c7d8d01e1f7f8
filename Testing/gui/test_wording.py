"""Words and numbers as the panel writes them."""

from __future__ import annotations

import pytest
from MedEnhanceSlicer import wording

from MedEnhanceLib.result import Progress


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"), (4200, "1 h 10 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


def test_progress_without_an_estimate() -> None:
    assert wording.progressText(Progress(0.1, "estimating noise")) == "Estimating noise"
