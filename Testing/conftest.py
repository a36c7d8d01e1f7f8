"""For all tests."""

from __future__ import annotations

import locale
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _no_models_of_the_user(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bundles in the developer's own folder must not change what is tested."""
    monkeypatch.setenv("MEDENHANCE_MODELS", str(tmp_path_factory.getbasetemp() / "no-models"))


@pytest.fixture(autouse=True)
def _locale_stays() -> Iterator[None]:
    """ITK's writer of DICOM sets the locale of the whole process to C, which is ASCII."""
    before = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, before)


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the project."""
    return Path(__file__).resolve().parent.parent
