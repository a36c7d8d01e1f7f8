"""What a user did wrong is told in a sentence, not in a traceback."""

from __future__ import annotations

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
