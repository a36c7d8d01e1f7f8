"""Where a user's own files are: in the home folder, or where the environment says."""

from __future__ import annotations

import os
from pathlib import Path

MODELS_VARIABLE, CACHE_VARIABLE = "MEDENHANCE_MODELS", "MEDENHANCE_CACHE"
FOLDERS = {MODELS_VARIABLE: "models", CACHE_VARIABLE: "cache"}
"""What is in ``~/.medenhance``, by the variable of the environment that names another place."""


def folder_of(variable: str) -> Path:
    """Raises `RuntimeError` for who has no home and names none."""
    named = os.environ.get(variable)
    return Path(named) if named else Path.home() / ".medenhance" / FOLDERS[variable]
