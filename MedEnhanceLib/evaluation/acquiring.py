"""Thick slices from thin ones, in a stated manner."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.acquisition import Profile, add_ct_noise, add_rician_noise, thick_slices
from MedEnhanceLib.assessment import is_ct
from MedEnhanceLib.errors import OptionsError, VolumeError
from MedEnhanceLib.evaluation.subjects import Subject
from MedEnhanceLib.options import LARGEST_FACTOR
from MedEnhanceLib.volume import Volume

AXES = "xyz"
SIMULATED_WIDTHS = (0.25, 4.0)
"""Over the distance of the slices."""


@dataclass(frozen=True)
class Acquisition:
    """How the thick slices are made.

    Attributes:
        factor: distance of the slices in voxels.
        axis: x, y or z of the volume, or several, as in "xyz".
        profile: "gaussian" or "box".
        noise_percent: noise added to the thick slices, in percent of the peak: Rician, for CT
            Gaussian and correlated within the slice.
        seed: of that noise.
        profile_width: the profile's full width at half maximum over the distance of the slices.
    """

    factor: float = 2
    axis: str = "z"
    profile: str = "gaussian"
    noise_percent: float = 0.0
    seed: int = 0
    profile_width: float = 1.0

    def __post_init__(self) -> None:
        if sorted(self.axis) != [name for name in AXES if name in self.axis] or not self.axis:
            raise OptionsError(
                f"The axis '{self.axis}' is unknown; choose x, y or z, or several, as xyz."
            )
        if self.profile not in ("gaussian", "box"):
            raise OptionsError(f"The profile '{self.profile}' is unknown; choose gaussian or box.")
        if not 1 < self.factor <= LARGEST_FACTOR:
            raise OptionsError(
                f"The factor {self.factor:g} must be more than 1 and at most {LARGEST_FACTOR:g}."
            )
        least, most = SIMULATED_WIDTHS
        if not least <= self.profile_width <= most:
            raise OptionsError(
                f"The profile's width {self.profile_width:g} must be from {least:g} to {most:g} "
                "times the distance of the slices."
            )
        if not (math.isfinite(self.noise_percent) and self.noise_percent >= 0):
            raise OptionsError(
                f"The noise {self.noise_percent:g} must be zero or a positive percentage of the "
                "peak."
            )

    def __str__(self) -> str:
        noise = f", noise {self.noise_percent:g} %" if self.noise_percent else ""
        width = "" if self.profile_width == 1 else f" {self.profile_width:g} wide"
        return f"{self.factor:g}x along {self.axis}, {self.profile}{width}{noise}"

    @property
    def array_axes(self) -> tuple[int, ...]:
        """The same axes of an array (k, j, i)."""
        return tuple(2 - AXES.index(name) for name in self.axis)

    @property
    def factors(self) -> tuple[float, float, float]:
        """For `SuperResolutionOptions`."""
        x, y, z = (float(self.factor) if name in self.axis else 1.0 for name in AXES)
        return (x, y, z)

    def slices(self, voxels: NDArray[Any]) -> NDArray[np.float32]:
        """Thick slices, without noise, of voxels (k, j, i)."""
        profile = cast(Profile, self.profile)
        for axis in self.array_axes:
            voxels = thick_slices(voxels, axis, self.factor, profile, self.profile_width)
        return voxels


@dataclass(frozen=True)
class ThickCase:
    """The thin slices and the thick ones made of them; ``note`` says what limits the comparison."""

    subject: str
    thin: Volume
    thick: Volume
    acquisition: Acquisition
    peak: float
    note: str = ""

    @property
    def condition(self) -> str:
        """As in the tables."""
        return str(self.acquisition)


def thick_case(subject: Subject, acquisition: Acquisition) -> ThickCase:
    """The volume, cut to a whole number of thick slices, and its thick slices."""
    volume = subject.volume
    kept = volume.voxels
    for axis in acquisition.array_axes:
        kept = np.moveaxis(_whole_slices(np.moveaxis(kept, axis, 0), subject, acquisition), 0, axis)
    voxels = np.ascontiguousarray(kept)
    thin = volume.with_voxels(voxels, volume.geometry.cropped((0, 0, 0), voxels.shape[::-1]))
    peak, note = subject.peak, ""
    coarse = acquisition.slices(voxels)
    if acquisition.noise_percent:
        rng = np.random.default_rng([acquisition.seed, round(1000 * acquisition.noise_percent)])
        sigma = acquisition.noise_percent / 100 * peak
        note = subject.note_on(sigma)
        if is_ct(thin):
            coarse = add_ct_noise(coarse, sigma, rng)
        else:
            coarse = add_rician_noise(np.maximum(coarse, 0), sigma, rng)
    thick = volume.with_voxels(coarse, thin.geometry.resized(coarse.shape[::-1]))
    return ThickCase(subject.name, thin, thick, acquisition, peak, note)


def _whole_slices(lines: NDArray[Any], subject: Subject, acquisition: Acquisition) -> NDArray[Any]:
    """As many voxels along the first axis as a whole number of thick slices covers best."""
    count = int(len(lines) / acquisition.factor)
    if count < 2:
        raise VolumeError(
            f"'{subject.name}' has {len(lines)} voxels along an axis of '{acquisition.axis}', too "
            f"few for slices {acquisition.factor:g} times as thick."
        )
    return lines[: round(count * acquisition.factor)]
