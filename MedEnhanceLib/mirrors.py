"""The mirror images of an input from which it is told how sure a network is."""

from __future__ import annotations

import re

from MedEnhanceLib.bundle import Bundle

Axes = tuple[int, ...]
"""Across which an array (k, j, i) is mirrored."""
MIRRORS: tuple[Axes, ...] = ((), (0,), (1,), (2,))
"""The input as it is, and mirrored across each axis."""
SIDE = re.compile(r"(?<![a-z])(left|right|lh|rh|l|r)(?![a-z])", re.IGNORECASE)
"""In the name of a label that a mirror image would swap with another."""


def fair_mirrors(bundle: Bundle) -> tuple[Axes, ...]:
    """The mirror images that a network can be expected to label as well as the input itself.

    One that was trained in one orientation knows no heads that stand on their crown, but the left
    and the right look alike; unless its labels tell them apart. Of a bundle made elsewhere nothing
    is known.
    """
    spec = bundle.input
    if not bundle.is_described or any(SIDE.search(label.name) for label in bundle.labels):
        return ((),)
    if spec.orientation is None:
        return MIRRORS
    axis = next(n for n, letter in enumerate(spec.orientation) if letter in "LR")
    return (), (axis if spec.axis_order == "ijk" else 2 - axis,)
