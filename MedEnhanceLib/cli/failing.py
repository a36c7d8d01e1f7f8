"""What the user sees when something goes wrong: one sentence, and an exit code."""

from __future__ import annotations

import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from MedEnhanceLib.errors import CancelledError, MedEnhanceError
from MedEnhanceLib.io.checks import ImageWarning
from MedEnhanceLib.system_memory import short_of_memory

FAILED = 1
CANCELLED = 130
TERMINATED = 143


def say(text: str) -> None:
    """A line for the user that is no result, on the error stream."""
    print(f"medenhance: {text}", file=sys.stderr)


class GuardedGroup(TyperGroup):
    """Runs a command so that every failure ends in a sentence."""

    def invoke(self, ctx: Any) -> Any:
        debug = bool(ctx.params.get("debug"))
        with _termination_unwinds(), _warnings_said(debug):
            try:
                return super().invoke(ctx)
            except (KeyboardInterrupt, CancelledError):
                say("cancelled; nothing was written.")
                raise typer.Exit(CANCELLED) from None
            except MedEnhanceError as error:
                if debug:
                    traceback.print_exc()
                say(str(error))
                raise typer.Exit(FAILED) from None
            except SystemExit:
                say("ended by SIGTERM, as at a queue's time limit; nothing was written.")
                raise
            except Exception as error:
                # typer's own exits and usage errors carry their exit code and pass.
                if hasattr(error, "exit_code"):
                    raise
                _unexpected(error, debug)


def _unexpected(error: BaseException, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    if sentence := short_of_memory(error):
        say(sentence)
        raise typer.Exit(FAILED) from None
    first_line = (str(error).strip().splitlines() or ["no further word"])[0]
    hint = "" if debug else " Run 'medenhance --debug ...' to see where, and please report it."
    say(f"unexpectedly failed ({type(error).__name__}: {first_line}).{hint}")
    raise typer.Exit(FAILED) from None


@contextmanager
def _termination_unwinds() -> Iterator[None]:
    """Let a polite kill take down half-written files as Ctrl-C does."""

    def leave(*_: Any) -> None:
        raise SystemExit(TERMINATED)

    try:
        before = signal.signal(signal.SIGTERM, leave)
    except ValueError:  # not in the main thread, where nobody sends signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _warnings_said(debug: bool) -> Iterator[None]:
    """Say the warnings meant for the user; keep those of libraries for developers."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def shown(message: Any, category: type[Warning], *rest: Any, **named: Any) -> None:
            if issubclass(category, ImageWarning):
                say(f"warning: {message}")
            elif debug:
                show(message, category, *rest, **named)

        warnings.simplefilter("always", ImageWarning)
        warnings.showwarning = shown
        yield
