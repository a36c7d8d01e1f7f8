"""Files that appear whole or not at all, so that what was stopped can be started again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from MedEnhanceLib.errors import FileError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A place beside ``path``, with its ending, whose file takes its place at the end.

    Processes that write the same file at once do not meet. Where the block fails nothing is left.
    """
    partial = path.with_name(f"partial-{os.getpid()}-{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def told_when_unwritten(what: str, instead: str = "another folder") -> Iterator[None]:
    """Raise `FileError`, which names ``what`` and a place ``instead``, when writing fails."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # torch raises the latter when a disk is full
        raise FileError(
            f"{what} cannot be written ({str(error).splitlines()[0]}); free some space, or choose "
            f"{instead}."
        ) from error
