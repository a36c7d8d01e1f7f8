"""``medenhance evaluate``: how good the models are, measured against a known truth."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from MedEnhanceLib.cli import choosing
from MedEnhanceLib.cli.parsing import parse_labels, parse_percentages
from MedEnhanceLib.cli.scoreboard import Scoreboard
from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.options import DenoiseOptions, SegmentOptions, SuperResolutionOptions
from MedEnhanceLib.task import Task

evaluate = typer.Typer(
    name="evaluate",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Measure models against a known truth, beside classical filters, always in the same way.",
)

Volumes = Annotated[
    list[Path], typer.Argument(metavar="VOLUME...", help="Volumes that count as clean.")
]
ModelIds = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="ID",
        help="What to compare; may be repeated. By default every model and filter of the task.",
        rich_help_panel=choosing.MODELS,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Picture = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.png",
        help="Draw the first volume: each method's image and its error.",
        rich_help_panel=choosing.FILES,
    ),
]
Seed = Annotated[int, typer.Option(help="Of the noise; the same seed makes the same noise.")]
Repeats = Annotated[
    int,
    typer.Option(min=1, help="Runs of each method, taking turns; the least cost of each counts."),
]


@evaluate.command("denoise")
def evaluate_denoise(
    volumes: Volumes,
    noise: Annotated[
        str, typer.Option(metavar="P,P,...", help="Rician noise to add, in percent of the peak.")
    ] = "3,5,9",
    quiet_reference: Annotated[
        str,
        typer.Option(
            help="averaging makes each scan quieter (and coarser) first, since its own noise caps "
            "what can be reached; none takes it as it is, as is right for phantoms."
        ),
    ] = "none",
    true_noise: Annotated[
        bool,
        typer.Option(
            "--true-noise", help="Tell trained models the noise level too; filters always know it."
        ),
    ] = False,
    model: ModelIds = None,
    models: choosing.ModelFolders = None,
    trust: choosing.Trusted = None,
    device: choosing.Device = "auto",
    precision: choosing.Precision = "auto",
    repeats: Repeats = 1,
    seed: Seed = 0,
    picture: Picture = None,
    report: choosing.Report = None,
    as_json: AsJson = False,
) -> None:
    """Add noise to clean volumes, remove it, and compare with what was there.

    PSNR and SSIM are taken over the foreground (brighter than 10/255 of the peak, which is the
    99.9th percentile); sharpness is the gradient at the clean volume's edges, in percent of the
    clean volume's own; core-s are processor seconds of a whole run, without imports.

    \b
    - `medenhance evaluate denoise phantom.nii.gz --noise 3,9 --picture compare.png`
    - `medenhance evaluate denoise scan.nii.gz --quiet-reference averaging --json`
    """
    percents = parse_percentages(noise, "noise")
    options = DenoiseOptions(device=device, precision=precision)
    if quiet_reference not in ("none", "averaging"):
        raise OptionsError(
            f"The way to quiet the reference '{quiet_reference}' is unknown; choose averaging or "
            "none."
        )
    board = Scoreboard(Task.DENOISE, volumes, picture, report, as_json)
    board.open_methods(model, models, trust)
    from MedEnhanceLib.evaluation import denoising, drawing
    from MedEnhanceLib.evaluation.subjects import averaged, read_subjects

    subjects = read_subjects(volumes, averaged if quiet_reference == "averaging" else None)
    with board.telling() as told:
        for case in (denoising.noisy_case(s, p, seed) for s in subjects for p in percents):
            rows, results = denoising.evaluate_case(
                case,
                board.methods_for(case.noisy),
                options,
                true_noise_for_models=true_noise,
                repeats=repeats,
                told=told,
            )
            board.add(rows, partial(drawing.draw_denoising, case, rows, results))
    board.finish(
        noise_percent=percents,
        quiet_reference=quiet_reference,
        true_noise_for_models=true_noise,
        seed=seed,
        repeats=repeats,
    )


@evaluate.command("super-resolution")
def evaluate_super_resolution(
    volumes: Volumes,
    factor: Annotated[int, typer.Option(help="How many voxels thick the slices become.")] = 2,
    axis: Annotated[str, typer.Option(help="x, y or z of the volume.")] = "z",
    profile: Annotated[
        str,
        typer.Option(help="Slice profile: gaussian (FWHM of one thickness) or box."),
    ] = "gaussian",
    noise: Annotated[
        float,
        typer.Option(metavar="P", help="Rician noise in the thick slices, percent of the peak."),
    ] = 0.0,
    model: ModelIds = None,
    models: choosing.ModelFolders = None,
    trust: choosing.Trusted = None,
    device: choosing.Device = "auto",
    precision: choosing.Precision = "auto",
    repeats: Repeats = 1,
    seed: Seed = 0,
    picture: Picture = None,
    report: choosing.Report = None,
    as_json: AsJson = False,
) -> None:
    """Make slices thicker, refine them, and compare with the thin ones.

    The profile matters by several dB, so it is stated in the table. Metrics as in
    `medenhance evaluate denoise`.

    \b
    - `medenhance evaluate super-resolution head.nii.gz --factor 2 --profile gaussian`
    - `medenhance evaluate super-resolution head.nii.gz --profile box --noise 1 --picture x.png`
    """
    from MedEnhanceLib.evaluation.acquiring import Acquisition

    acquisition = Acquisition(factor, axis, profile, noise, seed)
    options = SuperResolutionOptions(device=device, precision=precision)
    board = Scoreboard(Task.SUPER_RESOLUTION, volumes, picture, report, as_json)
    board.open_methods(model, models, trust)
    from MedEnhanceLib.evaluation import drawing, super_resolution
    from MedEnhanceLib.evaluation.acquiring import thick_case
    from MedEnhanceLib.evaluation.subjects import read_subjects

    with board.telling() as told:
        for case in (thick_case(s, acquisition) for s in read_subjects(volumes)):
            rows, results = super_resolution.evaluate_case(
                case, board.methods_for(case.thick), options, repeats=repeats, told=told
            )
            board.add(rows, partial(drawing.draw_super_resolution, case, rows, results))
    board.finish(
        factor=factor, axis=axis, profile=profile, noise_percent=noise, seed=seed, repeats=repeats
    )


@evaluate.command("segment")
def evaluate_segment(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Images to segment.")],
    reference: Annotated[
        list[Path],
        typer.Option(
            metavar="LABELS", help="Reference labels; once for each image, in the same order."
        ),
    ],
    labels: Annotated[
        str | None, typer.Option(metavar="1,2,...", help="Only these structures.")
    ] = None,
    model: ModelIds = None,
    models: choosing.ModelFolders = None,
    trust: choosing.Trusted = None,
    device: choosing.Device = "auto",
    precision: choosing.Precision = "auto",
    picture: Picture = None,
    report: choosing.Report = None,
    as_json: AsJson = False,
) -> None:
    """Segment, and compare with reference labels.

    Filters know classes of brightness, not structures; each structure is compared with the class
    that fits it best.

    \b
    - `medenhance evaluate segment a.nii.gz b.nii.gz --reference a_labels.nii.gz --reference
      b_labels.nii.gz`
    """
    if len(images) != len(reference):
        raise OptionsError(
            f"There are {len(images)} images but {len(reference)} reference labels; give one "
            "--reference for each image, in the same order."
        )
    wanted = parse_labels(labels)
    options = SegmentOptions(device=device, precision=precision, labels=wanted)
    board = Scoreboard(Task.SEGMENT, [*images, *reference], picture, report, as_json)
    board.open_methods(model, models, trust)
    from MedEnhanceLib.evaluation import drawing, segmentation
    from MedEnhanceLib.evaluation.subjects import read_subjects
    from MedEnhanceLib.io import read_labelmap

    with board.telling() as told:
        for subject, path in zip(read_subjects(images), reference, strict=True):
            truth = segmentation.only(read_labelmap(path), wanted)
            rows, results = segmentation.evaluate_case(
                subject, truth, board.methods_for(subject.volume), options, told
            )
            board.add(rows, partial(drawing.draw_segmentation, subject, truth, rows, results))
    board.finish(labels=wanted)
