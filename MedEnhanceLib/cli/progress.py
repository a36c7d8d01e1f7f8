"""The progress bar of a run: what is being done, how far it is, and the time left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from MedEnhanceLib import result
from MedEnhanceLib.result import ProgressCallback

# The words stand in one column, so that the bar does not jump about.
PHASE_WIDTH = 28


@contextmanager
def shown_progress(quiet: bool) -> Iterator[ProgressCallback | None]:
    """A callback that draws on the error stream; None when quiet or nobody is watching."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn(f"{{task.description:<{PHASE_WIDTH}}}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Reading", total=1.0, left="")

        def show(state: result.Progress) -> None:
            bar.update(
                task,
                completed=state.fraction,
                description=state.phase,
                left=time_left(state.seconds_left),
            )

        yield show


def time_left(seconds: float | None) -> str:
    """ "12 s left", "3 min 20 s left", or nothing while it is not known."""
    if seconds is None:
        return ""
    minutes, rest = divmod(max(1, round(seconds)), 60)
    return f"{minutes} min {rest} s left" if minutes else f"{rest} s left"
