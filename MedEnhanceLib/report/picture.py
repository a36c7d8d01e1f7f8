"""The slice that tells most about a run, before and after."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.assessment import is_ct
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.pictures.comparing import (
    SOFT_TISSUE_HU,
    Shown,
    View,
    difference_panel,
    image_panel,
    label_panel,
    removed_limit,
    window_of,
)
from MedEnhanceLib.pictures.sheet import Panel, sheet
from MedEnhanceLib.pictures.slices import Plane, fullest_share, plane_across
from MedEnhanceLib.quality.removed_signal import local_strength
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import LabelMap, Volume

PANEL_WIDTH, WIDE_PANEL_WIDTH = 380, 800
FOOTER = "Research use only, not for diagnosis."
STRONG_PERCENTILE = 99.5
"""By the patient's axis (x, y, z) that became finer: a plane in which it lies."""


def picture_of(
    task: Task, before: Volume, after: Volume | LabelMap, uncertainty: Volume | None
) -> bytes:
    """PNG of the input beside the output and what changed, or the labels over the input."""
    window = SOFT_TISSUE_HU if is_ct(before) else window_of(before.voxels)
    if isinstance(after, LabelMap):
        panels = _segmentation(before, after, window)
        return sheet("Segmentation", "", panels, 2, PANEL_WIDTH, FOOTER)
    if task is Task.DENOISE:
        panels, view = _denoising(before, after, window)
    else:
        panels, view = _super_resolution(before, after, window)
    if uncertainty is not None:
        limit = removed_limit(uncertainty.voxels, None)
        shown = Shown("Uncertainty", uncertainty.voxels, uncertainty.geometry)
        panels.append(difference_panel(shown, view, limit))
    title, plane = "Before and after", view.plane.capitalize()
    if panels[0].colours.is_wide:
        return sheet(title, plane, panels, 1, WIDE_PANEL_WIDTH, FOOTER)
    return sheet(title, plane, panels, len(panels), PANEL_WIDTH, FOOTER)


def _denoising(
    before: Volume, after: Volume, window: tuple[float, float]
) -> tuple[list[Panel], View]:
    """At the slice with most of the places where most was removed."""
    removed = before.voxels.astype(np.float32) - after.voxels
    strength = local_strength(removed)
    strong = strength >= np.percentile(strength, STRONG_PERCENTILE)
    grid = before.geometry
    view = View("axial", fullest_share(strong, grid))
    limit = removed_limit(removed, None)
    return [
        image_panel(Shown("Before", before.voxels, grid), view, window),
        image_panel(Shown("After", after.voxels, grid), view, window),
        difference_panel(
            Shown("Removed signal", removed, grid, "no anatomy should show"), view, limit
        ),
    ], view


def _super_resolution(
    before: Volume, after: Volume, window: tuple[float, float]
) -> tuple[list[Panel], View]:
    """Across the slices that became thinner, where most of the object is."""
    plane = plane_across(before.geometry, after.geometry)
    view = View(plane, _object_share(after.voxels, after.geometry, plane))
    return [
        image_panel(Shown("Before", before.voxels, before.geometry), view, window),
        image_panel(Shown("After", after.voxels, after.geometry), view, window),
    ], view


def _object_share(voxels: NDArray[np.float32], geometry: Geometry, plane: Plane) -> float:
    bright = voxels > voxels.mean(dtype=np.float64)
    return fullest_share(bright, geometry, plane)


def _segmentation(before: Volume, labels: LabelMap, window: tuple[float, float]) -> list[Panel]:
    """Two planes, each where most of the labels is, or through the middle when there is none."""
    inside = labels.voxels > 0
    panels = []
    planes: tuple[Plane, ...] = ("coronal", "axial")
    for plane in planes:
        share = fullest_share(inside, labels.geometry, plane) if inside.any() else 0.5
        view = View(plane, share)
        image = Shown(plane.capitalize(), before.voxels, before.geometry)
        panels.append(image_panel(image, view, window))
        found = Shown("Segments", before.voxels, before.geometry)
        panels.append(label_panel(found, labels, view, window))
    return panels
