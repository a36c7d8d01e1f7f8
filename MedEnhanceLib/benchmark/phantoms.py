"""Volumes of any size, enough like patients to be worked on, made here and the same always.

They are made slice by slice, so that making one takes no more memory than holding it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.tiles import Index
from MedEnhanceLib.volume import Volume

# Radius and value of ellipsoids within each other, from the outside in, as a share of the volume.
HEAD = ((0.86, 900.0), (0.80, 120.0), (0.76, 600.0), (0.62, 820.0), (0.20, 250.0))
BODY = ((0.90, -90.0), (0.84, 50.0), (0.60, -850.0), (0.22, 60.0), (0.08, 700.0))
AIR, AIR_HU = 0.0, -1000.0
HEAD_NOISE, BODY_NOISE = 27.0, 25.0
TEXTURE = 0.06
"""Waves within the tissue, as a share of the largest value, so that there is some structure."""


def head(
    shape: Index,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    noise: float = HEAD_NOISE,
) -> Volume:
    """A T1-like head of (k, j, i) voxels with Rician noise, uint16."""
    voxels = _filled(shape, HEAD, AIR, noise, rician=True, dtype=np.uint16)
    return Volume(voxels, _centred(shape, spacing), "MR")


def body(
    shape: Index,
    spacing: tuple[float, float, float] = (0.7, 0.7, 1.0),
    noise: float = BODY_NOISE,
) -> Volume:
    """A chest-like CT of (k, j, i) voxels in Hounsfield units, int16."""
    voxels = _filled(shape, BODY, AIR_HU, noise, rician=False, dtype=np.int16)
    return Volume(voxels, _centred(shape, spacing), "CT", "HU")


def _centred(shape: Index, spacing: tuple[float, float, float]) -> Geometry:
    k, j, i = shape
    x, y, z = (-0.5 * s * (n - 1) for s, n in zip(spacing, (i, j, k), strict=True))
    return Geometry((i, j, k), spacing, (x, y, z))


def _filled(
    shape: Index,
    ellipsoids: tuple[tuple[float, float], ...],
    air: float,
    noise: float,
    rician: bool,
    dtype: Any,
) -> NDArray[Any]:
    voxels = np.empty(shape, dtype)
    axes = [np.linspace(-1, 1, n, dtype=np.float32) for n in shape]
    in_plane = axes[1][:, None] ** 2 + axes[2][None, :] ** 2
    waves = np.sin(25 * axes[1])[:, None] * np.sin(31 * axes[2])[None, :]
    for k, height in enumerate(axes[0]):
        rng = np.random.default_rng(k)
        radius = np.sqrt(in_plane + height**2)
        clean = np.full(shape[1:], air, np.float32)
        for reach, value in ellipsoids:
            clean[radius < reach] = value
        tissue = radius < ellipsoids[0][0]
        clean[tissue] += TEXTURE * ellipsoids[0][1] * np.sin(20 * height) * waves[tissue]
        noisy = clean + noise * rng.standard_normal(shape[1:], np.float32)
        if rician:
            noisy = np.hypot(noisy, noise * rng.standard_normal(shape[1:], np.float32))
        voxels[k] = np.rint(noisy).astype(dtype)
    return voxels
