"""Files that appear whole or not at all, so that what was stopped can be started again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
