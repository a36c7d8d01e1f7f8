"""The packages of the "bench" extra, imported when needed."""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Any

from MedEnhanceLib.errors import DependencyError

# What the package with this import name is called on PyPI.
DISTRIBUTIONS = {"ants": "antspyx"}
ITK_THREADS = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"


def is_installed(name: str) -> bool:
    """Whether the package can be imported, without importing it."""
    return importlib.util.find_spec(name) is not None


def package(name: str) -> Any:
    """The module of this import name.

    ANTs is held to one thread unless the environment says otherwise, as the other peers are:
    core-seconds then hold no time of threads that wait for each other.

    Raises:
        DependencyError: when it is not installed.
    """
    top = name.split(".")[0]
    if top == "ants":
        os.environ.setdefault(ITK_THREADS, "1")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DependencyError(
            f"'{DISTRIBUTIONS.get(top, top)}' is not installed, which this comparison needs; run "
            "pip install medenhance[bench], or leave the peer out."
        ) from error
