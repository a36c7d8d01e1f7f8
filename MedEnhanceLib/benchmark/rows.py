"""What a benchmark tells: a measured value, and the goal it is held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One measured value.

    Attributes:
        measure: what was measured.
        case: on what.
        value: the measured value.
        unit: "x" for ratios, "s", "MB", ...
        goal: what it should be, or None where it is only told.
        is_upper: whether the goal is the most it should be; else the least.
        note: what helps to understand it.
    """

    measure: str
    case: str
    value: float
    unit: str
    goal: float | None = None
    is_upper: bool = True
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal was reached; None without a goal."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.is_upper else self.value >= self.goal

    @property
    def goal_text(self) -> str:
        """The goal in words."""
        if self.goal is None:
            return ""
        return f"{'at most' if self.is_upper else 'at least'} {self.goal:g}"

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "measure": self.measure,
            "case": self.case,
            "value": self.value,
            "unit": self.unit,
            "goal": self.goal,
            "goal_is": "upper" if self.is_upper else "lower",
            "met": self.met,
            "note": self.note,
        }
