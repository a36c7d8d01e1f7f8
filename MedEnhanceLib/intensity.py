"""Intensity scales that networks are fed with, and the way back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.errors import BundleError, VolumeError
from MedEnhanceLib.slabs import filtered, sample, slabs, thin_sample

PEAK_PERCENTILE = 99.9
FOREGROUND = 10 / 255
"""Share of the peak from which on a voxel counts as tissue."""
LEAST_OBJECT_SHARE = 0.02
"""Of the values that are not zero; the object is more of them."""
ROBUST_PEAK = "robust_peak"
LEAST_PEAK_SHARE = 0.5
"""Of the peak is left, however strong the noise."""


@dataclass(frozen=True)
class Scaling:
    """``normalised = (value - offset) / scale``, and back."""

    offset: float
    scale: float

    def normalise(self, voxels: NDArray[Any]) -> NDArray[np.float32]:
        """Float32 copy on the network's scale; any shape."""

        def scaled(part: NDArray[Any]) -> NDArray[np.float32]:
            values = part.astype(np.float32)
            values -= np.float32(self.offset)
            values /= np.float32(self.scale)
            return values

        return filtered(voxels, scaled, margin=0)

    def restore(self, voxels: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same array, changed back to the volume's own unit; any shape."""
        voxels *= np.float32(self.scale)
        voxels += np.float32(self.offset)
        return voxels


def robust_peak(voxels: NDArray[Any]) -> float:
    """The brightest value that is not an outlier: the 99.9th percentile.

    When hardly a voxel is above zero the percentile is zero; the maximum is used then. Large
    volumes are sampled at a regular stride.

    Raises:
        VolumeError: when no voxel is above zero.
    """
    peak = float(np.percentile(sample(voxels), PEAK_PERCENTILE))
    if peak <= 0:
        peak = float(voxels.max())
    if peak <= 0:
        raise VolumeError(
            f"The brightest voxel is {float(voxels.max()):g}, but an MR image has values above "
            "zero; check that the right volume was chosen."
        )
    return peak


def peak_without_noise(voxels: NDArray[Any], noise: float) -> float:
    """The robust peak of the usual values, less what noise raised it by.

    That is as much as the same noise would raise it once more.

    After Cook and Stefanski 1994, "Simulation-extrapolation estimation in parametric measurement
    error models", doi:10.1080/01621459.1994.10476871.
    """
    values = usual_values(thin_sample(voxels))
    if values.max() <= 0:
        return robust_peak(voxels)
    peak = robust_peak(values)
    noisier = values + np.random.default_rng(0).normal(0, noise, values.shape)
    return max(2 * peak - robust_peak(noisier), LEAST_PEAK_SHARE * peak)


def largest_usual(voxels: NDArray[Any]) -> float:
    """The largest absolute value that is no outlier; for MR images the robust peak.

    Where hardly a voxel is not zero, the largest of all. Large volumes are sampled.
    """
    usual = float(np.percentile(np.abs(sample(voxels).astype(np.float64)), PEAK_PERCENTILE))
    if usual > 0:
        return usual
    # Not the absolute voxels, as the least whole number of a type has no positive counterpart.
    return max(abs(float(voxels.min())), abs(float(voxels.max())))


def peak_scaling(voxels: NDArray[Any]) -> Scaling:
    """Zero stays zero, the robust peak becomes one."""
    return Scaling(0.0, robust_peak(voxels))


def otsu_threshold(values: NDArray[Any]) -> float:
    """The threshold that best parts the histogram of the values in two (Otsu 1979)."""
    # Between values that are large and close together there may be no numbers for 256 edges.
    least = float(values.min())
    counts, edges = np.histogram(values.astype(np.float64) - least, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    # Nothing parts a constant.
    return least + float(centres[int(np.argmax(np.nan_to_num(between)))])


def usual_values(values: NDArray[Any]) -> NDArray[Any]:
    """The values (n) but for a few, such as an implant's, that are far brighter than all others.

    Those are what Otsu's threshold parts from the rest where it should part the object from air.
    """
    return _without_few(values)[0]


def object_threshold(values: NDArray[Any]) -> float:
    """Otsu's threshold between the object and air, whatever few values are far brighter."""
    return _without_few(values)[1]


def _without_few(values: NDArray[Any]) -> tuple[NDArray[Any], float]:
    """The usual values, and Otsu's threshold of them."""
    while True:
        threshold = otsu_threshold(values)
        usual = values <= threshold
        brighter = usual.size - np.count_nonzero(usual)
        if brighter == 0 or brighter >= LEAST_OBJECT_SHARE * np.count_nonzero(values):
            return values, threshold
        values = values[usual]


def zscore_scaling(voxels: NDArray[Any]) -> Scaling:
    """Mean 0 and standard deviation 1 over the voxels that are not zero.

    Raises:
        VolumeError: when these are all the same.
    """
    count, total, square = 0, 0.0, 0.0
    parts = [voxels[slab.core] for slab in slabs(voxels.shape)]
    for part in parts:
        inside = part[part != 0]
        count += inside.size
        total += float(inside.sum(dtype=np.float64))
    mean = total / max(1, count)
    for part in parts:
        square += float(np.square(part[part != 0].astype(np.float64) - mean).sum())
    if square == 0:
        raise VolumeError("The volume is constant; there is nothing to see in it.")
    return Scaling(mean, math.sqrt(square / count))


def hounsfield_scaling(voxels: NDArray[Any]) -> Scaling:
    """1000 HU become one, whatever is in the volume: water stays zero, nothing is clipped."""
    return Scaling(0.0, 1000.0)


def no_scaling(voxels: NDArray[Any]) -> Scaling:
    """Values as they are, for networks that normalise by themselves."""
    return Scaling(0.0, 1.0)


SCALINGS = {
    ROBUST_PEAK: peak_scaling,
    "zscore_nonzero": zscore_scaling,
    "hu": hounsfield_scaling,
    "none": no_scaling,
}


def scaling_named(name: str, voxels: NDArray[Any]) -> Scaling:
    """The scaling that a bundle's metadata calls for; raises `BundleError` when unknown."""
    if name not in SCALINGS:
        raise BundleError(
            f"The bundle asks for the intensity normalisation '{name}', but MedEnhance knows only "
            f"{', '.join(SCALINGS)}."
        )
    return SCALINGS[name](voxels)
