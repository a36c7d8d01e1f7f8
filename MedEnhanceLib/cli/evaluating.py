"""``medenhance evaluate``: how good the models are, measured against a known truth."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Annotated

import typer

from MedEnhanceLib.cli import choosing
from MedEnhanceLib.cli.evaluation_options import (
    AsJson,
    Crop,
    Markdown,
    ModelIds,
    Peers,
    Picture,
    QuietReference,
    Repeats,
    Report,
    Seed,
    Volumes,
)
from MedEnhanceLib.cli.failing import say
from MedEnhanceLib.cli.parsing import parse_labels, parse_percentages
from MedEnhanceLib.cli.scoreboard import Scoreboard, Shown
from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.options import DenoiseOptions, SegmentOptions, SuperResolutionOptions
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Volume

evaluate = typer.Typer(
    name="evaluate",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Measure models against a known truth, beside classical filters, always in the same way.",
)


@evaluate.command("denoise")
def evaluate_denoise(
    volumes: Volumes,
    noise: Annotated[
        str,
        typer.Option(
            metavar="P,P,...",
            help="Noise to add, in percent of the peak: Rician; for CT Gaussian, correlated within "
            "the slice, and the peak is 2000 HU.",
        ),
    ] = "3,5,9",
    quiet_reference: QuietReference = "none",
    crop: Crop = None,
    guide: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Another MR contrast of the same patient for models that take a guide, registered "
            "as by `medenhance denoise --guide`; once for each volume, in the same order.",
        ),
    ] = None,
    true_noise: Annotated[
        bool,
        typer.Option(
            "--true-noise",
            help="Tell trained models the noise level too; filters and peers always know it.",
        ),
    ] = False,
    model: ModelIds = None,
    peers: Peers = False,
    models: choosing.ModelFolders = None,
    trust: choosing.Trusted = None,
    device: choosing.Device = "auto",
    precision: choosing.Precision = "auto",
    repeats: Repeats = 1,
    seed: Seed = 0,
    picture: Picture = None,
    report: Report = None,
    markdown: Markdown = None,
    as_json: AsJson = False,
) -> None:
    """Add noise to clean volumes, remove it, and compare with what was there.

    PSNR, SSIM and RMSE are taken over the foreground (brighter than 10/255 of the peak, which is
    the 99.9th percentile; in CT all but air); sharpness is the gradient at the clean volume's
    edges, in percent of the clean volume's own; core-s are processor seconds of a whole run,
    without imports. CT also has errors in HU for each kind of tissue, and the shift of soft
    tissue's mean.

    \b
    - `medenhance evaluate denoise phantom.nii.gz --noise 3,9 --picture compare.png`
    - `medenhance evaluate denoise scan.nii.gz --quiet-reference averaging --json`
    - `medenhance evaluate denoise scan.nii.gz --crop 64 --model mr-denoise-residual --peers`
    - `medenhance evaluate denoise t2.nii.gz --guide t1.nii.gz --model mr-denoise-guided`
    """
    if guide:
        _check_as_many(guide, "guides", "--guide", volumes, "volume")
    percents = parse_percentages(noise)
    options = DenoiseOptions(device=device, precision=precision)
    quieting = _quieting(quiet_reference)
    board = Scoreboard(
        Task.DENOISE, [*volumes, *(guide or ())], Shown(picture, report, markdown, as_json)
    )
    board.open_methods(model, models, trust, peers)
    from MedEnhanceLib.evaluation import denoising, drawing
    from MedEnhanceLib.evaluation.methods import shown
    from MedEnhanceLib.evaluation.subjects import References, read_subjects
    from MedEnhanceLib.io import read_volume

    _tell_numbers(volumes)
    references = References(read_subjects(volumes, quieting, crop))
    kinds: dict[str, str] = {}
    guides = map(read_volume, guide) if guide else repeat(None)
    pairs = ((s, g, p) for s, g in zip(references, guides, strict=False) for p in percents)
    with board.running() as told:
        for subject, contrast, percent in pairs:
            case = denoising.noisy_case(subject, percent, seed)
            kinds[case.subject] = case.kind
            rows, results = denoising.evaluate_case(
                case,
                [shown(method, contrast) for method in board.methods_for(case.noisy)],
                options,
                true_noise_for_models=true_noise,
                repeats=repeats,
                told=told,
            )
            board.add(rows, partial(drawing.draw_denoising, case, rows, results))
    takers = {m.id for m in board.methods if m.model is not None and m.model.takes_guide}
    guided = bool(guide) and any(row.method in takers for row in board.rows)
    board.finish(
        [f"Noise added: {kind}, seed {seed}." for kind in dict.fromkeys(kinds.values())]
        + [references.told(quiet_reference), _told_of_noise(true_noise)]
        + [_told_of_guide(guided)] * bool(guide),
        noise_percent=percents,
        noise_kind=kinds,
        quiet_reference=quiet_reference,
        reference_noise_percent=references.noise_percent,
        crop=crop,
        true_noise_for_models=true_noise,
        guided=guided,
        seed=seed,
        repeats=repeats,
    )


@evaluate.command("super-resolution")
def evaluate_super_resolution(
    volumes: Volumes,
    factor: Annotated[
        float, typer.Option(help="How many voxels thick the slices become; 2.5 will do too.")
    ] = 2,
    axis: Annotated[str, typer.Option(help="x, y or z of the volume, or several, as xyz.")] = "z",
    profile: Annotated[str, typer.Option(help="Slice profile: gaussian or box.")] = "gaussian",
    profile_width: Annotated[
        float,
        typer.Option(
            metavar="W",
            help="The profile's full width at half maximum over the distance of the slices; the "
            "models are not told it.",
        ),
    ] = 1.0,
    noise: Annotated[
        float,
        typer.Option(
            metavar="P", help="Noise in the thick slices, in percent of the peak; as for denoise."
        ),
    ] = 0.0,
    quiet_reference: QuietReference = "none",
    crop: Crop = None,
    model: ModelIds = None,
    models: choosing.ModelFolders = None,
    trust: choosing.Trusted = None,
    device: choosing.Device = "auto",
    precision: choosing.Precision = "auto",
    repeats: Repeats = 1,
    seed: Seed = 0,
    picture: Picture = None,
    report: Report = None,
    markdown: Markdown = None,
    as_json: AsJson = False,
) -> None:
    """Make slices thicker, refine them, and compare with the thin ones.

    The profile matters by several dB, so it is stated in the table. Metrics as in
    `medenhance evaluate denoise`; misfit is what is left, in percent of the peak, between the
    thick slices and the output made thick again.

    \b
    - `medenhance evaluate super-resolution head.nii.gz --factor 2 --profile gaussian`
    - `medenhance evaluate super-resolution head.nii.gz --profile box --noise 1 --picture x.png`
    - `medenhance evaluate super-resolution head.nii.gz --axis xyz --factor 1.5`
    - `medenhance evaluate super-resolution head.nii.gz --profile-width 0.75`
    """
    from MedEnhanceLib.evaluation.acquiring import Acquisition

    acquisition = Acquisition(factor, axis, profile, noise, seed, profile_width)
    quieting = _quieting(quiet_reference)
    options = SuperResolutionOptions(device=device, precision=precision)
    board = Scoreboard(Task.SUPER_RESOLUTION, volumes, Shown(picture, report, markdown, as_json))
    board.open_methods(model, models, trust)
    from MedEnhanceLib.evaluation import drawing, super_resolution
    from MedEnhanceLib.evaluation.acquiring import thick_case
    from MedEnhanceLib.evaluation.subjects import References, read_subjects

    _tell_numbers(volumes)
    references = References(read_subjects(volumes, quieting, crop), noisy=noise > 0)
    with board.running() as told:
        for case in (thick_case(s, acquisition) for s in references):
            rows, results = super_resolution.evaluate_case(
                case, board.methods_for(case.thick), options, repeats=repeats, told=told
            )
            board.add(rows, partial(drawing.draw_super_resolution, case, rows, results))
    board.finish(
        [f"Thick slices: {acquisition}, seed {seed}.", references.told(quiet_reference)],
        factor=factor,
        axis=axis,
        profile=profile,
        profile_width=profile_width,
        noise_percent=noise,
        quiet_reference=quiet_reference,
        reference_noise_percent=references.noise_percent,
        crop=crop,
        seed=seed,
        repeats=repeats,
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
    brain_mask: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="MASK",
            help="Where the brain is, for peer-atropos; once for each image. By default where the "
            "reference has labels.",
        ),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(metavar="1,2,...", help="Only these structures.")
    ] = None,
    model: ModelIds = None,
    peers: Peers = False,
    models: choosing.ModelFolders = None,
    trust: choosing.Trusted = None,
    device: choosing.Device = "auto",
    precision: choosing.Precision = "auto",
    picture: Picture = None,
    report: Report = None,
    markdown: Markdown = None,
    as_json: AsJson = False,
) -> None:
    """Segment, and compare with reference labels.

    Filters know classes of brightness, not structures; each structure is compared with the class
    that fits it best.

    \b
    - `medenhance evaluate segment a.nii.gz b.nii.gz --reference a_labels.nii.gz --reference
      b_labels.nii.gz`
    """
    masks = brain_mask or reference
    _check_as_many(reference, "reference labels", "--reference", images, "image")
    _check_as_many(masks, "brain masks", "--brain-mask", images, "image")
    wanted = parse_labels(labels)
    options = SegmentOptions(device=device, precision=precision, labels=wanted)
    board = Scoreboard(
        Task.SEGMENT,
        [*images, *reference, *(brain_mask or ())],
        Shown(picture, report, markdown, as_json),
    )
    board.open_methods(model, models, trust, peers)
    from MedEnhanceLib.evaluation import drawing, segmentation
    from MedEnhanceLib.evaluation.peers import told_the_brain
    from MedEnhanceLib.evaluation.subjects import read_subjects
    from MedEnhanceLib.io import read_labelmap

    _tell_numbers(images)
    with board.running() as told:
        for subject, path, place in zip(read_subjects(images), reference, masks, strict=True):
            reference_labels = segmentation.on_grid(subject, read_labelmap(path))
            truth = segmentation.only(reference_labels, wanted)
            brain = segmentation.brain_of(subject, read_labelmap(place))
            methods = [told_the_brain(m, brain) for m in board.methods_for(subject.volume)]
            rows, results = segmentation.evaluate_case(subject, truth, methods, options, told)
            board.add(rows, partial(drawing.draw_segmentation, subject, truth, rows, results))
    board.finish(labels=wanted)


def _check_as_many(
    files: list[Path], what: str, option: str, images: list[Path], each: str
) -> None:
    """Raise OptionsError when there is not one file for each image."""
    if len(files) != len(images):
        raise OptionsError(
            f"There are {len(images)} {each}s but {len(files)} {what}; give one {option} for each "
            f"{each}, in the same order."
        )


def _tell_numbers(paths: list[Path]) -> None:
    """Which file is which row: said here, and written nowhere."""
    for number, path in enumerate(paths, 1):
        say(f"volume {number} is '{path}'")


def _quieting(name: str) -> Callable[[Volume], Volume] | None:
    """What makes a reference quieter."""
    if name not in ("none", "averaging"):
        raise OptionsError(
            f"The way to quiet the reference '{name}' is unknown; choose averaging or none."
        )
    from MedEnhanceLib.evaluation.subjects import averaged

    return averaged if name == "averaging" else None


def _told_of_guide(is_used: bool) -> str:
    if is_used:
        return "Models that take a guide had another contrast, registered."
    return "No model that was run takes a guide, so the guide was not used."


def _told_of_noise(models_too: bool) -> str:
    level = "the true noise level, where they take one"
    if models_too:
        return f"All methods were told {level}."
    return f"Filters and peers were told {level}; trained models estimated it."
