"""Classical denoisers: (k, j, i) voxels and the noise's sigma in, float32 voxels out.

``step`` is called with the fraction done where a filter takes long; cancelling raises from it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.itk import from_itk, unplaced

DIFFUSION_STEPS = 4
DIFFUSION_TIME_STEP = 0.0625
DIFFUSION_CONDUCTANCE = 1.0
SEARCH_RADIUS = 2
PATCH_RADIUS = 1
# Interpolation leaves a few values below zero in a magnitude image; more, and it is none.
MOST_NEGATIVE = 0.01

Step = Callable[[float], None]


def ignore(fraction: float) -> None:
    """The step of a caller that does not want to know."""


def median(
    voxels: NDArray[Any], sigma: float, is_mr: bool, step: Step = ignore
) -> NDArray[np.float32]:
    """Median of the 3x3x3 neighbourhood; ``sigma`` and ``is_mr`` are not used."""
    import SimpleITK as sitk

    return from_itk(sitk.Median(unplaced(voxels.astype(np.float32)), [1, 1, 1]))


def anisotropic_diffusion(
    voxels: NDArray[Any], sigma: float, is_mr: bool, step: Step = ignore
) -> NDArray[np.float32]:
    """Curvature anisotropic diffusion (Whitaker and Xue 2001, doi:10.1109/ICIP.2001.959020)."""
    import SimpleITK as sitk

    image = unplaced(voxels.astype(np.float32))
    return from_itk(
        sitk.CurvatureAnisotropicDiffusion(
            image,
            timeStep=DIFFUSION_TIME_STEP,
            conductanceParameter=DIFFUSION_CONDUCTANCE,
            numberOfIterations=DIFFUSION_STEPS,
        )
    )


def non_local_means(
    voxels: NDArray[Any], sigma: float, is_mr: bool, step: Step = ignore
) -> NDArray[np.float32]:
    """Voxelwise non-local means over a 5x5x5 search window with 3x3x3 patches.

    Buades et al. 2005, doi:10.1109/CVPR.2005.38; for MR the squares are averaged and the
    Rician bias 2 sigma^2 is taken off, as in Wiest-Daessle et al. 2008,
    doi:10.1007/978-3-540-85990-1_21. Squares have no sign, so that an image with values below
    zero (a phase, a difference, a CT without air) is averaged as it is.
    """
    if sigma <= 0:
        return voxels.astype(np.float32)
    image = voxels.astype(np.float32)
    is_magnitude = is_mr and float(np.mean(image < 0)) <= MOST_NEGATIVE
    values = image**2 if is_magnitude else image
    total = values.copy()
    weights = np.ones_like(image)
    offsets = _half_window(image.shape)
    for number, offset in enumerate(offsets):
        step(number / len(offsets))
        here, there = _overlap(image.shape, offset)
        weight = _patch_weight(image[here], image[there], sigma)
        total[here] += weight * values[there]
        weights[here] += weight
        total[there] += weight * values[here]
        weights[there] += weight
    mean = total / weights
    if not is_magnitude:
        return mean
    return np.sqrt(np.maximum(mean - np.float32(2 * sigma**2), 0))


def _half_window(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Offsets of the search window that fit the volume, one of each pair of opposites."""
    radii = [min(SEARCH_RADIUS, n - 1) for n in shape]
    offsets = itertools.product(*[range(-r, r + 1) for r in radii])
    return [offset for offset in offsets if offset > (0, 0, 0)]


def _overlap(
    shape: tuple[int, ...], offset: tuple[int, ...]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where a volume and its copy moved by ``offset`` overlap, in each one's own indices."""
    here = tuple(slice(max(0, -o), n - max(0, o)) for n, o in zip(shape, offset, strict=True))
    there = tuple(slice(max(0, o), n - max(0, -o)) for n, o in zip(shape, offset, strict=True))
    return here, there


def _patch_weight(
    first: NDArray[np.float32], second: NDArray[np.float32], sigma: float
) -> NDArray[np.float32]:
    """How alike the patches around two voxels are; the noise's own distance is taken off."""
    import SimpleITK as sitk

    squared = unplaced((first - second) ** 2)
    distance = from_itk(sitk.BoxMean(squared, [PATCH_RADIUS] * 3))
    excess = np.maximum(distance - np.float32(2 * sigma**2), 0)
    return np.exp(-excess / np.float32(sigma**2))
