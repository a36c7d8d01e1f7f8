"""Noise of CT: correlated within the slice, stronger where the body lets few photons through.

Two models. The first is the physics: photons are counted behind the body, the logarithm is
taken, the noise is filtered and back-projected (Kak and Slaney 1988, "Principles of computerized
tomographic imaging", doi:10.1137/1.9780898719277, chapters 3 and 5). It is slow, so that training
keeps some realisations of every reference. The second draws noise with a spectrum of that kind
(Riederer, Pelc and Chesler 1978, doi:10.1088/0031-9155/23/3/004) at once, for any patch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from skimage.transform import iradon, radon

FloatArray = NDArray[np.float32]
WATER_PER_MM = 0.02
"""Linear attenuation of water for the X-rays of a CT scanner."""
FILTERS = ("ramp", "shepp-logan", "cosine", "hann")


@dataclass(frozen=True)
class Acquisition:
    """How a slice was measured and reconstructed.

    Attributes:
        photons: sent out to each detector at each angle.
        electronic: standard deviation of the detector's own noise, in photons.
        kernel: reconstruction filter, one of `FILTERS`, sharpest first.
        blur: smoothing along the detector, as a standard deviation in voxels.
        mixing: share of each neighbouring slice's noise, as slices overlap.
    """

    photons: float
    electronic: float
    kernel: str
    blur: float
    mixing: float


def random_acquisition(rng: np.random.Generator) -> Acquisition:
    """Any dose that is seen in practice, soft and sharp kernels, slices that overlap or not."""
    return Acquisition(
        photons=float(np.exp(rng.uniform(np.log(3e4), np.log(1e6)))),
        electronic=float(rng.uniform(0, 12)),
        kernel=str(rng.choice(FILTERS)),
        blur=float(rng.uniform(0, 1.2)),
        mixing=float(rng.choice([0.0, rng.uniform(0, 0.3)])),
    )


def line_integrals(volume: FloatArray, pixel_mm: float, angles: int = 180) -> list[FloatArray]:
    """Attenuation along every ray through each slice: (detectors, angles) for each k.

    Args:
        volume: (k, j, i) in HU; slices square or not.
        pixel_mm: of the slice.
        angles: over half a turn.
    """
    turns = np.linspace(0, 180, angles, endpoint=False)
    attenuation = np.maximum(0, 1 + volume / 1000) * (WATER_PER_MM * pixel_mm)
    return [radon(slice_, turns, circle=False).astype(np.float32) for slice_ in attenuation]


def reconstructed_noise(
    lines: Sequence[FloatArray],
    shape: tuple[int, int],
    pixel_mm: float,
    acquisition: Acquisition,
    rng: np.random.Generator,
) -> FloatArray:
    """One realisation of the noise of all slices, (k, j, i) in HU, to be added to them.

    Args:
        lines: from :func:`line_integrals`, one for each slice.
        shape: (j, i) of a slice.
    """
    slices = [_slice_noise(path, shape, pixel_mm, acquisition, rng) for path in lines]
    return mixed_over_slices(np.stack(slices), acquisition.mixing)


def _slice_noise(
    path: FloatArray,
    shape: tuple[int, int],
    pixel_mm: float,
    acquisition: Acquisition,
    rng: np.random.Generator,
) -> FloatArray:
    turns = np.linspace(0, 180, path.shape[1], endpoint=False)
    counted = rng.poisson(acquisition.photons * np.exp(-path)).astype(np.float32)
    counted += rng.normal(0, acquisition.electronic, path.shape)
    measured = np.log(acquisition.photons / np.maximum(counted, 1))
    noise = measured - path
    if acquisition.blur > 0:
        noise = gaussian_filter1d(noise, acquisition.blur, axis=0)
    image = iradon(
        noise, turns, output_size=max(shape), filter_name=acquisition.kernel, circle=False
    )
    rows, columns = ((max(shape) - n) // 2 for n in shape)
    image = image[rows : rows + shape[0], columns : columns + shape[1]]
    return np.asarray(image * (1000 / (WATER_PER_MM * pixel_mm)), dtype=np.float32)


def mixed_over_slices(noise: FloatArray, share: float) -> FloatArray:
    """Add a ``share`` of both neighbouring slices to each, and keep the standard deviation."""
    if share == 0 or len(noise) < 3:
        return noise
    above, below = np.roll(noise, 1, axis=0), np.roll(noise, -1, axis=0)
    mixed = noise + np.float32(share) * (above + below)
    return np.asarray(mixed / np.sqrt(1 + 2 * share**2), dtype=np.float32)


def spectral_noise(
    shape: tuple[int, int, int],
    rng: np.random.Generator,
    power: float,
    cutoff: float,
    stretch: float = 1.0,
    turn: float = 0.0,
    mixing: float = 0.0,
) -> FloatArray:
    """Gaussian noise (k, j, i) of standard deviation 1 with a spectrum like that of CT.

    The amplitude grows with the ``power`` of the frequency (the ramp filter gives 0.5, none
    gives 0) and falls like a Gaussian of width ``cutoff`` in cycles per voxel.

    Args:
        stretch: how much longer than wide the grain is, along the direction ``turn`` (radians
            from the i axis), as behind shoulders and hips.
        mixing: share of each neighbouring slice's noise.
    """
    fj, fi = (np.fft.fftfreq(n) for n in shape[1:])
    along = np.cos(turn) * fi[None] + np.sin(turn) * fj[:, None]
    across = np.cos(turn) * fj[:, None] - np.sin(turn) * fi[None]
    frequency = np.hypot(along * np.sqrt(stretch), across / np.sqrt(stretch))
    amplitude = frequency**power * np.exp(-0.5 * (frequency / cutoff) ** 2)
    white = np.fft.fft2(rng.standard_normal(shape))
    noise = np.fft.ifft2(white * amplitude).real
    return mixed_over_slices((noise / np.sqrt(np.mean(amplitude**2))).astype(np.float32), mixing)


def random_spectral_noise(shape: tuple[int, int, int], rng: np.random.Generator) -> FloatArray:
    """:func:`spectral_noise` of any grain that scanners make, up to white noise."""
    return spectral_noise(
        shape,
        rng,
        power=float(rng.uniform(0, 0.9)),
        cutoff=float(np.exp(rng.uniform(np.log(0.1), np.log(0.8)))),
        stretch=float(np.exp(abs(rng.normal(0, 0.4)))),
        turn=float(rng.uniform(0, np.pi)),
        mixing=float(rng.choice([0.0, rng.uniform(0, 0.3)])),
    )
