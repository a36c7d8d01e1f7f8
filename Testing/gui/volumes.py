"""Small volumes for the panel's tests."""

from __future__ import annotations

from typing import Any

import numpy as np


def add_head(
    name: str = "Head", shape: tuple[int, int, int] = (12, 24, 24), spacing: float = 1.0
) -> Any:
    """A bright ball in Rician noise, as a scalar volume node."""
    import slicer

    grid = np.indices(shape) - (np.array(shape)[:, None, None, None] - 1) / 2
    ball = 400.0 * (np.sqrt((grid**2).sum(axis=0)) < min(shape) / 2.2)
    real, imaginary = np.random.default_rng(0).normal(0, 20, (2, *shape))
    voxels = np.hypot(ball + real, imaginary).astype(np.float32)
    return slicer.util.addVolumeFromArray(voxels, np.diag([spacing, spacing, spacing, 1.0]), name)


def add_noise(name: str = "Noise", shape: tuple[int, int, int] = (48, 128, 128)) -> Any:
    """A volume large enough that a filter needs some seconds."""
    import slicer

    voxels = np.random.default_rng(0).normal(400, 20, shape).astype(np.float32)
    return slicer.util.addVolumeFromArray(voxels, np.eye(4), name)
