"""How many cases tests made up by themselves, for one line at the end of a test run."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

_cases: Counter[str] = Counter()


def count(what: str, number: int = 1) -> None:
    """Add to the number of cases of a kind, such as "reader inputs"."""
    _cases[what] += number


def count_examples(test: Any) -> None:
    """Let every example that hypothesis generates for a test function be counted."""
    inner = test.hypothesis.inner_test

    @functools.wraps(inner)
    def counted(*arguments: Any, **named: Any) -> Any:
        count("generated cases")
        return inner(*arguments, **named)

    test.hypothesis.inner_test = counted


def summary() -> str:
    """What was counted, or "" when nothing was."""
    return ", ".join(f"{number:,} {what}" for what, number in sorted(_cases.items()))
