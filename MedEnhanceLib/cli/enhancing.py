"""``medenhance denoise``, ``super-resolution`` and ``segment``: one volume in, a better one out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from MedEnhanceLib.cli import choosing
from MedEnhanceLib.cli.failing import say
from MedEnhanceLib.cli.outputs import (
    IMAGE,
    REPORT,
    SEGMENTATION,
    Content,
    check_distinct,
    check_outputs,
    write_all,
)
from MedEnhanceLib.cli.parsing import NoiseLevel, parse_labels, parse_noise
from MedEnhanceLib.cli.progress import shown_progress
from MedEnhanceLib.cli.reports import report_content
from MedEnhanceLib.cli.tables import print_evidence
from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.filters import Filter
from MedEnhanceLib.model import Model
from MedEnhanceLib.options import (
    DenoiseOptions,
    Options,
    SegmentOptions,
    SuperResolutionOptions,
)
from MedEnhanceLib.result import Result
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Volume

Input = Annotated[Path, typer.Argument(metavar="IN", help="A volume, or a folder of DICOM files.")]
Output = Annotated[Path, typer.Argument(metavar="OUT", help="The new volume's file.")]
Segmentation = Annotated[
    Path,
    typer.Argument(
        metavar="OUT", help="The segmentation's file; .seg.nrrd keeps names and colours for Slicer."
    ),
]


def denoise(
    source: Input,
    output: Output,
    strength: Annotated[
        float, typer.Option(help="0 gives the input back, 1 all that the model removes.")
    ] = 1.0,
    noise: Annotated[
        str,
        typer.Option(
            metavar="auto|LEVEL",
            help="Standard deviation of the noise, in the volume's own unit (12.5), or in percent "
            "of its peak, for CT of 2000 HU (3%); auto estimates it.",
        ),
    ] = "auto",
    guide: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Another MR contrast of the same patient (a volume, or a folder of one DICOM "
            "series); it is registered, and models that take a guide see the anatomy in it.",
        ),
    ] = None,
    register_guide: Annotated[
        bool,
        typer.Option(help="Move the guide to where it fits best, or leave it where it is."),
    ] = True,
    removed: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write what was removed (input minus output); anatomy must not be visible in it.",
            rich_help_panel=choosing.FILES,
        ),
    ] = None,
    model: choosing.ModelId = "auto",
    models: choosing.ModelFolders = None,
    trust: choosing.Trusted = None,
    device: choosing.Device = "auto",
    precision: choosing.Precision = "auto",
    tile: choosing.Tile = None,
    uncertainty: choosing.Uncertainty = None,
    report: choosing.Report = None,
    series: choosing.SeriesName = None,
    modality: choosing.Modality = None,
    quiet: choosing.Quiet = False,
) -> None:
    """Remove noise.

    \b
    - `medenhance denoise head.nii.gz clean.nii.gz`
    - `medenhance denoise head.nii.gz clean.nii.gz --strength 0.7 --removed noise.nii.gz`
    - `medenhance denoise dicom_folder clean.nrrd --series 5 --noise 3% --report clean.json`
    - `medenhance denoise flair.nii.gz clean.nii.gz --guide t1.nii.gz`
    - `medenhance denoise head.nii.gz median.nii.gz --model filter-median`
    """
    if guide is None and not register_guide:
        raise OptionsError("There is no guide to leave where it is; leave out --no-register-guide.")
    level = parse_noise(noise)
    options = DenoiseOptions(
        device=device,
        precision=precision,
        tile=tile,
        uncertainty=uncertainty is not None,
        strength=strength,
        noise=level.absolute,
        register_guide=register_guide,
    )
    files = _Files(source, output, removed, uncertainty, report, guide)
    run = _Run(Task.DENOISE, files, series, modality, quiet)
    run(options, model, models, trust, level)


def super_resolution(
    source: Input,
    output: Output,
    spacing: Annotated[
        tuple[float, float, float] | None,
        typer.Option(metavar="X Y Z", help="Wanted distance of voxels in mm."),
    ] = None,
    factor: Annotated[
        tuple[float, float, float] | None,
        typer.Option(metavar="X Y Z", help="How many voxels to make of one along each axis."),
    ] = None,
    profile_width: Annotated[
        float | None,
        typer.Option(
            help="Slice thickness over the distance of the slices; estimated by default.",
        ),
    ] = None,
    denoise: Annotated[
        bool | None,
        typer.Option(
            "--denoise/--no-denoise",
            help="Remove noise before sharpening; by default from a level that the model names.",
        ),
    ] = None,
    model: choosing.ModelId = "auto",
    models: choosing.ModelFolders = None,
    trust: choosing.Trusted = None,
    device: choosing.Device = "auto",
    precision: choosing.Precision = "auto",
    tile: choosing.Tile = None,
    uncertainty: choosing.Uncertainty = None,
    report: choosing.Report = None,
    series: choosing.SeriesName = None,
    modality: choosing.Modality = None,
    quiet: choosing.Quiet = False,
) -> None:
    """Add resolution; by default the volume's finest spacing along every axis.

    \b
    - `medenhance super-resolution thick.nii.gz fine.nii.gz`
    - `medenhance super-resolution thick.nii.gz fine.nii.gz --factor 1 1 2`
    - `medenhance super-resolution thick.nii.gz fine.nii.gz --spacing 0.5 0.5 0.5`
    """
    options = SuperResolutionOptions(
        device=device,
        precision=precision,
        tile=tile,
        uncertainty=uncertainty is not None,
        spacing=spacing,
        factor=factor,
        profile_width=profile_width,
        denoise=denoise,
    )
    files = _Files(source, output, None, uncertainty, report)
    run = _Run(Task.SUPER_RESOLUTION, files, series, modality, quiet)
    run(options, model, models, trust)


def segment(
    source: Input,
    output: Segmentation,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="1,2,...",
            help="Which structures, by value ('medenhance models ID' lists them); by default all "
            "but wholes, such as Brain.",
        ),
    ] = None,
    keep_largest: Annotated[
        bool,
        typer.Option(
            "--keep-largest/--no-keep-largest",
            help="Keep only the largest connected piece of each structure, and of tissues that "
            "form a whole only that of the whole; lesions and paired organs have several. Filters "
            "keep all.",
        ),
    ] = True,
    fill_holes: Annotated[
        bool,
        typer.Option("--fill-holes/--no-fill-holes", help="Fill holes inside the segmented whole."),
    ] = True,
    model: choosing.ModelId = "auto",
    models: choosing.ModelFolders = None,
    trust: choosing.Trusted = None,
    device: choosing.Device = "auto",
    precision: choosing.Precision = "auto",
    tile: choosing.Tile = None,
    uncertainty: choosing.Uncertainty = None,
    report: choosing.Report = None,
    series: choosing.SeriesName = None,
    modality: choosing.Modality = None,
    quiet: choosing.Quiet = False,
) -> None:
    """Outline structures, and give their volumes in ml.

    \b
    - `medenhance segment hippocampus.nii.gz labels.seg.nrrd`
    - `medenhance segment hippocampus.nii.gz posterior.nii.gz --labels 2 --report volumes.json`
    """
    options = SegmentOptions(
        device=device,
        precision=precision,
        tile=tile,
        uncertainty=uncertainty is not None,
        labels=parse_labels(labels),
        keep_largest=keep_largest,
        fill_holes=fill_holes,
    )
    files = _Files(source, output, None, uncertainty, report)
    run = _Run(Task.SEGMENT, files, series, modality, quiet)
    run(options, model, models, trust)


@dataclass(frozen=True)
class _Files:
    """What is read and written; None where nothing is."""

    source: Path
    output: Path
    removed: Path | None
    uncertainty: Path | None
    report: Path | None
    guide: Path | None = None


@dataclass(frozen=True)
class _Run:
    """One run, from the check of the names to the files written."""

    task: Task
    files: _Files
    series: str | None
    modality: str | None
    quiet: bool

    def __call__(
        self,
        options: Options,
        model: str,
        folders: list[Path] | None,
        trusted: list[str] | None,
        noise: NoiseLevel | None = None,
    ) -> None:
        self._check_outputs()
        choosing.check_modality(self.modality)
        catalog = choosing.open_catalog(folders, trusted)
        choosing.check_model(catalog, self.task, model)
        volume = self._read()
        guide = self._read_guide()
        guided = guide is not None
        chosen = choosing.choose_model(catalog, self.task, model, volume, self.quiet, guided)
        if noise is not None and noise.percent is not None:
            assert isinstance(options, DenoiseOptions)  # only denoising has a noise level
            options = replace(options, noise=noise.of(volume, chosen))
        _tell_unused(options, chosen)
        # What needs torch is loaded only now, so that mistakes above are told at once.
        from MedEnhanceLib.enhancement import enhance

        with shown_progress(self.quiet) as progress:
            result = enhance(
                volume,
                self.task,
                chosen.id,
                options,
                guide=guide,
                catalog=catalog,
                progress=progress,
            )
        write_all(self._contents(volume, result))
        self._tell(result)

    def _check_outputs(self) -> None:
        files = self.files
        check_distinct([files.output, files.removed, files.uncertainty, files.report])
        kinds = {files.output: SEGMENTATION if self.task is Task.SEGMENT else IMAGE}
        if files.removed:
            kinds[files.removed] = IMAGE
        if files.uncertainty:
            kinds[files.uncertainty] = IMAGE
        if files.report:
            kinds[files.report] = REPORT
        check_outputs(kinds, [path for path in (files.source, files.guide) if path is not None])

    def _read(self) -> Volume:
        from MedEnhanceLib.assessment import check_volume
        from MedEnhanceLib.io import read_volume

        volume = read_volume(self.files.source, self.series)
        check_volume(volume)
        return choosing.with_modality(volume, self.modality)

    def _read_guide(self) -> Volume | None:
        if self.files.guide is None:
            return None
        from MedEnhanceLib.io import read_volume

        return read_volume(self.files.guide)

    def _contents(self, volume: Volume, result: Result) -> dict[Path, Content]:
        files: dict[Path, Content] = {self.files.output: result.output}
        if self.files.removed:
            before = volume.voxels.astype(np.float32)
            files[self.files.removed] = volume.with_voxels(before - result.volume.voxels)
        if self.files.uncertainty and result.uncertainty is not None:
            files[self.files.uncertainty] = result.uncertainty
        if self.files.report:
            files[self.files.report] = report_content(self.files.report, volume, result)
        return files

    def _tell(self, result: Result) -> None:
        for warning in result.warnings:
            say(f"warning: {warning}")
        if self.quiet:
            return
        from MedEnhanceLib.report.content import use_of

        print_evidence(f"{self.files.output.name}: {use_of(result.provenance)}", result.evidence)
        if result.note:
            print(result.note)


def _tell_unused(options: Options, model: Model) -> None:
    """Warn when a filter is told what it does not go by."""
    if not isinstance(model, Filter):
        return
    usual = type(options)()
    names = ("device", "precision", "tile", "denoise", *(() if model.uses_noise else ("noise",)))
    told = [n for n in names if getattr(options, n, None) != getattr(usual, n, None)]
    if told:
        say(f"warning: '{model.id}' is a filter, which has no use for: {', '.join(told)}.")
