"""A second contrast of the same patient, brought onto the grid of the volume it guides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.assessment import check_volume, modality_of
from MedEnhanceLib.errors import UnsuitableError, VolumeError
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.quality.evidence import foreground
from MedEnhanceLib.resample import resample
from MedEnhanceLib.result import Measure
from MedEnhanceLib.volume import Volume

LEAST_COVERAGE_PERCENT = 90.0
MOST_SAMPLES_PER_AXIS = 4


@dataclass(frozen=True, eq=False)
class Guide:
    """A guide on the guided volume's grid.

    Attributes:
        voxels: (k, j, i) float32, in the guide's own unit; 0 where the guide does not reach.
        reached: (k, j, i), where it does.
        coverage_percent: how much of the guided volume's object the guide shows.
    """

    voxels: NDArray[np.float32]
    reached: NDArray[np.bool_]
    coverage_percent: float

    @property
    def measure(self) -> Measure:
        """The line of evidence."""
        return Measure(
            "Guide: coverage",
            None,
            self.coverage_percent,
            "% of object",
            "How much of the object the guide shows; the rest is denoised without it.",
        )

    @property
    def warnings(self) -> list[str]:
        """A sentence when part of the object lies outside the guide."""
        if self.coverage_percent >= LEAST_COVERAGE_PERCENT:
            return []
        return [
            f"The guide shows only {self.coverage_percent:.0f} % of the object; the rest was "
            "denoised without it."
        ]


def guide_on_grid(guide: Volume, volume: Volume) -> Guide:
    """Resample ``guide`` by geometry onto ``volume``'s grid; the two are not registered here.

    Raises:
        VolumeError: when the guide's voxels cannot be used.
        UnsuitableError: when the guide is CT, or shows nothing of the volume's object.
    """
    try:
        check_volume(guide)
    except VolumeError as error:
        sentence = str(error)
        raise VolumeError(
            f"The guide cannot be used: {sentence[0].lower()}{sentence[1:]}"
        ) from error
    if modality_of(guide) == "CT":
        raise UnsuitableError(
            "The guide is CT, but guides are MR images; choose another MR contrast of the patient."
        )
    target = volume.geometry
    inside = np.ones(guide.geometry.shape, np.float32)
    reached = resample(inside, guide.geometry, target, "nearest", outside=0.0) > 0
    coverage = 100 * float(reached[foreground(volume.voxels)].mean())
    if coverage == 0:
        raise UnsuitableError(
            "The guide lies beside the volume and shows nothing of its object; choose a scan of "
            "the same region in the same patient coordinates, or register it first."
        )
    voxels = resampled(guide, target)
    return Guide(np.where(reached, voxels, np.float32(0)), reached, coverage)


def resampled(guide: Volume, target: Geometry) -> NDArray[np.float32]:
    """Linear interpolation, averaged over the target's voxels where the guide's are finer."""
    passed = _voxels_passed(guide.geometry, target)
    i, j, k = (int(np.clip(round(n), 1, MOST_SAMPLES_PER_AXIS)) for n in passed)
    fine = resample(guide.voxels, guide.geometry, target.refined((i, j, k)))
    depth, rows, columns = target.shape
    cells = fine.reshape(depth, k, rows, j, columns, i)
    return cells.mean(axis=(1, 3, 5), dtype=np.float32)


def _voxels_passed(source: Geometry, target: Geometry) -> NDArray[np.float64]:
    """How many of the source's voxels one step along each of the target's axes (i, j, k) passes."""
    cosines = np.abs(np.array(source.direction).T @ np.array(target.direction))
    per_mm = cosines / np.array(source.spacing)[:, None]
    steps: NDArray[np.float64] = per_mm.max(axis=0) * np.array(target.spacing)
    return steps
