"""How sharp the edges of an image are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.intensity import robust_peak
from MedEnhanceLib.quality.separable import SHORTEST_RECURSIVE, along, gaussian_matrix
from MedEnhanceLib.slabs import Slab, fullest_slab, mean_inside, over_slabs, quantile, sample

STRONGEST_SHARE = 0.05
ENOUGH_VOXELS = 1_000_000
"""What is a mean over voxels is no better over more of them."""
SMOOTHING_REACH = 10
"""Slices away at which a Gaussian of one voxel, filtered recursively, has faded below 1e-7."""


def gradient_magnitude(voxels: NDArray[Any], geometry: Geometry) -> NDArray[np.float32]:
    """Gradient per mm, (k, j, i), of the image smoothed over one voxel of the finest axis."""
    result = np.empty(voxels.shape, np.float32)

    def fill(part: Slab) -> None:
        result[part.core] = gradient_in(part, voxels, geometry)

    over_slabs(fill, voxels.shape, SMOOTHING_REACH)
    return result


def gradient_in(part: Slab, voxels: NDArray[Any], geometry: Geometry) -> NDArray[np.float32]:
    """The gradient's magnitude per mm in those slices only.

    Args:
        part: the slices, with ``SMOOTHING_REACH`` more on each side as far as there are any.
        voxels: the whole image (k, j, i).
    """
    values = voxels[part.grown].astype(np.float32)
    if min(voxels.shape) < SHORTEST_RECURSIVE:
        return _plain_gradient(values, geometry)[part.inner]
    return _smooth_gradient(values, geometry, part.inner)


def _smooth_gradient(
    values: NDArray[np.float32], geometry: Geometry, inner: slice
) -> NDArray[np.float32]:
    """In the ``inner`` slices of those that are given."""
    steps = geometry.spacing[::-1]
    sigmas = [min(steps) / step for step in steps]
    smooth = [gaussian_matrix(n, s, 0) for n, s in zip(values.shape, sigmas, strict=True)]
    slope = [gaussian_matrix(n, s, 1) for n, s in zip(values.shape, sigmas, strict=True)]
    # Across the slices first, as only the inner ones are needed then.
    across = along(smooth[0][inner], values, 0)
    in_columns = along(smooth[1], across, 1)
    parts = (
        along(smooth[2], along(smooth[1], along(slope[0][inner], values, 0), 1), 2),
        along(smooth[2], along(slope[1], across, 1), 2),
        along(slope[2], in_columns, 2),
    )
    total = np.zeros(across.shape, np.float32)
    for part, step in zip(parts, steps, strict=True):
        part /= np.float32(step)
        total += np.square(part, out=part)
    return np.sqrt(total, out=total)


def _plain_gradient(voxels: NDArray[Any], geometry: Geometry) -> NDArray[np.float32]:
    """Central differences, for volumes of too few slices to smooth."""
    values = voxels.astype(np.float32)
    total = np.zeros(values.shape, np.float32)
    for axis, spacing in enumerate(geometry.spacing[::-1]):
        if values.shape[axis] > 1:
            total += np.gradient(values, spacing, axis=axis) ** 2
    return np.sqrt(total)


def edge_mask(gradient: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The strongest 5 % of the gradients that are not zero."""
    if not gradient.any():
        return np.zeros(gradient.shape, bool)
    return gradient >= quantile(gradient, gradient > 0, 1 - STRONGEST_SHARE)


def enough_slices(inside: NDArray[np.bool_]) -> Slab:
    """The slices of a large volume in which gradients are measured: those that hold the most of it.

    Args:
        inside: the object (k, j, i).
    """
    content = np.count_nonzero(inside, axis=(1, 2))
    return fullest_slab(content, inside[0].size, ENOUGH_VOXELS, SMOOTHING_REACH)


def edge_sharpness(
    edges: NDArray[np.bool_], gradient: NDArray[np.float32], voxels: NDArray[Any]
) -> float:
    """Mean gradient at the edges, in percent of the image's robust peak per mm.

    Args:
        edges: where to measure, as by :func:`edge_mask`; the same ones to compare two images.
        gradient: per mm, where edges are given.
        voxels: the whole image.

    Returns:
        0 when there are no edges.
    """
    if not edges.any():
        return 0.0
    # Whole numbers of few bits would wrap around in the subtraction.
    above = sample(voxels).astype(np.float32)
    above -= min(0, above.min())
    return 100 * mean_inside(gradient, edges) / robust_peak(above)
