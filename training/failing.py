"""What a user did wrong is told in a sentence, not in a traceback."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from MedEnhanceLib.errors import MedEnhanceError


@contextmanager
def failing_in_a_sentence() -> Iterator[None]:
    """End the program with the sentence of a `MedEnhanceError`, and exit code 1."""
    try:
        yield
    except MedEnhanceError as error:
        raise SystemExit(str(error)) from error


def at_least_one(text: str) -> int:
    """The whole number that is meant on the command line; for ``type`` of argparse."""
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of 1 or more")
