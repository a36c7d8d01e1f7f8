"""Where the files that come with MedEnhance are."""

from __future__ import annotations

from pathlib import Path


def _resources() -> Path:
    """In an installed wheel they are inside the package, elsewhere beside it."""
    package = Path(__file__).resolve().parent
    inside = package / "Resources"
    return inside if inside.is_dir() else package.parent / "Resources"


def models_folder() -> Path:
    """Folder of the shipped bundles."""
    return _resources() / "Models"


def sample_folder() -> Path:
    """Folder of the sample volumes."""
    return _resources() / "SampleData"
