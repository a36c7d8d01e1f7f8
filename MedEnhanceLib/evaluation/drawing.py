"""What an evaluation saw, drawn: PNG bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from MedEnhanceLib.evaluation.acquiring import ThickCase
from MedEnhanceLib.evaluation.denoising import INPUT, NoisyCase
from MedEnhanceLib.evaluation.methods import Row
from MedEnhanceLib.evaluation.segmentation import WHOLE
from MedEnhanceLib.evaluation.subjects import Subject
from MedEnhanceLib.pictures.comparing import (
    Shown,
    View,
    comparison_sheet,
    label_panel,
    window_of,
)
from MedEnhanceLib.pictures.sheet import sheet
from MedEnhanceLib.pictures.slices import fullest_share, plane_across
from MedEnhanceLib.result import Result
from MedEnhanceLib.volume import Label, LabelMap

WIDTH = 320
STRIP_WIDTH = 560
# For structures that the reference does not name.
COLOURS = ((230, 90, 80), (80, 160, 230), (110, 200, 120), (230, 180, 60), (180, 120, 220))

Results = Mapping[str, Result]


def draw_denoising(case: NoisyCase, rows: Sequence[Row], results: Results) -> bytes:
    """Each method's image beside its error."""
    images = {INPUT: case.noisy.voxels} | {n: r.volume.voxels for n, r in results.items()}
    shown = [
        Shown(name, voxels, case.clean.geometry, _quality(rows, name))
        for name, voxels in images.items()
    ]
    note = f"{case.subject}, {case.kind} noise of {case.percent:g} % of the peak added"
    return comparison_sheet("Denoising", note, case.clean, shown, View(), WIDTH)


def draw_super_resolution(case: ThickCase, rows: Sequence[Row], results: Results) -> bytes:
    """Each method's image beside its error, cut across the thick slices."""
    thick = Shown("Input, thick slices", case.thick.voxels, case.thick.geometry)
    shown = [
        Shown(name, result.volume.voxels, case.thin.geometry, _quality(rows, name))
        for name, result in results.items()
    ]
    note = f"{case.subject}, {case.condition}"
    view = View(plane_across(case.thick.geometry, case.thin.geometry))
    cut = view.of(case.thin.voxels, case.thin.geometry)
    width = STRIP_WIDTH if cut.is_wide else WIDTH
    return comparison_sheet("Super-resolution", note, case.thin, [thick, *shown], view, width)


def draw_segmentation(
    subject: Subject, reference: LabelMap, rows: Sequence[Row], results: Results
) -> bytes:
    """The reference's labels and each method's over the image."""
    geometry = subject.volume.geometry
    view = View("coronal", fullest_share(reference.voxels > 0, geometry, "coronal"))
    voxels = subject.volume.voxels
    window = window_of(voxels)
    dice = {row.method: row.values.get("dice") for row in rows if row.condition == WHOLE}
    first = Shown("Reference", voxels, geometry)
    panels = [label_panel(first, with_colours(reference), view, window)]
    for name, result in results.items():
        caption = f"Dice {dice[name]:.3f} as a whole" if dice.get(name) is not None else ""
        shown = Shown(name, voxels, geometry, caption)
        panels.append(label_panel(shown, result.labelmap, view, window))
    return sheet("Segmentation", subject.name, panels, columns=2, width=WIDTH)


def with_colours(reference: LabelMap) -> LabelMap:
    """The labels with a row in the table for each value that has none."""
    if reference.labels:
        return reference
    values = [int(v) for v in np.unique(reference.voxels) if v > 0]
    labels = [Label(v, f"Label {v}", COLOURS[n % len(COLOURS)]) for n, v in enumerate(values)]
    return LabelMap(reference.voxels, reference.geometry, tuple(labels))


def _quality(rows: Sequence[Row], method: str) -> str:
    values = next((row.values for row in rows if row.method == method), {})
    score, likeness = values.get("psnr_db"), values.get("ssim")
    return "" if score is None or likeness is None else f"PSNR {score:.2f} dB, SSIM {likeness:.3f}"
