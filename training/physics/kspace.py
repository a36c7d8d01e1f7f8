"""What is lost when k-space is not sampled to its end, or on one side only.

Arrays are images of any number of dimensions; k-space is their Fourier transform with its centre
in the middle. Fourier transforms wrap around: what stands at one border rings at the other.
A complex image comes back complex, a real one as the magnitude that a scanner would show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Method = Literal["zero-filled", "homodyne"]
Image = NDArray[Any]


def truncate(image: Image, axis: int, kept: float) -> Image:
    """Keep the central share ``kept`` of k-space along ``axis``: Gibbs ringing at sharp edges.

    The lines that were not measured are put in as zeros, which makes neighbours' noise alike.

    Args:
        kept: above 0 and at most 1.
    """
    if not 0 < kept <= 1:
        raise ValueError(f"The share of k-space to keep is above 0 and at most 1, not {kept}.")
    count = image.shape[axis]
    measured = _central(count, max(1, round(kept * count)))
    spectrum = to_kspace(image, axis)
    return _like(image, to_image(spectrum * _along(measured, axis, image.ndim), axis))


def partial_fourier(
    image: Image, axis: int, fraction: float, method: Method = "zero-filled"
) -> Image:
    """Sample only the first ``fraction`` (above 0.5, at most 1) of k-space along ``axis``.

    "zero-filled" leaves the rest zero, which blurs. "homodyne" uses that the k-space of an image
    without phase is symmetric: lines that were measured on one side only count twice, and the
    phase is taken from the symmetric middle (Noll, Nishimura and Macovski 1991,
    doi:10.1109/42.79473); its result is real.
    """
    if not 0.5 < fraction <= 1:
        raise ValueError(f"Partial Fourier samples above 0.5 and at most 1, not {fraction}.")
    count = image.shape[axis]
    measured = np.arange(count) < max(round(fraction * count), count // 2 + 1)
    spectrum = to_kspace(image, axis) * _along(measured, axis, image.ndim)
    if method == "zero-filled":
        return _like(image, to_image(spectrum, axis))
    if method != "homodyne":
        raise ValueError(f"The method {method!r} is neither 'zero-filled' nor 'homodyne'.")
    middle, weights = _homodyne_weights(measured)
    phase = np.angle(to_image(spectrum * _along(middle, axis, image.ndim), axis))
    doubled = to_image(spectrum * _along(weights, axis, image.ndim), axis)
    return np.real(doubled * np.exp(-1j * phase)).astype(_real_type(image))


def acquire_zero_filled(
    clean: NDArray[np.float32],
    sigma: float,
    axes: Sequence[int],
    kept: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A magnitude image that the scanner interpolated, with noise and without.

    Signal and noise pass the same :func:`truncate` along ``axes``, so that the noise of
    neighbouring voxels is alike, as it is in most scans on a fine in-plane grid. ``sigma`` is the
    noise's standard deviation in the result, in the unit of ``clean``.

    Returns:
        The noisy image, and the same one without noise.
    """

    def measured(image: Image) -> Image:
        for axis in axes:
            image = truncate(image, axis, kept)
        return image

    return _acquired(clean, sigma, measured, rng)


def acquire_partial_fourier(
    clean: NDArray[np.float32], sigma: float, axis: int, fraction: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """As :func:`acquire_zero_filled`, through :func:`partial_fourier` with zeros for the rest."""
    return _acquired(clean, sigma, lambda image: partial_fourier(image, axis, fraction), rng)


def _acquired(
    clean: NDArray[np.float32],
    sigma: float,
    measured: Callable[[Image], Image],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Magnitudes with noise and without, of which signal and noise were measured alike."""
    wave = rng.standard_normal((2, *clean.shape), dtype=np.float32)
    noise, signal = measured(wave[0] + 1j * wave[1]), measured(clean.astype(np.complex64))
    noise *= np.float32(sigma / max(float(noise.real.std()), 1e-12))
    return np.abs(signal + noise), np.abs(signal)


def to_kspace(image: Image, axis: int) -> Image:
    """The Fourier transform along one axis, the zero frequency at index ``n // 2``."""
    shifted = np.fft.ifftshift(image, axes=axis)
    return np.fft.fftshift(np.fft.fft(shifted, axis=axis), axes=axis)


def to_image(spectrum: Image, axis: int) -> Image:
    """The inverse of :func:`to_kspace`."""
    shifted = np.fft.ifftshift(spectrum, axes=axis)
    return np.fft.fftshift(np.fft.ifft(shifted, axis=axis), axes=axis)


def _central(count: int, lines: int) -> NDArray[np.bool_]:
    """Which of ``count`` lines are kept when ``lines`` around the zero frequency are."""
    start = count // 2 - lines // 2
    index = np.arange(count)
    return (index >= start) & (index < start + lines)


def _homodyne_weights(measured: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Where both sides were measured, and how often each line counts: 2 - its mirror's weight.

    The weight falls linearly from 2 to 0 across the symmetric middle, so that a line and its
    mirror image always count twice together. Of an even number of lines the first one is its own
    mirror image.
    """
    offset = np.arange(len(measured)) - len(measured) // 2
    reach = int(offset[measured].max())
    middle = np.abs(offset) <= reach
    weights = np.clip(1 - offset / (reach + 1), 0, 2)
    if len(measured) % 2 == 0:
        middle[0], weights[0] = measured.all(), 1
    return middle, weights * measured


def _along(line: NDArray[Any], axis: int, dimensions: int) -> NDArray[Any]:
    """A line of values, shaped to be multiplied along ``axis``."""
    shape = [1] * dimensions
    shape[axis] = len(line)
    return line.reshape(shape)


def _like(image: Image, result: Image) -> Image:
    """Complex for a complex image, else the magnitude, in the image's precision."""
    if np.iscomplexobj(image):
        return result.astype(image.dtype)
    return np.abs(result).astype(_real_type(image))


def _real_type(image: Image) -> np.dtype[Any]:
    return np.result_type(np.real(image).dtype, np.float32)
