"""For all tests."""

from __future__ import annotations

import locale
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Before any test imports torch: it says how long threads wait in a loop.
from MedEnhanceLib import engine as engine
from Testing import counts

try:
    from hypothesis import settings
except ModuleNotFoundError:
    # The tests that run inside Slicer need pytest only.
    pass
else:
    # No test may depend on how busy the machine is, nor on what was generated before.
    settings.register_profile(
        "steady", deadline=None, max_examples=60, derandomize=True, database=None
    )
    settings.load_profile("steady")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests = {getattr(item, "function", None) for item in items}
    for test in tests:
        if getattr(test, "is_hypothesis_test", False):
            counts.count_examples(test)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if said := counts.summary():
        terminalreporter.write_line(f"Inputs made up by the tests: {said}.")


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
