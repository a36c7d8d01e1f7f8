"""How close an image is to a reference image.

Peak P is the greatest value of a noise-free phantom, and the 99.9th percentile of a real scan
(`MedEnhanceLib.intensity.robust_peak`). The foreground is where the reference exceeds
P * 10 / 255: in MR magnitude images the air has noise of another kind, which would flatter or
spoil the numbers. Images are (k, j, i); masks are true where it counts.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.errors import VolumeError
from MedEnhanceLib.intensity import FOREGROUND

SSIM_SIGMA = 1.5
SSIM_RADIUS = 5
SSIM_K1, SSIM_K2 = 0.01, 0.03

Mask = NDArray[np.bool_]


def foreground(reference: NDArray[Any], peak: float) -> Mask:
    """Where the reference is brighter than P * 10 / 255."""
    return reference > peak * FOREGROUND


def rmse(reference: NDArray[Any], image: NDArray[Any], mask: Mask | None = None) -> float:
    """Root mean square difference, in the images' unit."""
    _check(reference, image, mask)
    difference = image.astype(np.float32) - reference.astype(np.float32)
    values = difference if mask is None else difference[mask]
    return math.sqrt(float(np.mean(np.square(values), dtype=np.float64)))


def psnr(
    reference: NDArray[Any], image: NDArray[Any], peak: float, mask: Mask | None = None
) -> float:
    """Peak signal-to-noise ratio in dB, ``20 log10(peak / rmse)``; infinite when identical."""
    return psnr_of(rmse(reference, image, mask), peak)


def psnr_of(error: float, peak: float) -> float:
    """:func:`psnr`, from the root mean square error."""
    return math.inf if error == 0 else 20 * math.log10(peak / error)


def gain_db(
    reference: NDArray[Any], before: NDArray[Any], after: NDArray[Any], mask: Mask | None = None
) -> float:
    """How much closer to the reference the second image is than the first, in dB of PSNR."""
    return psnr(reference, after, 1.0, mask) - psnr(reference, before, 1.0, mask)


def ssim(
    reference: NDArray[Any], image: NDArray[Any], peak: float, mask: Mask | None = None
) -> float:
    """Mean structural similarity, 1 when identical.

    Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity",
    doi:10.1109/TIP.2003.819861, in three dimensions: Gaussian window of sigma 1.5 and radius 5
    voxels, K1 = 0.01, K2 = 0.03, range ``peak``. Averaged over the mask, or else over all
    voxels but the outermost five (of axes long enough to have others).
    """
    _check(reference, image, mask)
    similarity = ssim_map(reference, image, peak)
    if mask is not None:
        return float(similarity[mask].mean(dtype=np.float64))
    inner = tuple(
        slice(SSIM_RADIUS, -SSIM_RADIUS) if n > 2 * SSIM_RADIUS else slice(None)
        for n in similarity.shape
    )
    return float(similarity[inner].mean(dtype=np.float64))


def ssim_map(reference: NDArray[Any], image: NDArray[Any], peak: float) -> NDArray[np.float32]:
    """Structural similarity around each voxel."""
    # On a scale of one, and about zero, float32 loses nothing that matters in the variances.
    middle = float(reference.mean(dtype=np.float64))
    a = (reference.astype(np.float32) - np.float32(middle)) / np.float32(peak)
    b = (image.astype(np.float32) - np.float32(middle)) / np.float32(peak)
    mean_a, mean_b = _window(a), _window(b)
    variances = _window(a * a) - mean_a**2 + _window(b * b) - mean_b**2
    covariance = _window(a * b) - mean_a * mean_b
    mean_a += np.float32(middle / peak)
    mean_b += np.float32(middle / peak)
    c1, c2 = np.float32(SSIM_K1**2), np.float32(SSIM_K2**2)
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return luminance * (2 * covariance + c2) / (variances + c2)


def _window(voxels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gaussian-weighted mean around each voxel; beyond its edges the volume is mirrored."""
    offsets = np.arange(-SSIM_RADIUS, SSIM_RADIUS + 1)
    weights = np.exp(-0.5 * (offsets / SSIM_SIGMA) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis, length in enumerate(voxels.shape):
        reach = [(SSIM_RADIUS, SSIM_RADIUS) if a == axis else (0, 0) for a in range(voxels.ndim)]
        lines = np.moveaxis(np.pad(voxels, reach, mode="symmetric"), axis, 0)
        total = np.zeros((length, *lines.shape[1:]), np.float32)
        for start, weight in enumerate(weights):
            total += weight * lines[start : start + length]
        voxels = np.moveaxis(total, 0, axis)
    return voxels


def _check(reference: NDArray[Any], image: NDArray[Any], mask: Mask | None) -> None:
    if reference.shape != image.shape:
        raise VolumeError(
            f"The image has {_voxels(image)} voxels, but the reference has {_voxels(reference)}; "
            "compare volumes on the same grid."
        )
    if mask is None:
        return
    if mask.shape != reference.shape:
        raise VolumeError(
            f"The mask has {_voxels(mask)} voxels, but the reference has {_voxels(reference)}; "
            "give a mask on the same grid."
        )
    if not mask.any():
        raise VolumeError("The mask is empty, so there is nothing to compare; give another mask.")


def _voxels(array: NDArray[Any]) -> str:
    return " x ".join(str(n) for n in array.shape[::-1])
