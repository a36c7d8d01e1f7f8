"""Whether a model suits a volume, said before it runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.errors import OptionsError, UnsuitableError, VolumeError
from MedEnhanceLib.hounsfield import (
    HU_OFFSET,
    SOFT_WITHIN_HU,
    has_negative_values,
    lies_below_mr,
    looks_like_ct,
    looks_like_shifted_ct,
)
from MedEnhanceLib.intensity import largest_usual
from MedEnhanceLib.io import looks_like_labels
from MedEnhanceLib.model import Model
from MedEnhanceLib.noise_assessment import noise_warnings
from MedEnhanceLib.slabs import thin_sample
from MedEnhanceLib.slice_brightness import alternation_percent
from MedEnhanceLib.task import Task
from MedEnhanceLib.tiles import central_block
from MedEnhanceLib.volume import Volume

# The squares of larger values, and of smaller ones, leave the range of 32-bit floats.
LARGEST_VALUE = 1e15
# Of the largest value: less than this, 32-bit floats do not tell apart.
LEAST_NOISE = 1e-7
# Other scans at hand alternate by up to 2 %.
LEAST_ALTERNATION_PERCENT = 3.0


@dataclass(frozen=True)
class Suitability:
    """The verdict "good", "warning" or "refused", and why, in sentences."""

    verdict: str
    reasons: tuple[str, ...] = ()


def suitability(volume: Volume, model: Model, noise: float | None = None) -> Suitability:
    """Whether ``model`` can be expected to work on ``volume``; a fraction of a second.

    ``noise`` is the level that the model will be told of, in the volume's unit; by default it is
    estimated.
    """
    try:
        check_volume(volume)
    except VolumeError as error:
        return Suitability("refused", (str(error),))
    if refusal := _refusal(volume, model):
        return Suitability("refused", (refusal,))
    warnings = tuple(w for w in _warnings(volume, model, noise) if w)
    return Suitability("warning" if warnings else "good", warnings)


def check_volume(volume: Volume) -> None:
    """Raise `VolumeError` when no model could work on these voxels."""
    voxels = volume.voxels
    if voxels.ndim != 3:
        raise VolumeError(
            f"The volume has {voxels.shape[0]} channels per voxel (colour or a time series); "
            "choose a scalar volume, or one channel or frame of it."
        )
    if sum(n > 1 for n in voxels.shape) < 2:
        raise VolumeError(
            f"The volume's size is {volume.geometry.size}, less than one slice; choose an image."
        )
    darkest, brightest = voxels.min(), voxels.max()
    # A single NaN is the least and the largest of all.
    if not (np.isfinite(darkest) and np.isfinite(brightest)):
        bad = voxels.size - int(np.isfinite(voxels).sum())
        raise VolumeError(
            f"{bad} voxels are NaN or infinite; replace them first (in Slicer's Python "
            "console: numpy.nan_to_num on slicer.util.arrayFromVolume)."
        )
    if darkest == brightest:
        raise VolumeError(f"All voxels have the value {darkest}; there is nothing to see in it.")
    largest = max(abs(float(darkest)), abs(float(brightest)))
    if not 1 / LARGEST_VALUE <= largest <= LARGEST_VALUE:
        raise VolumeError(
            f"The volume's values go up to {largest:.3g}, which cannot be computed with; multiply "
            f"them by a number that brings them between {1 / LARGEST_VALUE:g} and "
            f"{LARGEST_VALUE:g}."
        )


def modality_of(volume: Volume) -> str:
    """The DICOM modality: as the volume says, or "CT" for values like Hounsfield units, or ""."""
    if volume.modality or volume.units == "HU":
        return volume.modality or "CT"
    return "CT" if looks_like_ct(volume.voxels) else ""


def is_ct(volume: Volume) -> bool:
    """Whether the values are Hounsfield units."""
    return modality_of(volume) == "CT"


def known_modality(volume: Volume, model: Model) -> tuple[str, str]:
    """The volume's modality and how it is known; where nothing tells, the chosen model's."""
    if volume.modality or volume.units == "HU":
        return modality_of(volume), "stated"
    if found := modality_of(volume):
        return found, "by its values"
    return model.modality, "as the model's"


def _refusal(volume: Volume, model: Model) -> str:
    found = modality_of(volume)
    if model.modality and found and found != model.modality:
        made_for = f"but '{model.title}' was made for {model.modality}"
        if volume.modality or volume.units:
            return (
                f"The volume is {found}, {made_for}; choose a model for {found}, or a classical "
                "filter."
            )
        return (
            f"The volume looks like {found} (it has the values of fat and air), {made_for}; choose "
            f"a model for {found}, or state the modality {model.modality}."
        )
    if model.modality == "CT" and not found and not has_negative_values(volume.voxels):
        return (
            f"The volume's values ({volume.voxels.min():g} to {volume.voxels.max():g}) are no "
            f"Hounsfield units, for which '{model.title}' was made; if it is CT, rescale it (air "
            "-1000, water 0), otherwise choose another model."
        )
    if model.is_trained and looks_like_labels(central_block(volume.voxels)):
        return (
            "The volume looks like a segmentation (few whole values in uniform pieces), not an "
            "image; choose the image itself."
        )
    if model.task is Task.SEGMENT and min(volume.voxels.shape) == 1 and model.is_trained:
        return (
            f"The volume has one slice (size {volume.geometry.size}), but '{model.title}' needs a "
            "3D volume."
        )
    return _extent_refusal(volume, model)


def _extent_refusal(volume: Volume, model: Model) -> str:
    if spans_as_trained(volume, model) or needs_finding(volume, model):
        return ""
    least, most = model.ranges["extent_mm"]
    extent = volume.geometry.extent
    return (
        f"The volume spans {' x '.join(f'{e:.0f}' for e in extent)} mm, but '{model.title}' was "
        f"made for {model.body_part or 'regions'} of {least:.0f} to {most:.0f} mm"
        f"{_or_whole(model)}; crop the volume around the region first (in Slicer: Crop Volume)."
    )


def spans_as_trained(volume: Volume, model: Model) -> bool:
    """Whether the field of view is what the model's own network was trained on."""
    least, most = model.ranges.get("extent_mm", (0.0, float("inf")))
    return all(least <= e <= most for e in volume.geometry.extent)


def needs_finding(volume: Volume, model: Model) -> bool:
    """Whether the volume is a whole, in which the model's finder must find the regions first."""
    if not isinstance(model, Bundle) or model.finder is None:
        return False
    return not spans_as_trained(volume, model) and model.finder.looks_at(volume.geometry.extent)


def _or_whole(model: Model) -> str:
    if not isinstance(model, Bundle) or model.finder is None:
        return ""
    least, most = model.finder.extent_mm
    return f", or for whole volumes of {least:.0f} to {most:.0f} mm along every axis"


def _warnings(volume: Volume, model: Model, noise: float | None) -> list[str]:
    return [
        _undescribed_warning(model),
        _modality_warning(volume, model),
        _spacing_warning(volume, model),
        _slices_warning(volume, model),
        _alternation_warning(volume, model),
        *noise_warnings(volume, model, noise),
    ]


def _undescribed_warning(model: Model) -> str:
    if isinstance(model, Bundle) and not model.is_described:
        return (
            f"The bundle '{model.id}' was made elsewhere and does not tell MedEnhance which "
            "spacing and intensity scale it needs; check its result, or add "
            "medenhance.input to its metadata.json."
        )
    return ""


def _modality_warning(volume: Volume, model: Model) -> str:
    if model.modality != "MR" and known_modality(volume, model) == ("CT", "by its values"):
        return "The volume is taken for CT because of its values; state its modality if it is not."
    if model.modality == "CT" and not has_negative_values(volume.voxels):
        return (
            f"The volume says that it is CT, but has hardly a value below zero (from "
            f"{volume.voxels.min():g} up), as fat and air have in Hounsfield units; check that "
            "its header rescales it."
        )
    if model.modality == "MR" and lies_below_mr(volume.voxels):
        return (
            f"The volume has many values below zero (down to {volume.voxels.min():g}), as fat and "
            "air have in CT; check that it is MR."
        )
    if model.modality == "MR" and not modality_of(volume) and looks_like_shifted_ct(volume.voxels):
        return (
            f"The volume looks like CT to which {HU_OFFSET} was added (most values are within "
            f"{SOFT_WITHIN_HU} of it, as soft tissue's are then), but '{model.title}' was made for "
            f"MR; if it is CT, subtract {HU_OFFSET} and choose a model for CT."
        )
    if model.modality and not modality_of(volume) and volume.voxels.min() < 0:
        if model.modality == "CT":
            return "The volume does not say that it is CT, nor do its values; check that it is CT."
        return (
            f"The volume has values below zero (down to {volume.voxels.min():g}), which "
            f"{model.modality} images hardly have; check that it is {model.modality}."
        )
    return ""


def _spacing_warning(volume: Volume, model: Model) -> str:
    least, most = model.ranges.get("spacing_mm", (0.0, float("inf")))
    spacing = volume.geometry.spacing
    if all(0.95 * least <= s <= 1.05 * most for s in spacing):
        return ""
    return (
        f"The spacing {' x '.join(f'{s:.3g}' for s in spacing)} mm lies outside the "
        f"{least:g} to {most:g} mm that '{model.title}' was trained on."
    )


def _slices_warning(volume: Volume, model: Model) -> str:
    if model.is_trained and min(volume.voxels.shape) == 1:
        return (
            "The volume has one slice; a 3D model sees no neighbouring slices here and does less "
            "than it could."
        )
    return ""


def _alternation_warning(volume: Volume, model: Model) -> str:
    if model.task is not Task.SUPER_RESOLUTION or not model.is_trained:
        return ""
    across = int(np.argmax(volume.geometry.spacing[::-1]))
    percent = alternation_percent(np.moveaxis(volume.voxels, across, 0))
    if percent < LEAST_ALTERNATION_PERCENT:
        return ""
    return (
        f"Every other slice is some {percent:.0f} % darker than its neighbours, as after an "
        f"interleaved acquisition with cross-talk; '{model.title}' takes that for detail and makes "
        "it stronger, so even out the brightness of the slices first, or choose a classical filter."
    )


def check_estimate(volume: Volume, sigma: float) -> None:
    """Raise `UnsuitableError` when the estimated noise is more than such values can have."""
    largest = largest_usual(thin_sample(volume.voxels))
    if sigma > largest:
        raise UnsuitableError(
            f"The noise is estimated at {sigma:.3g}, more than the volume's own values, which go "
            f"up to {largest:.3g}, so that it is a pattern rather than noise; tell the denoiser "
            "the noise level, or choose another volume."
        )


def check_noise_level(volume: Volume, level: float) -> None:
    """Raise `OptionsError` when a level of noise is none that a volume of such values can have."""
    largest = largest_usual(volume.voxels)
    if level < LEAST_NOISE * largest:
        raise OptionsError(
            f"A noise level of {level:g} is nothing beside the volume's values, which go up to "
            f"{largest:g}; give its standard deviation in the volume's unit, or let it be "
            "estimated."
        )
    if level > largest:
        raise OptionsError(
            f"A noise level of {level:g} is more than the volume's own values, which go up to "
            f"{largest:g}; give its standard deviation in the volume's unit, or let it be "
            "estimated."
        )
