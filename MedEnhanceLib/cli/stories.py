"""What the demonstration does with each sample: run, measure, draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from MedEnhanceLib.catalog import Catalog
from MedEnhanceLib.cli.outputs import Content
from MedEnhanceLib.enhancement import enhance
from MedEnhanceLib.evaluation import denoising, segmentation, super_resolution
from MedEnhanceLib.evaluation.acquiring import Acquisition, ThickCase
from MedEnhanceLib.evaluation.drawing import with_colours
from MedEnhanceLib.evaluation.methods import Row, methods_of
from MedEnhanceLib.evaluation.subjects import Subject
from MedEnhanceLib.intensity import robust_peak
from MedEnhanceLib.io import read_labelmap, read_volume
from MedEnhanceLib.model import Model
from MedEnhanceLib.options import DenoiseOptions, SegmentOptions, SuperResolutionOptions
from MedEnhanceLib.pictures.comparing import (
    Shown,
    View,
    difference_panel,
    image_panel,
    label_panel,
    removed_limit,
    window_of,
)
from MedEnhanceLib.pictures.sheet import sheet
from MedEnhanceLib.pictures.slices import fullest_share
from MedEnhanceLib.resources import sample_folder
from MedEnhanceLib.result import Progress, ProgressCallback, Result
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import LabelMap, Volume

ADDED_NOISE_PERCENT = 5
SEED = 0
CENTRE = (0.3, 0.7, 0.28, 0.72)
MIDDLE = (0.0, 1.0, 0.22, 0.78)
OTHER_DENOISERS = ("filter-non-local-means", "filter-anisotropic-diffusion", "filter-median")


@dataclass(frozen=True)
class Story:
    """One task of the demonstration.

    Attributes:
        title: of its tables.
        result: of the run on the sample.
        rows: measured against what is known.
        note: how the rows were measured.
        files: by name.
    """

    title: str
    result: Result
    rows: list[Row]
    note: str
    files: dict[str, Content] = field(default_factory=dict)

    def report(self) -> dict[str, Any]:
        """For report.json."""
        measured = {"how": self.note, "rows": [vars(row) for row in self.rows]}
        return {**self.result.report(), "measured": measured}


def tell_denoising(catalog: Catalog, device: str, progress: ProgressCallback | None) -> Story:
    """A real scan as it is, and the same with noise added to know the truth."""
    scan = read_volume(sample_folder() / "mr_head_t1.nii.gz")
    model = catalog.best(Task.DENOISE, scan)
    options = DenoiseOptions(device=device)
    result = enhance(scan, Task.DENOISE, model.id, options, catalog=catalog, progress=progress)
    case = denoising.noisy_case(Subject.of("mr_head_t1", scan), ADDED_NOISE_PERCENT, SEED)
    methods = methods_of(catalog, Task.DENOISE, _with_others(model, OTHER_DENOISERS))
    rows, results = denoising.evaluate_case(
        case, methods, options, told=_phase(progress, "Comparing with filters")
    )
    removed = scan.with_voxels(scan.voxels.astype(np.float32) - result.volume.voxels)
    picture = _denoising_picture(model, scan, result, removed, case, results[model.id], rows)
    return Story(
        f"Denoising with {model.title}",
        result,
        rows,
        f"Rician noise of {ADDED_NOISE_PERCENT} % of the peak added to the scan, which itself is "
        "noisy and so a strict reference; filters were told the noise level, the model was not.",
        {
            "denoised.nii.gz": result.output,
            "denoise_removed.nii.gz": removed,
            "denoise.png": picture,
        },
    )


def _denoising_picture(
    model: Model,
    scan: Volume,
    result: Result,
    removed: Volume,
    case: denoising.NoisyCase,
    repaired: Result,
    rows: list[Row],
) -> bytes:
    window, grid = window_of(scan.voxels), scan.geometry
    noise = result.evidence[0].before if result.evidence else None
    limit = removed_limit(removed.voxels, noise)
    whole, centre = View(), View(part=CENTRE)
    error = repaired.volume.voxels - scan.voxels
    score = {row.method: f"PSNR {row.values['psnr_db']:.1f} dB" for row in rows}
    noisy = f"Same scan, {case.percent:g} % noise added"
    clean = repaired.volume.voxels
    panels = [
        image_panel(Shown("Scan", scan.voxels, grid, _noise_text(noise)), whole, window),
        image_panel(Shown("Denoised", result.volume.voxels, grid, model.title), whole, window),
        difference_panel(
            Shown("Removed signal", removed.voxels, grid, "no anatomy should show"), whole, limit
        ),
        image_panel(Shown(noisy, case.noisy.voxels, grid, score["input"]), centre, window),
        image_panel(Shown("Denoised", clean, grid, score[model.id]), centre, window),
        difference_panel(
            Shown("Error", error, grid, "from the scan, which has noise itself"),
            centre,
            3 * case.sigma,
        ),
    ]
    return sheet("Denoising", "T1-weighted head, 0.7 mm, axial", panels, columns=3, width=400)


def _noise_text(noise: float | None) -> str:
    return "" if noise is None else f"estimated noise {noise:.2g}"


def tell_super_resolution(
    catalog: Catalog, device: str, progress: ProgressCallback | None
) -> Story:
    """Slices twice as thick, brought back to the thin ones that they were made of."""
    thick = read_volume(sample_folder() / "mr_head_t1_thick.nii.gz")
    thin = read_volume(sample_folder() / "mr_head_t1.nii.gz")
    model = catalog.best(Task.SUPER_RESOLUTION, thick)
    pairs_averaged = Acquisition(2, "z", "box")
    case = ThickCase("mr_head_t1_thick", thin, thick, pairs_averaged, robust_peak(thin.voxels))
    methods = methods_of(catalog, Task.SUPER_RESOLUTION, _with_others(model, ("filter-bspline",)))
    rows, results = super_resolution.evaluate_case(
        case,
        methods,
        SuperResolutionOptions(device=device),
        told=_phase(progress, "Adding resolution"),
    )
    result = results[model.id]
    return Story(
        f"Super-resolution with {model.title}",
        result,
        rows,
        "The thick slices are means of pairs of the thin ones (a box profile), which are the "
        "reference; beyond them there is no truth, so noise counts as error too.",
        {
            "super_resolution.nii.gz": result.output,
            "super_resolution.png": _super_resolution_picture(model, case, results, rows),
        },
    )


def _super_resolution_picture(
    model: Model, case: ThickCase, results: dict[str, Result], rows: list[Row]
) -> bytes:
    window, grid = window_of(case.thin.voxels), case.thin.geometry
    view = View("coronal", part=MIDDLE)
    truth = case.thin.voxels.astype(np.float32)
    errors = {name: r.volume.voxels - truth for name, r in results.items()}
    limit = max(removed_limit(error, None) for error in errors.values())
    score = {row.method: f"PSNR {row.values['psnr_db']:.2f} dB" for row in rows}
    titles = {"filter-bspline": "B-spline, 5th order", model.id: model.title}
    thick = Shown("Thick slices", case.thick.voxels, case.thick.geometry, "1.33 mm")
    panels = [
        image_panel(thick, view, window),
        image_panel(Shown("Reference", truth, grid, "thin slices, 0.67 mm"), view, window),
    ]
    for name in sorted(results, key=lambda n: n == model.id):
        shown = Shown(titles[name], results[name].volume.voxels, grid, score[name])
        panels.append(image_panel(shown, view, window))
        panels.append(difference_panel(Shown("Error", errors[name], grid), view, limit))
    return sheet(
        "Super-resolution", "T1-weighted head, across the slices (coronal)", panels, 2, 620
    )


def tell_segmentation(catalog: Catalog, device: str, progress: ProgressCallback | None) -> Story:
    """The hippocampus, against labels drawn by an expert."""
    image = read_volume(sample_folder() / "hippocampus_t1.nii.gz")
    reference = read_labelmap(sample_folder() / "hippocampus_t1_labels.nii.gz")
    model = catalog.best(Task.SEGMENT, image)
    others = ("filter-otsu", "filter-gaussian-mixture")
    methods = methods_of(catalog, Task.SEGMENT, _with_others(model, others))
    subject = Subject.of("hippocampus_t1", image)
    rows, results = segmentation.evaluate_case(
        subject, reference, methods, SegmentOptions(device=device), _phase(progress, "Segmenting")
    )
    result = results[model.id]
    named = with_colours(LabelMap(reference.voxels, reference.geometry, result.labelmap.labels))
    return Story(
        f"Segmentation with {model.title}",
        result,
        rows,
        "Reference labels by an expert; filters are judged by their best-fitting class.",
        {
            "segmentation.nii.gz": result.output,
            "segmentation.seg.nrrd": result.output,
            "segment.png": _segmentation_picture(image, named, result.labelmap, rows, model),
        },
    )


def _segmentation_picture(
    image: Volume, reference: LabelMap, found: LabelMap, rows: list[Row], model: Model
) -> bytes:
    window, grid = window_of(image.voxels), image.geometry
    dice = {row.condition: row.values["dice"] for row in rows if row.method == model.id}
    caption = f"mean Dice {dice[segmentation.MEAN]:.3f}"
    panels = []
    for plane in ("coronal", "sagittal"):
        view = View(plane, fullest_share(reference.voxels > 0, grid, plane))
        title = plane.capitalize()
        panels += [
            image_panel(Shown(f"{title}: scan", image.voxels, grid), view, window),
            label_panel(Shown("Found", image.voxels, grid, caption), found, view, window),
            label_panel(Shown("Expert", image.voxels, grid), reference, view, window),
        ]
    return sheet("Hippocampus", f"T1-weighted, 1 mm; {model.title}", panels, columns=3, width=380)


def _with_others(model: Model, others: tuple[str, ...]) -> list[str]:
    return [model.id, *[name for name in others if name != model.id]]


def _phase(progress: ProgressCallback | None, phase: str) -> Callable[[str], None]:
    """Say which method is being run; how far it is, is not known."""

    def told(text: str) -> None:
        if progress is not None:
            progress(Progress(0.0, f"{phase}: {text.rsplit(', ', 1)[-1]}"))

    return told


Teller = Callable[[Catalog, str, ProgressCallback | None], Story]
STORIES: dict[str, Teller] = {
    "denoise": tell_denoising,
    "super-resolution": tell_super_resolution,
    "segment": tell_segmentation,
}
