"""A second contrast of the same patient, brought onto the grid of the volume it guides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.assessment import check_volume, is_ct
from MedEnhanceLib.errors import UnsuitableError, VolumeError
from MedEnhanceLib.intensity import robust_peak
from MedEnhanceLib.io import looks_like_labels
from MedEnhanceLib.quality.evidence import object_mask
from MedEnhanceLib.registration import Placement, rigidly_placed
from MedEnhanceLib.resample import reached_by, resample_averaged
from MedEnhanceLib.result import Measure
from MedEnhanceLib.tiles import central_block
from MedEnhanceLib.volume import Volume

LEAST_COVERAGE_PERCENT = 90.0
ROUNDING = 1e-5
"""Of the largest value: what resampling makes of a constant."""


@dataclass(frozen=True, eq=False)
class Guide:
    """A guide on the guided volume's grid.

    Attributes:
        voxels: (k, j, i) float32, in the guide's own unit; 0 where the guide does not reach.
        reached: (k, j, i), where it does.
        coverage_percent: how much of the guided volume's object the guide shows.
        placement: how it was moved there from where its header says it is, if that was asked for.
    """

    voxels: NDArray[np.float32]
    reached: NDArray[np.bool_]
    coverage_percent: float
    placement: Placement | None

    @property
    def measures(self) -> list[Measure]:
        """The lines of evidence."""
        return [
            Measure(
                "Guide: coverage",
                None,
                self.coverage_percent,
                "% of object",
                "How much of the object the guide shows; the rest is denoised without it.",
            ),
            *_moves(self.placement),
        ]

    @property
    def warnings(self) -> list[str]:
        """Sentences when the guide may lie elsewhere, or does not show all of the object."""
        said = []
        if self.placement is not None and self.placement.failure:
            said.append(
                f"The guide could not be registered ({self.placement.failure}), and was used where "
                "its header puts it; look whether it fits there, or register it first."
            )
        if self.coverage_percent < LEAST_COVERAGE_PERCENT:
            said.append(
                f"The guide shows only {self.coverage_percent:.0f} % of the object; the rest was "
                "denoised without it."
            )
        return said


def _moves(placement: Placement | None) -> list[Measure]:
    """How far the guide was moved; nothing where it was not, or could not be, registered."""
    if placement is None or placement.failure:
        return []
    stayed = placement.moved_mm == placement.turned_degrees == 0
    how = "No better place was found than the one in its header, where the guide was left."
    shifted, turned = (
        how if stayed else f"How far the guide was {what} to lie on the volume."
        for what in ("shifted", "turned")
    )
    return [
        Measure("Guide: moved by", None, placement.moved_mm, "mm", shifted),
        Measure("Guide: turned by", None, placement.turned_degrees, "degrees", turned),
    ]


def guide_on_grid(guide: Volume, volume: Volume, register: bool = True) -> Guide:
    """Register ``guide`` rigidly to ``volume``, if asked to, and resample it onto its grid.

    Registration starts from where the header says that the guide is, and leaves it there when
    it finds nothing better, or fails; then the guide says so.

    Raises:
        VolumeError: when the guide's voxels cannot be used.
        UnsuitableError: when the guide is CT, a segmentation or the volume itself, or shows
            nothing of the volume's object.
    """
    try:
        check_volume(guide)
        robust_peak(guide.voxels)
    except VolumeError as error:
        sentence = str(error)
        raise VolumeError(
            f"The guide cannot be used: {sentence[0].lower()}{sentence[1:]}"
        ) from error
    if is_ct(guide):
        raise UnsuitableError(
            "The guide is CT, but guides are MR images; choose another MR contrast of the patient."
        )
    if looks_like_labels(central_block(guide.voxels)):
        raise UnsuitableError(
            "The guide looks like a segmentation, not an image; choose another MR contrast of the "
            "patient."
        )
    if np.array_equal(guide.voxels, volume.voxels):
        raise UnsuitableError(
            "The guide is the volume itself, from which nothing more can be seen; choose another "
            "contrast of the patient, or none."
        )
    target = volume.geometry
    seen = object_mask(volume.voxels)
    if not reached_by(guide.geometry, target)[seen].any():
        raise _nothing_shown("lies beside the volume")
    placement = rigidly_placed(guide, volume) if register else None
    geometry = guide.geometry if placement is None else placement.geometry
    reached = reached_by(geometry, target)
    voxels = resample_averaged(guide.voxels, geometry, target)
    if not _has_contrast(voxels[reached & seen]):
        raise _nothing_shown("is constant where it covers the volume")
    coverage = 100 * float(reached[seen].mean())
    return Guide(np.where(reached, voxels, np.float32(0)), reached, coverage, placement)


def _nothing_shown(why: str) -> UnsuitableError:
    return UnsuitableError(
        f"The guide {why} and shows nothing of its object; choose a scan of the same region in the "
        "same patient coordinates, or register it first."
    )


def _has_contrast(values: NDArray[np.float32]) -> bool:
    """Whether values (n) of an MR image differ by more than rounding."""
    brightest = float(values.max(initial=0))
    return brightest - float(values.min(initial=brightest)) > ROUNDING * brightest > 0
