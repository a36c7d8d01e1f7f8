"""Whether a volume was interpolated, from where its spectrum ends."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.tiles import central_block

LONGEST, ACROSS = 256, 32
"""Of the lines that are looked at: their voxels, and how many there are along each other axis."""
SHORTEST = 80
FROM_SHARE = 0.4
"""Of the highest frequency; a volume that was interpolated twofold holds nothing above half."""
STEP = 3
"""So many frequencies apart the window that lines are multiplied by leaks nothing."""
SUDDEN_FALL = 18.0
"""Of the power over one step; in scans at hand at most 5, and 7 when blurred by 0.8 voxels."""


def interpolated_axes(voxels: NDArray[Any]) -> list[int]:
    """Axes (k, j, i) along which the highest frequencies are empty all of a sudden.

    That is what scanners that fill k-space with zeros leave, and others who interpolate; where an
    image was only blurred, or filtered, its spectrum ends gently. Axes of less than 80 voxels, and
    images to which noise was added afterwards, tell nothing.
    """
    return [axis for axis in range(3) if _ends_suddenly(_spectrum(voxels, axis))]


def _spectrum(voxels: NDArray[Any], axis: int) -> NDArray[np.float64]:
    """Usual power of lines along an axis at each frequency, from zero up; empty for short lines.

    The median, as the few lines through a very bright object have a spectrum of their own.
    """
    edges = [ACROSS] * 3
    edges[axis] = LONGEST
    lines = np.moveaxis(central_block(voxels, edges), axis, -1).astype(np.float32)
    length = lines.shape[-1]
    if length < SHORTEST:
        return np.empty(0)
    power = np.abs(np.fft.rfft(lines * np.hanning(length))) ** 2
    return np.asarray(np.median(power, axis=(0, 1)))


def _ends_suddenly(power: NDArray[np.float64]) -> bool:
    high = power[int(FROM_SHARE * len(power)) :]
    return bool(np.any(high[:-STEP] > SUDDEN_FALL * high[STEP:]))
