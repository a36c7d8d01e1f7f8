"""Tables on the output stream."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from MedEnhanceLib.result import Measure

# As wide as needed when written to a file, where there is no window to fit.
WIDTH_OF_FILES = 220


def console() -> Console:
    """The output stream, at the time of the call."""
    plain = Console()
    return plain if plain.is_terminal else Console(width=WIDTH_OF_FILES)


def print_table(
    title: str, header: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1
) -> None:
    """A table whose first ``text_columns`` are words and whose other columns are numbers."""
    table = _titled(title)
    for number, name in enumerate(header):
        is_text = number < text_columns
        table.add_column(name, justify="left" if is_text else "right", no_wrap=not is_text)
    for row in rows:
        table.add_row(*[Text(cell) for cell in row])
    console().print(table)


def print_evidence(title: str, measures: Iterable[Measure]) -> None:
    """What a run changed."""
    table = _titled(title)
    table.add_column("Evidence")
    for name in ("before", "after"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("unit")
    table.add_column("how to read it", style="dim")
    for m in measures:
        cells = (m.name, number_text(m.before), number_text(m.after), m.unit, m.meaning)
        table.add_row(*[Text(cell) for cell in cells])
    console().print(table)


def _titled(title: str) -> Table:
    """A table under a title, in which brackets are brackets and no markup."""
    return Table(title=Text(title, style="bold"), title_justify="left", box=SIMPLE_HEAD)


def number_text(value: float | None, digits: int = 4) -> str:
    """Four significant digits, "" for none."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return "inf" if value > 0 else "-inf" if value < 0 else "-"
    if value != 0 and abs(value) < 10 ** -(digits - 1):
        return f"{value:.1g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:.{min(decimals, digits - 1)}f}"
