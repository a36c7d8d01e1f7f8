"""The volumes to measure on, made quieter where they are noisy themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.assessment import check_volume, is_ct, modality_of
from MedEnhanceLib.ct_noise import estimate_ct_noise
from MedEnhanceLib.errors import VolumeError
from MedEnhanceLib.evaluation.scoring import peak_of
from MedEnhanceLib.io import read_volume
from MedEnhanceLib.noise import estimate_noise
from MedEnhanceLib.tiles import middle_box
from MedEnhanceLib.volume import Volume

MOST_NEGATIVE = 0.01
BLOCK = 2
FEWEST_VOXELS = 16
MULTIPLE = 4
# Slices this many times as thick as the finest voxels are not averaged with their neighbours.
THICK = 1.5
LEAST_NOISE_OVER_REFERENCE = 3.0
"""Times a scan's own noise; with less added it is no truth to compare with."""
NOISY_REFERENCE = "the noise added is less than three times the reference's own"


@dataclass(frozen=True)
class Subject:
    """A volume that counts as clean, and what to call it.

    Attributes:
        peak: P of the whole volume, of which this may be a part.
        own_noise: standard deviation of the volume's own noise, in its unit.
    """

    name: str
    volume: Volume
    peak: float
    own_noise: float = 0.0

    @classmethod
    def of(cls, name: str, volume: Volume, edge: int | None = None) -> Subject:
        """With its peak and own noise measured; cut to its middle when an ``edge`` is given."""
        part = middle(volume, edge) if edge else volume
        noise = estimate_ct_noise(part.voxels) if is_ct(volume) else estimate_noise(part.voxels)
        return cls(name, part, peak_of(volume), noise)

    @property
    def own_noise_percent(self) -> float:
        """In percent of the peak."""
        return 100 * self.own_noise / self.peak

    def note_on(self, sigma: float) -> str:
        """What limits the comparison when noise of ``sigma`` is added, "" for nothing."""
        return NOISY_REFERENCE if sigma < LEAST_NOISE_OVER_REFERENCE * self.own_noise else ""


def read_subjects(
    paths: Iterable[Path],
    quieted: Callable[[Volume], Volume] | None = None,
    edge: int | None = None,
) -> Iterator[Subject]:
    """The volumes, one after the other, each named by its number: files may name the patient.

    Args:
        quieted: what makes a volume less noisy first.
        edge: only the middle, at most this many voxels along each axis.
    """
    for number, path in enumerate(paths, 1):
        volume = read_volume(path)
        try:
            check_volume(volume)
        except VolumeError as error:
            raise VolumeError(f"Volume {number} cannot be used: {error}") from error
        # A part of a CT may show no air, by which alone it would be known.
        volume = replace(volume, modality=modality_of(volume))
        yield Subject.of(f"volume {number}", quieted(volume) if quieted else volume, edge)


class References:
    """Gives the subjects one after the other, and remembers how noisy they are themselves.

    With ``noisy`` those are refused to which noise cannot be added.
    """

    def __init__(self, subjects: Iterable[Subject], noisy: bool = True) -> None:
        self.subjects, self.noisy = subjects, noisy
        self.noise_percent: dict[str, float] = {}

    def __iter__(self) -> Iterator[Subject]:
        for subject in self.subjects:
            if self.noisy:
                _check_sign(subject)
            self.noise_percent[subject.name] = subject.own_noise_percent
            yield subject

    def told(self, quieting: str) -> str:
        """A sentence for the reader of the table."""
        noise = ", ".join(f"{name} {level:.2g} %" for name, level in self.noise_percent.items())
        made = " after averaging of neighbours" if quieting == "averaging" else ""
        return f"The references' own noise{made}, in percent of the peak: {noise}."


def _check_sign(subject: Subject) -> None:
    """Raise `VolumeError` for what Rician noise, that of magnitudes, cannot be added to."""
    voxels = subject.volume.voxels
    if not is_ct(subject.volume) and float(np.mean(voxels < 0)) > MOST_NEGATIVE:
        raise VolumeError(
            f"'{subject.name}' has values below zero (down to {voxels.min():g}), but MR images "
            "have none, and it is not known to be CT; give the CT as DICOM or with some air, or "
            "the MR image as the scanner made it."
        )


def middle(volume: Volume, edge: int) -> Volume:
    """The middle, at most ``edge`` voxels and a multiple of four along each axis."""
    box = middle_box(volume.voxels.shape, edge, MULTIPLE)
    geometry = volume.geometry.cropped(box.start[::-1], box.shape[::-1])
    return volume.with_voxels(np.ascontiguousarray(volume.voxels[box.slices]), geometry)


def averaged(volume: Volume) -> Volume:
    """The mean of blocks of 2 x 2 x 2 voxels: an eighth as many voxels, at twice the spacing.

    A real scan is a noisy reference, and its own noise caps what any method can reach. The mean
    of eight voxels has about a third (1 / sqrt 8) of the noise. Thick slices are averaged within
    the slice only, and axes of fewer than 16 voxels are left as they are.

    Raises:
        VolumeError: when that leaves all axes as they are.
    """
    voxels: NDArray[Any] = volume.voxels.astype(np.float32)
    spacing = volume.geometry.spacing[::-1]
    for axis in range(3):
        if voxels.shape[axis] < FEWEST_VOXELS or spacing[axis] > THICK * min(spacing):
            continue
        even = voxels.shape[axis] // BLOCK * BLOCK
        lines = np.moveaxis(voxels, axis, 0)[:even]
        voxels = np.moveaxis((lines[0::BLOCK] + lines[1::BLOCK]) * np.float32(0.5), 0, axis)
    if voxels.shape == volume.voxels.shape:
        raise VolumeError(
            f"The volume's size {volume.geometry.size} is too small to be averaged; give one of "
            f"at least {FEWEST_VOXELS} voxels along an axis."
        )
    used = [
        n // BLOCK * BLOCK if m != n else n
        for n, m in zip(volume.voxels.shape, voxels.shape, strict=True)
    ]
    whole = volume.geometry.cropped((0, 0, 0), used[::-1])
    return volume.with_voxels(np.ascontiguousarray(voxels), whole.resized(voxels.shape[::-1]))
