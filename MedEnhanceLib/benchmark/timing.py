"""Timing so that numbers can be compared on a machine that also does other things."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Timed:
    """A way of doing something.

    Attributes:
        seconds: the least processor time, over all rounds.
        answer: of the last round.
    """

    seconds: float
    answer: Any


def interleaved(ways: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, Timed]:
    """Do all in turn, A B A B, so that what disturbs one disturbs the others as well."""
    least = dict.fromkeys(ways, float("inf"))
    answers: dict[str, Any] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.process_time()
            answers[name] = way()
            least[name] = min(least[name], time.process_time() - started)
    return {name: Timed(least[name], answers[name]) for name in ways}
