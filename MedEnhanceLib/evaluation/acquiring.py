"""Thick slices from thin ones, in a stated manner."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np

from MedEnhanceLib.acquisition import Profile, add_ct_noise, add_rician_noise, thick_slices
from MedEnhanceLib.errors import OptionsError, VolumeError
from MedEnhanceLib.evaluation.scoring import is_ct
from MedEnhanceLib.evaluation.subjects import Subject
from MedEnhanceLib.volume import Volume

AXES = "xyz"


@dataclass(frozen=True)
class Acquisition:
    """How the thick slices are made.

    Attributes:
        factor: thickness in voxels.
        axis: x, y or z of the volume.
        profile: "gaussian" (full width at half maximum one thickness) or "box".
        noise_percent: noise added to the thick slices, in percent of the peak: Rician, for CT
            Gaussian and correlated within the slice.
        seed: of that noise.
    """

    factor: int = 2
    axis: str = "z"
    profile: str = "gaussian"
    noise_percent: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.axis not in tuple(AXES):
            raise OptionsError(f"The axis '{self.axis}' is unknown; choose x, y or z.")
        if self.profile not in ("gaussian", "box"):
            raise OptionsError(f"The profile '{self.profile}' is unknown; choose gaussian or box.")
        if not 2 <= self.factor <= 8:
            raise OptionsError(f"The factor {self.factor} must be a whole number from 2 to 8.")
        if not (math.isfinite(self.noise_percent) and self.noise_percent >= 0):
            raise OptionsError(
                f"The noise {self.noise_percent:g} must be zero or a positive percentage of the "
                "peak."
            )

    def __str__(self) -> str:
        noise = f", noise {self.noise_percent:g} %" if self.noise_percent else ""
        return f"{self.factor}x along {self.axis}, {self.profile}{noise}"

    @property
    def array_axis(self) -> int:
        """The same axis of an array (k, j, i)."""
        return 2 - AXES.index(self.axis)

    @property
    def factors(self) -> tuple[float, float, float]:
        """For `SuperResolutionOptions`."""
        x, y, z = (float(self.factor) if name == self.axis else 1.0 for name in AXES)
        return (x, y, z)


@dataclass(frozen=True)
class ThickCase:
    """The thin slices and the thick ones made of them."""

    subject: str
    thin: Volume
    thick: Volume
    acquisition: Acquisition
    peak: float

    @property
    def condition(self) -> str:
        """As in the tables."""
        return str(self.acquisition)


def thick_case(subject: Subject, acquisition: Acquisition) -> ThickCase:
    """The volume, cut to a whole number of thick slices, and its thick slices."""
    volume = subject.volume
    axis = acquisition.array_axis
    count = volume.voxels.shape[axis] // acquisition.factor
    if count < 2:
        raise VolumeError(
            f"'{subject.name}' has {volume.voxels.shape[axis]} voxels along {acquisition.axis}, "
            f"too few for slices {acquisition.factor} times as thick."
        )
    kept = np.moveaxis(volume.voxels, axis, 0)[: count * acquisition.factor]
    voxels = np.ascontiguousarray(np.moveaxis(kept, 0, axis))
    size = voxels.shape[::-1]
    thin = volume.with_voxels(voxels, volume.geometry.cropped((0, 0, 0), size))
    peak = subject.peak
    coarse = thick_slices(voxels, axis, acquisition.factor, cast(Profile, acquisition.profile))
    if acquisition.noise_percent:
        rng = np.random.default_rng([acquisition.seed, round(1000 * acquisition.noise_percent)])
        sigma = acquisition.noise_percent / 100 * peak
        if is_ct(thin):
            coarse = add_ct_noise(coarse, sigma, rng)
        else:
            coarse = add_rician_noise(np.maximum(coarse, 0), sigma, rng)
    thick = volume.with_voxels(coarse, thin.geometry.resized(coarse.shape[::-1]))
    return ThickCase(subject.name, thin, thick, acquisition, peak)
