"""``medenhance denoise``, ``super-resolution`` and ``segment``: one volume in, a better one out."""

from __future__ import annotations

from dataclasses import replace
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
            "of its peak (3%); auto estimates it.",
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
    run = _Run(Task.DENOISE, source, output, removed, report, series, quiet, uncertainty, guide)
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
    quiet: choosing.Quiet = False,
) -> None:
    """Add resolution; by default the volume's finest spacing along every axis.

    \b
    - `medenhance super-resolution thick.nii.gz fine.nii.gz`
    - `medenhance super-resolution thick.nii.gz fine.nii.gz --factor 1 1 2`
    - `medenhance super-resolution thick.nii.gz fine.nii.gz --spacing 1 1 1`
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
    run = _Run(Task.SUPER_RESOLUTION, source, output, None, report, series, quiet, uncertainty)
    run(options, model, models, trust)


def segment(
    source: Input,
    output: Segmentation,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="1,2,...",
            help="Which structures, by value ('medenhance models ID' lists them); by default all.",
        ),
    ] = None,
    keep_largest: Annotated[
        bool,
        typer.Option(
            "--keep-largest/--no-keep-largest",
            help="Keep only the largest connected piece of each structure.",
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
    run = _Run(Task.SEGMENT, source, output, None, report, series, quiet, uncertainty)
    run(options, model, models, trust)


class _Run:
    """One run, from the check of the names to the files written."""

    def __init__(
        self,
        task: Task,
        source: Path,
        output: Path,
        removed: Path | None,
        report: Path | None,
        series: str | None,
        quiet: bool,
        uncertainty: Path | None,
        guide: Path | None = None,
    ) -> None:
        self.task, self.source, self.output = task, source, output
        self.removed, self.uncertainty, self.report = removed, uncertainty, report
        self.guide = guide
        self.series, self.quiet = series, quiet

    def __call__(
        self,
        options: Options,
        model: str,
        folders: list[Path] | None,
        trusted: list[str] | None,
        noise: NoiseLevel | None = None,
    ) -> None:
        self._check_outputs()
        catalog = choosing.open_catalog(folders, trusted)
        choosing.check_model(catalog, self.task, model)
        volume = self._read()
        guide = self._read_guide()
        if noise is not None and noise.percent is not None:
            assert isinstance(options, DenoiseOptions)  # only denoising has a noise level
            options = replace(options, noise=noise.of(volume.voxels))
        guided = guide is not None
        chosen = choosing.choose_model(catalog, self.task, model, volume, self.quiet, guided)
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
        write_all(self._files(volume, result))
        self._tell(result)

    def _check_outputs(self) -> None:
        check_distinct([self.output, self.removed, self.uncertainty, self.report])
        kinds = {self.output: SEGMENTATION if self.task is Task.SEGMENT else IMAGE}
        if self.removed:
            kinds[self.removed] = IMAGE
        if self.uncertainty:
            kinds[self.uncertainty] = IMAGE
        if self.report:
            kinds[self.report] = REPORT
        check_outputs(kinds, [path for path in (self.source, self.guide) if path is not None])

    def _read(self) -> Volume:
        from MedEnhanceLib.assessment import check_volume
        from MedEnhanceLib.io import read_volume

        volume = read_volume(self.source, self.series)
        check_volume(volume)
        return volume

    def _read_guide(self) -> Volume | None:
        if self.guide is None:
            return None
        from MedEnhanceLib.io import read_volume

        return read_volume(self.guide)

    def _files(self, volume: Volume, result: Result) -> dict[Path, Content]:
        files: dict[Path, Content] = {self.output: result.output}
        if self.removed:
            before = volume.voxels.astype(np.float32)
            files[self.removed] = volume.with_voxels(before - result.volume.voxels)
        if self.uncertainty and result.uncertainty is not None:
            files[self.uncertainty] = result.uncertainty
        if self.report:
            files[self.report] = report_content(self.report, volume, result)
        return files

    def _tell(self, result: Result) -> None:
        for warning in result.warnings:
            say(f"warning: {warning}")
        if self.quiet:
            return
        from MedEnhanceLib.report.content import use_of

        print_evidence(f"{self.output.name}: {use_of(result.provenance)}", result.evidence)
        if result.note:
            print(result.note)
