"""How a scanner makes an image worse: noise and thick slices, and the way back to a fine grid.

These are the forward models that training, ``medenhance evaluate`` and the data-consistency
guard of super-resolution share, so that all three speak of the same physics:

* Rician noise of MR magnitude images (Gudbjartsson and Patz 1995, doi:10.1002/mrm.1910340618);
* the noise of CT, correlated within the slice (Kijewski and Judy 1987,
  doi:10.1088/0031-9155/32/5/003);
* thick slices, as a weighted mean over a slice profile along one axis;
* B-spline interpolation from the thick slices back to a fine grid (Unser, Aldroubi and Eden
  1993, doi:10.1109/78.193220).

Both resampling steps keep the *edges* of the volume, not the centres of its first and last
voxel: with n voxels before and m after, voxel o of the result has its centre at index
``(o + 0.5) * n / m - 0.5`` of the input. Beyond the edges the volume is continued by its mirror
image (``c b a | a b c``), so that a constant volume stays constant up to the border. Along one
axis each step is a matrix; the matrices are public, for adjoints and for back-projection.

Arrays are numpy, of any number of dimensions, in any intensity unit; results are float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Profile = Literal["gaussian", "box"]
FloatArray = NDArray[np.float32]

FACTOR_UNIT = 4.0
"""The networks are told the refinement factor over this, to keep their inputs near one."""
PARTS = 4
"""A network that divides slices gives so many parts of each."""
CT_CUTOFF = 0.5
"""Cycles per voxel at which the window of the reconstruction kernel ends."""
LANCZOS_RADIUS = 5
"""Voxels on each side that Lanczos interpolation goes by; ITK's as many."""
FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a Gaussian whose standard deviation is 1."""


def add_rician_noise(
    voxels: ArrayLike, sigma: float | ArrayLike, rng: np.random.Generator
) -> FloatArray:
    """Add the noise of an MR magnitude image.

    ``sigma`` is the standard deviation of the Gaussian noise in the real and in the imaginary
    channel, in the unit of ``voxels``: one number, or an array that broadcasts to their shape
    (noise varying over the volume). The result is ``sqrt((voxels + a)^2 + b^2)`` with
    ``a, b ~ N(0, sigma^2)``; where there is no signal its mean is ``sigma * sqrt(pi / 2)``.

    Raises:
        ValueError: when ``sigma`` is below zero.
    """
    clean = np.asarray(voxels, dtype=np.float32)
    level = np.asarray(sigma, dtype=np.float32)
    if not np.all(level >= 0):
        raise ValueError(f"The noise level must be zero or more, but is {level.min()}.")
    real = clean + level * rng.standard_normal(clean.shape, dtype=np.float32)
    imaginary = level * rng.standard_normal(clean.shape, dtype=np.float32)
    return np.hypot(real, imaginary)


def add_ct_noise(voxels: ArrayLike, sigma: float, rng: np.random.Generator) -> FloatArray:
    """Add Gaussian noise that is correlated within the slices (k, j, i) as that of CT is.

    ``sigma`` is its standard deviation in the unit of ``voxels``. Filtered back-projection gives
    the noise a power that grows with the spatial frequency f, as ``f * W(f)^2`` with the window W
    of a standard reconstruction kernel: Hann's. Slices are independent of each other, and the
    noise is equally strong everywhere.

    Raises:
        ValueError: when ``sigma`` is below zero.
    """
    clean = np.asarray(voxels, dtype=np.float32)
    if not sigma >= 0:
        raise ValueError(f"The noise level must be zero or more, but is {sigma}.")
    rows, columns = clean.shape[1:]
    amplitude = ct_noise_amplitude((rows, columns))
    white = np.fft.fft2(rng.standard_normal(clean.shape, dtype=np.float32))
    noise = np.fft.ifft2(white * amplitude).real
    return (clean + sigma * noise).astype(np.float32)


def ct_noise_amplitude(shape: tuple[int, int]) -> NDArray[np.float64]:
    """By how much `add_ct_noise` weighs each frequency (of numpy's fft2) of white noise.

    The mean square is 1, so that the standard deviation stays.
    """
    rows, columns = (np.fft.fftfreq(n) for n in shape)
    frequency = np.hypot(rows[:, None], columns[None, :])
    window = np.where(frequency < CT_CUTOFF, 0.5 + 0.5 * np.cos(np.pi * frequency / CT_CUTOFF), 0.0)
    amplitude = np.sqrt(frequency) * window
    power = float(np.mean(amplitude**2))
    # A slice of one voxel has no frequency but zero.
    return amplitude / math.sqrt(power) if power > 0 else np.ones(shape)


def thick_slices(
    voxels: ArrayLike,
    axis: int,
    factor: float,
    profile: Profile = "gaussian",
    fwhm_ratio: float = 1.0,
) -> FloatArray:
    """Acquire a volume in slices ``factor`` times as thick along ``axis``.

    The number of slices becomes ``round(n / factor)``, at least 1, and the field of view stays,
    so that the true thickness is ``n / round(n / factor)`` voxels. Each slice is the mean of the
    input weighted by the slice profile, ``fwhm_ratio`` times as wide (full width at half
    maximum) as the slices are apart: 1 means slices that touch.

    Raises:
        ValueError: when ``factor`` is below 1, or as for :func:`slice_matrix`.
    """
    array = np.asarray(voxels, dtype=np.float32)
    count = array.shape[axis]
    if not (math.isfinite(factor) and factor >= 1):
        raise ValueError(f"Slices can only become thicker: the factor {factor} is not 1 or more.")
    slices = max(1, round(count / factor))
    return apply_along(slice_matrix(count, slices, profile, fwhm_ratio), array, axis)


def interpolate_axis(voxels: ArrayLike, axis: int, size: int, order: int = 3) -> FloatArray:
    """Interpolate ``voxels`` to ``size`` voxels along ``axis`` by a B-spline, edges kept."""
    array = np.asarray(voxels, dtype=np.float32)
    return apply_along(interpolation_matrix(array.shape[axis], size, order), array, axis)


def joined_parts(parts: ArrayLike, size: int) -> FloatArray:
    """Slices that were divided into parts (parts, n, ...), resampled to ``size`` slices.

    Linear interpolation, edges kept, as by `interpolation_matrix` of order 1; with as many slices
    as there are parts nothing is changed.
    """
    array = np.asarray(parts, dtype=np.float32)
    each, slices = array.shape[:2]
    last = each * slices - 1
    result = np.empty((size, *array.shape[2:]), np.float32)
    for place, centre in enumerate(np.clip(_edge_keeping_centres(last + 1, size), 0, last)):
        before = min(int(centre), last - 1)
        share = np.float32(centre - before)
        first, second = (array[n % each, n // each] for n in (before, before + 1))
        result[place] = (1 - share) * first + share * second
    return result


def apply_along(matrix: NDArray[np.floating], voxels: ArrayLike, axis: int) -> FloatArray:
    """Multiply every line of ``voxels`` along ``axis`` (n values) by ``matrix`` (m x n)."""
    lines = np.moveaxis(np.asarray(voxels, dtype=np.float32), axis, 0)
    product = matrix.astype(np.float32) @ lines.reshape(lines.shape[0], -1)
    result = product.reshape(matrix.shape[0], *lines.shape[1:])
    return np.ascontiguousarray(np.moveaxis(result, 0, axis))


def apply_to_shape(
    matrix: Callable[[int, int], NDArray[np.floating]], voxels: ArrayLike, shape: Sequence[int]
) -> FloatArray:
    """Bring ``voxels`` to ``shape``, axis by axis, by the matrix for n and the wanted values."""
    array = np.asarray(voxels, dtype=np.float32)
    for axis, size in enumerate(shape):
        if array.shape[axis] != size:
            array = apply_along(matrix(array.shape[axis], size), array, axis)
    return array


@lru_cache(maxsize=64)
def slice_matrix(
    count: int, slices: int, profile: Profile = "gaussian", fwhm_ratio: float = 1.0
) -> NDArray[np.float64]:
    """The matrix (``slices`` x ``count``) that turns fine voxels into thick slices.

    A Gaussian profile is sampled at the voxel centres; a box profile weighs each voxel by the
    part of it that the box covers. Every row sums to 1. Do not write into the result.

    Raises:
        ValueError: when there are no slices or more than voxels, the width is not positive, or the
            profile is unknown.
    """
    if slices < 1 or slices > count:
        raise ValueError(f"{count} voxels cannot be acquired as {slices} thick slices.")
    if not (math.isfinite(fwhm_ratio) and fwhm_ratio > 0):
        raise ValueError(f"The profile's width ratio must be positive, but is {fwhm_ratio}.")
    width = fwhm_ratio * count / slices
    reach = math.ceil(2 * width if profile == "gaussian" else width / 2) + 1
    centres = _edge_keeping_centres(count, slices)
    columns = np.arange(-reach, count + reach)
    distance = np.abs(columns[None, :] - centres[:, None])
    if profile == "gaussian":
        exponent = 0.5 * (distance * FWHM_PER_SIGMA / width) ** 2
        # However narrow, it measures the nearest voxel.
        weights = np.exp(exponent.min(axis=1, keepdims=True) - exponent)
    elif profile == "box":
        weights = np.clip((width + 1) / 2 - distance, 0, min(1.0, width))
    else:
        raise ValueError(f"The slice profile {profile!r} is neither 'gaussian' nor 'box'.")
    weights = _fold_mirror(weights, columns, count)
    return _read_only(weights / weights.sum(axis=1, keepdims=True))


@lru_cache(maxsize=64)
def interpolation_matrix(count: int, size: int, order: int = 3) -> NDArray[np.float64]:
    """The matrix (``size`` x ``count``) of B-spline interpolation of ``order`` 0 to 5.

    Every row sums to 1, and with ``size == count`` it is the identity. Do not write into it.

    Raises:
        ValueError: when either number of voxels is below 1, or there is no such order.
    """
    if count < 1 or size < 1:
        raise ValueError(f"{count} voxels cannot be interpolated to {size}.")
    if order not in range(6):
        raise ValueError(f"The B-spline order must be 0 to 5, but is {order}.")
    at_voxels = _spline_matrix(np.arange(count, dtype=float), count, order)
    at_centres = _spline_matrix(_edge_keeping_centres(count, size), count, order)
    matrix = np.linalg.solve(at_voxels.T, at_centres.T).T
    return _read_only(np.ascontiguousarray(matrix, dtype=np.float64))


@lru_cache(maxsize=64)
def lanczos_matrix(count: int, size: int) -> NDArray[np.float64]:
    """The matrix (``size`` x ``count``) of sinc interpolation with a Lanczos window.

    Beyond the edges the outermost voxels are repeated, as in ITK. Every row sums to 1, as weights
    of a sinc that is cut off do not by themselves. Do not write into it.
    """
    columns = np.arange(-LANCZOS_RADIUS, count + LANCZOS_RADIUS)
    distance = _edge_keeping_centres(count, size)[:, None] - columns
    weights = np.sinc(distance) * np.sinc(distance / LANCZOS_RADIUS)
    weights[np.abs(distance) >= LANCZOS_RADIUS] = 0
    weights = _folded(weights, np.clip(columns, 0, count - 1), count)
    return _read_only(weights / weights.sum(axis=1, keepdims=True))


def _edge_keeping_centres(count: int, size: int) -> NDArray[np.float64]:
    """Where the centres of ``size`` voxels lie among ``count`` that share their outer edges."""
    return (np.arange(size) + 0.5) * count / size - 0.5


def _spline_matrix(positions: NDArray[np.float64], count: int, order: int) -> NDArray[np.float64]:
    """Values at ``positions`` of the B-splines centred on ``count`` mirrored voxels."""
    reach = order // 2 + 2
    columns = np.arange(-reach, count + reach)
    weights = _b_spline(positions[:, None] - columns[None, :], order)
    return _fold_mirror(weights, columns, count)


def _b_spline(distance: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    """The centred cardinal B-spline of ``order``, by its recursion from the box."""
    if order == 0:
        return ((distance >= -0.5) & (distance < 0.5)).astype(float)
    half = (order + 1) / 2
    left = (half + distance) * _b_spline(distance + 0.5, order - 1)
    right = (half - distance) * _b_spline(distance - 0.5, order - 1)
    return (left + right) / order


def _fold_mirror(
    weights: NDArray[np.float64], columns: NDArray[np.int_], count: int
) -> NDArray[np.float64]:
    """Add the weights of columns outside 0..count-1 to the voxels that they mirror."""
    cycle = columns % (2 * count)
    return _folded(weights, np.minimum(cycle, 2 * count - 1 - cycle), count)


def _folded(
    weights: NDArray[np.float64], voxels: NDArray[np.int_], count: int
) -> NDArray[np.float64]:
    """The weights of ``count`` voxels, of columns that each stand for one of them."""
    folded = np.zeros((weights.shape[0], count))
    np.add.at(folded.T, voxels, weights.T)
    return folded


def _read_only(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix.flags.writeable = False
    return matrix
