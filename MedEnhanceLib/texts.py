"""What strangers wrote, made fit for a line on a terminal."""

from __future__ import annotations

from typing import Any

REPLACEMENT = "\ufffd"
LONGEST_QUOTE = 60


def printable(data: Any) -> Any:
    """JSON in whose texts nothing moves the cursor, colours, breaks the line or is unseen."""
    if isinstance(data, str):
        return data if data.isprintable() else "".join(_seen(letter) for letter in data)
    if isinstance(data, dict):
        return {printable(key): printable(value) for key, value in data.items()}
    if isinstance(data, list):
        return [printable(value) for value in data]
    return data


def quoted(text: Any) -> str:
    """What a stranger says, fit to stand in a sentence."""
    return repr(str(text)[:LONGEST_QUOTE])


def _seen(letter: str) -> str:
    if letter.isprintable():
        return letter
    return " " if letter.isspace() else REPLACEMENT
