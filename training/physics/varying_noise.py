"""Noise that is stronger in some places than in others, as after parallel imaging.

Undersampling k-space with several coils amplifies the noise by the geometry factor, which is 1
or more and varies smoothly over the field of view (SENSE: Pruessmann et al. 1999,
doi:10.1002/(SICI)1522-2594(199911)42:5<952::AID-MRM16>3.0.CO;2-S).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from MedEnhanceLib.acquisition import FloatArray, add_rician_noise

MOST_SPOTS = 3
LARGEST_G = 2.5
"""At accelerations in clinical use the geometry factor seldom gets above this."""


def add_varying_rician_noise(
    clean: FloatArray, sigma: float, rng: np.random.Generator, largest_g: float = LARGEST_G
) -> tuple[FloatArray, FloatArray]:
    """Add Rician noise of ``sigma`` times a random geometry factor.

    Args:
        clean: of any shape; ``sigma`` is in its unit and is the lowest level anywhere.
        largest_g: the factor's upper limit, 1 or more.

    Returns:
        The noisy array, and the noise level at each voxel.
    """
    level = np.float32(sigma) * geometry_factor(clean.shape, rng, largest_g)
    return add_rician_noise(clean, level, rng), level


def geometry_factor(
    shape: Sequence[int], rng: np.random.Generator, largest: float = LARGEST_G
) -> FloatArray:
    """A random smooth map between 1 and ``largest``: one to three blurred spots.

    The spots may lie outside, since a patch shows only a part of the field of view. Their widths
    are 0.3 to 1 times the array's longest edge.

    Raises:
        ValueError: when ``largest`` is below 1.
    """
    if not largest >= 1:
        raise ValueError(f"The geometry factor is 1 or more, so its limit cannot be {largest}.")
    edge = max(shape)
    total = np.zeros(tuple(shape), dtype=np.float32)
    for _ in range(rng.integers(1, MOST_SPOTS + 1)):
        total += _spot(shape, rng.uniform(-0.3, 1.3, len(shape)), edge * rng.uniform(0.3, 1.0))
    peak = np.float32(rng.uniform(1, largest) - 1)
    return 1 + peak * total / max(total.max(), np.finfo(np.float32).tiny)


def _spot(shape: Sequence[int], centre: Iterable[float], width: float) -> FloatArray:
    """A Gaussian of this standard deviation (voxels), its centre as a share of each axis."""
    spot = np.ones((1,) * len(shape), dtype=np.float32)
    for axis, (size, share) in enumerate(zip(shape, centre, strict=True)):
        line = np.exp(-0.5 * ((np.arange(size) - share * size) / width) ** 2, dtype=np.float32)
        spot = spot * np.expand_dims(line, [a for a in range(len(shape)) if a != axis])
    return spot
