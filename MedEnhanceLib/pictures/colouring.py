"""Numbers to colours: (row, column) in, (row, column, 3) bytes out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.volume import Label

Pixels = NDArray[np.uint8]

# From blue over near-black to red, so that "no difference" is as dark as the sheet around it.
BELOW, NOTHING, ABOVE = (90, 170, 255), (16, 18, 22), (255, 120, 80)
OVERLAY_OPACITY = 0.4


def grey(values: NDArray[Any], low: float, high: float) -> Pixels:
    """Black at ``low`` and white at ``high``."""
    share = np.clip((values.astype(np.float32) - low) / ((high - low) or 1.0), 0, 1)
    return np.repeat(np.round(share * 255).astype(np.uint8)[..., None], 3, axis=-1)


def diverging(values: NDArray[Any], limit: float) -> Pixels:
    """Blue below zero, dark at zero, red above; full colour at ``limit``."""
    share = np.clip(values.astype(np.float32) / (limit or 1.0), -1, 1)[..., None]
    nothing = np.array(NOTHING, np.float32)
    ends = np.where(share < 0, np.array(BELOW, np.float32), np.array(ABOVE, np.float32))
    return np.round(nothing + np.abs(share) * (ends - nothing)).astype(np.uint8)


def overlay(background: Pixels, values: NDArray[Any], labels: Iterable[Label]) -> Pixels:
    """Labels over a picture: translucent inside, solid at their outlines."""
    coloured = background.astype(np.float32)
    for label in labels:
        inside = values == label.value
        outline = inside & ~_eroded(inside)
        colour = np.array(label.color, np.float32)
        coloured[inside] += OVERLAY_OPACITY * (colour - coloured[inside])
        coloured[outline] = colour
    return np.round(coloured).astype(np.uint8)


def _eroded(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    padded = np.pad(mask, 1, mode="edge")
    return padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:] & mask
