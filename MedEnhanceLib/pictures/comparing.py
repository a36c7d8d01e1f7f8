"""Sheets that compare images with each other or with a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.assessment import is_ct
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.intensity import robust_peak
from MedEnhanceLib.pictures.colouring import diverging, grey, overlay
from MedEnhanceLib.pictures.sheet import Panel, sheet
from MedEnhanceLib.pictures.slices import Plane, Slice, slice_of
from MedEnhanceLib.volume import LabelMap, Volume

WHOLE = (0.0, 1.0, 0.0, 1.0)
# The error's colours reach their full strength at this percentile of its size.
ERROR_PERCENTILE = 99.5
SOFT_TISSUE_HU = (-160.0, 240.0)
"""The usual window for CT."""
MOST_COLUMNS = 5


@dataclass(frozen=True)
class View:
    """Where to look.

    Attributes:
        plane: which way to cut.
        share: how far through the volume.
        part: of the slice, as fractions: top, bottom, left, right.
    """

    plane: Plane = "axial"
    share: float = 0.5
    part: tuple[float, float, float, float] = WHOLE

    def of(self, voxels: NDArray[Any], geometry: Geometry) -> Slice:
        """The slice of these voxels."""
        return slice_of(voxels, geometry, self.plane, self.share).cropped(*self.part)


@dataclass(frozen=True, eq=False)
class Shown:
    """An image to show, with its title and a line below."""

    title: str
    voxels: NDArray[Any]
    geometry: Geometry
    caption: str = ""


def window_of(voxels: NDArray[Any]) -> tuple[float, float]:
    """Black and white for a picture: the least value (or zero) and the robust peak."""
    least, most = float(voxels.min()), float(voxels.max())
    return (min(0.0, least), robust_peak(voxels)) if most > 0 else (least, most)


def image_panel(shown: Shown, view: View, window: tuple[float, float]) -> Panel:
    """The image in grey."""
    cut = view.of(shown.voxels, shown.geometry)
    return Panel(shown.title, cut.with_pixels(grey(cut.pixels, *window)), shown.caption)


def difference_panel(shown: Shown, view: View, limit: float) -> Panel:
    """A difference in diverging colours, with their scale below."""
    cut = view.of(shown.voxels, shown.geometry)
    return Panel(shown.title, cut.with_pixels(diverging(cut.pixels, limit)), shown.caption, limit)


def label_panel(shown: Shown, labelmap: LabelMap, view: View, window: tuple[float, float]) -> Panel:
    """The image in grey under its labels."""
    cut = view.of(shown.voxels, shown.geometry)
    values = view.of(labelmap.voxels, labelmap.geometry)
    coloured = overlay(grey(cut.pixels, *window), values.pixels, labelmap.labels)
    return Panel(
        shown.title, cut.with_pixels(coloured), shown.caption, labels=tuple(labelmap.labels)
    )


def comparison_sheet(
    heading: str, note: str, reference: Volume, images: Sequence[Shown], view: View, width: int
) -> bytes:
    """Each image beside its difference from the reference: PNG bytes.

    All errors share one scale, so that less colour means less error.
    """
    truth = reference.voxels.astype(np.float32)
    window = SOFT_TISSUE_HU if is_ct(reference) else window_of(truth)
    errors = {
        shown.title: shown.voxels - truth for shown in images if shown.voxels.shape == truth.shape
    }
    sizes = [np.abs(view.of(e, reference.geometry).pixels) for e in errors.values()]
    limit = float(np.percentile(np.stack(sizes), ERROR_PERCENTILE))
    first = Shown("Reference", truth, reference.geometry)
    top = [image_panel(shown, view, window) for shown in (first, *images)]
    bottom = [
        difference_panel(Shown(f"{title}: error", error, reference.geometry), view, limit)
        for title, error in errors.items()
    ]
    if top[0].colours.is_wide:
        return sheet(heading, note, _beside(top, bottom), columns=2, width=width)
    columns = min(len(top), MOST_COLUMNS)
    return sheet(heading, note, _above(top, bottom, columns), columns=columns, width=width)


def _above(images: Sequence[Panel], errors: Sequence[Panel], columns: int) -> list[Panel | None]:
    """Images with their errors below, in as many rows as needed; images without come first."""
    below = [*[None] * (len(images) - len(errors)), *errors]
    panels: list[Panel | None] = []
    for start in range(0, len(images), columns):
        for row in (images, below):
            part = row[start : start + columns]
            panels += [*part, *[None] * (columns - len(part))]
    return panels


def _beside(images: Sequence[Panel], errors: Sequence[Panel]) -> list[Panel | None]:
    """Images on the left, their errors on the right; images without errors come first."""
    lonely: list[Panel | None] = list(images[: len(images) - len(errors)])
    if len(lonely) % 2:
        lonely.append(None)
    pairs = zip(images[len(images) - len(errors) :], errors, strict=True)
    return [*lonely, *[panel for pair in pairs for panel in pair]]


def removed_limit(removed: NDArray[Any], sigma: float | None) -> float:
    """The scale for removed signal: three times the noise, or what is there without one."""
    return 3 * sigma if sigma else float(np.percentile(np.abs(removed), ERROR_PERCENTILE)) or 1.0
