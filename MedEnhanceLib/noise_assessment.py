"""Whether the noise in a volume is what a model was made for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.intensity import peak_without_noise, robust_peak
from MedEnhanceLib.interpolated import interpolated_axes
from MedEnhanceLib.model import Model
from MedEnhanceLib.noise import ceiling_percent, estimate_noise
from MedEnhanceLib.orientation import axial_turn
from MedEnhanceLib.task import Task
from MedEnhanceLib.tiles import bounding_box, central_block
from MedEnhanceLib.volume import Volume

ALREADY_CLEAN = 0.5
BEYOND_TRAINED = 1.07
"""Estimates differ from the truth by some 5 %."""
SATURATED_PERCENT = 1.0
CT_SLICES = 8
"""So many are enough to judge by."""


def noise_warnings(volume: Volume, model: Model, told: float | None) -> list[str]:
    """What is to be said of the noise, which is estimated unless its level is told."""
    if "noise_hu" in model.ranges:
        voxels = axial_turn(volume.geometry).apply(volume.voxels)
        noise = estimate_noise(spread_slices(voxels), False) if told is None else told
        return _level_warnings(noise, "HU", model.ranges["noise_hu"], model)
    if "noise_percent" not in model.ranges or not volume.voxels.max() > 0:
        return []
    least, most = model.ranges["noise_percent"]
    noise = _percent(volume, told)
    level = _level_warnings(noise, "% of the peak", (least, most), model)
    # What hides noise or cuts it off matters where noise is removed.
    if told is not None or model.task is Task.SEGMENT:
        return level
    saturated = _saturation_warnings(volume)
    if saturated and noise < least * ALREADY_CLEAN:
        level = []  # the noise may be what was cut off
    return [*level, *_interpolation_warnings(volume), *saturated]


def spread_slices(voxels: NDArray[Any]) -> NDArray[Any]:
    """A few whole slices (k, j, i): the middle of two legs is air."""
    count = voxels.shape[0]
    return voxels[np.unique(np.linspace(0, count - 1, CT_SLICES + 2)[1:-1].round().astype(int))]


def _percent(volume: Volume, told: float | None) -> float:
    """The noise in percent of the volume's robust peak.

    By default it is that of the middle of what is not zero, and the peak is the one without noise.
    """
    if told is not None:
        return 100 * told / robust_peak(volume.voxels)
    box = bounding_box(volume.voxels)
    assert box is not None  # its largest value is above zero
    noise = estimate_noise(central_block(volume.voxels[box.slices]))
    return 100 * noise / peak_without_noise(volume.voxels, noise)


def _level_warnings(
    noise: float, unit: str, trained: tuple[float, float], model: Model
) -> list[str]:
    least, most = trained
    if noise < least * ALREADY_CLEAN:
        return [f"The volume is already clean (noise {noise:.3g} {unit}); little to remove."]
    if noise > most * BEYOND_TRAINED:
        return [
            f"The noise, {noise:.3g} {unit}, is more than the {most:g} {unit} that "
            f"'{model.title}' was trained on."
        ]
    return []


def _interpolation_warnings(volume: Volume) -> list[str]:
    names = ["zyx"[axis] for axis in interpolated_axes(volume.voxels)]
    if not names:
        return []
    return [
        f"The volume looks interpolated along {' and '.join(reversed(names))}, so that its noise "
        "is underestimated and only partly removed; take the scanner's images before "
        "interpolation, or give the noise level."
    ]


def _saturation_warnings(volume: Volume) -> list[str]:
    percent = ceiling_percent(volume.voxels)
    if percent < SATURATED_PERCENT:
        return []
    return [
        f"{percent:.0f} % of the voxels have the largest value, {volume.voxels.max():g}, as in an "
        "image that was saved as it was displayed; details and noise are cut off there, so take "
        "the image as the scanner stored it."
    ]
