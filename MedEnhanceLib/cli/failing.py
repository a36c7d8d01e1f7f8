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

from MedEnhanceLib.cli.outputs import WRITTEN
from MedEnhanceLib.errors import CancelledError, MedEnhanceError
from MedEnhanceLib.io.checks import ImageWarning
from MedEnhanceLib.system_memory import short_of_memory

FAILED = 1
CANCELLED = 130
ENDED_BY = {
    143: "SIGTERM, as at a queue's time limit",
    129: "SIGHUP, as when its terminal is closed",
}
"""Exit codes, which are 128 and the signal's number, and what they tell."""


def say(text: str) -> None:
    """A line for the user that is no result, on the error stream."""
    print(f"medenhance: {text}", file=sys.stderr)


class GuardedGroup(TyperGroup):
    """Runs a command so that every failure ends in a sentence."""

    def invoke(self, ctx: Any) -> Any:
        debug = bool(ctx.params.get("debug"))
        WRITTEN.clear()
        with endings_unwind(), _warnings_said(debug):
            try:
                with _output_flushed():
                    return super().invoke(ctx)
            except (KeyboardInterrupt, CancelledError):
                say(f"cancelled; {_what_is_written()}.")
                raise typer.Exit(CANCELLED) from None
            except MedEnhanceError as error:
                if debug:
                    traceback.print_exc()
                say(str(error))
                raise typer.Exit(FAILED) from None
            except SystemExit as error:
                if error.code in ENDED_BY:
                    say(f"ended by {ENDED_BY[error.code]}; {_what_is_written()}.")
                raise
            except BrokenPipeError:
                # Who read the output has seen enough; typer leaves without a word.
                raise
            except Exception as error:
                # typer's own exits and usage errors carry their exit code and pass.
                if hasattr(error, "exit_code"):
                    raise
                _unexpected(error, debug)


def _what_is_written() -> str:
    if not WRITTEN:
        return "nothing was written"
    names = ", ".join(f"'{path}'" for path in WRITTEN)
    return f"{names} had been written already"


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
def _output_flushed() -> Iterator[None]:
    """What is left to the interpreter's end cannot fail without a complaint of Python's own."""
    try:
        yield
    finally:
        print(end="", flush=True)


@contextmanager
def endings_unwind() -> Iterator[None]:
    """Let a polite kill take down half-written files as Ctrl-C does."""

    def leave(number: int, _: Any) -> None:
        raise SystemExit(128 + number)

    numbers = {code - 128 for code in ENDED_BY} & signal.valid_signals()
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    try:
        before = {number: signal.signal(number, leave) for number in heeded}
    except ValueError:  # not in the main thread, where nobody sends signals
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
