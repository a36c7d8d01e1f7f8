"""Runs the command line in this process, on a small scan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from MedEnhanceLib import Geometry, Volume, write_image
from MedEnhanceLib.cli.main import app

Run = Callable[..., Result]
OBLIQUE = ((0.96, -0.28, 0.0), (0.28, 0.96, 0.0), (0.0, 0.0, 1.0))


def scan(shape: tuple[int, int, int] = (12, 20, 24), seed: int = 0) -> Volume:
    """A bright ellipsoid with a darker one inside, and noise."""
    grid = [np.linspace(-1, 1, n) for n in shape]
    k, j, i = np.meshgrid(*grid, indexing="ij")
    radius = np.sqrt(k**2 + j**2 + i**2)
    clean = 600.0 * (radius < 0.9) - 250.0 * (radius < 0.4)
    noisy = np.abs(clean + np.random.default_rng(seed).normal(0, 25, shape))
    geometry = Geometry(shape[::-1], (0.9, 1.0, 2.0), (-30.0, 12.5, 4.0), OBLIQUE)
    return Volume(np.round(noisy).astype(np.int16), geometry)


@pytest.fixture
def volume_file(tmp_path: Path) -> Path:
    path = tmp_path / "scan.nii.gz"
    write_image(scan(), path)
    return path


@pytest.fixture
def run() -> Run:
    def runner(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(a) for a in arguments])

    return runner
