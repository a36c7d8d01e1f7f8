"""One progress bar for a whole run, and the place where cancelling takes effect."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from MedEnhanceLib.errors import CancelledError
from MedEnhanceLib.result import CancelCallback, Progress, ProgressCallback

SHORTEST_FOR_ESTIMATE = 0.02
CANCELLED = "The run was cancelled; nothing was changed."
Item = TypeVar("Item")


@dataclass
class Reporter:
    """Turns the steps of phases into one whole-run fraction with the time left.

    Attributes:
        progress: called with every change.
        cancel: asked at every step; when it says yes, `CancelledError` is raised there.
    """

    progress: ProgressCallback | None = None
    cancel: CancelCallback | None = None
    started: float = field(default_factory=time.monotonic)
    name: str = ""
    begin: float = 0.0
    end: float = 0.0
    highest: float = 0.0

    def phase(self, name: str, until: float) -> None:
        """Begin a phase that ends at the fraction ``until`` of the whole run."""
        self.name, self.begin, self.end = name, self.end, until
        self.step(0.0)

    def step(self, fraction: float) -> None:
        """Report that ``fraction`` of the present phase is done.

        Where work begins again in smaller pieces, what was told before stands until it is passed.
        """
        if self.cancel is not None and self.cancel():
            raise CancelledError(CANCELLED)
        if self.progress is not None:
            done = self.begin + (self.end - self.begin) * min(1.0, fraction)
            self.highest = max(self.highest, done)
            self.progress(Progress(self.highest, self.name, self._seconds_left(self.highest)))

    def over(self, items: Sequence[Item]) -> Iterator[Item]:
        """The items one by one, each with an equal share of the present phase."""
        begin, end = self.begin, self.end
        for number, item in enumerate(items):
            self.begin = begin + (end - begin) * number / len(items)
            self.end = begin + (end - begin) * (number + 1) / len(items)
            yield item
        self.begin, self.end = begin, end

    def finish(self) -> None:
        """Report that all of the run is done, also when phases were left out."""
        self.end = 1.0
        self.step(1.0)

    def _seconds_left(self, done: float) -> float | None:
        if done < SHORTEST_FOR_ESTIMATE:
            return None
        elapsed = time.monotonic() - self.started
        return elapsed * (1 - done) / done
