"""The shading that receive coils leave: a smooth field that multiplies the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from monai.transforms import RandBiasField

from MedEnhanceLib.acquisition import FloatArray

STRENGTH, DEGREE = 0.15, 3
"""The largest coefficient of a polynomial, either sign, and the degree of the polynomials."""


def bias_field(shape: Sequence[int], rng: np.random.Generator) -> FloatArray:
    """A random field around 1: the exponential of Legendre polynomials, by MONAI.

    After Van Leemput et al. 1999, doi:10.1109/42.811268.

    Args:
        shape: of the volume, two or three axes.
    """
    transform = RandBiasField(degree=DEGREE, coeff_range=(-STRENGTH, STRENGTH), prob=1.0)
    transform.set_random_state(seed=int(rng.integers(2**31)))
    field = transform(np.ones((1, *shape), dtype=np.float32))
    return np.asarray(field, dtype=np.float32)[0]
