"""The program ``medenhance``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from MedEnhanceLib import __version__
from MedEnhanceLib.cli.benchmark import benchmark
from MedEnhanceLib.cli.check import check
from MedEnhanceLib.cli.demo import demo
from MedEnhanceLib.cli.enhancing import denoise, segment, super_resolution
from MedEnhanceLib.cli.evaluating import evaluate
from MedEnhanceLib.cli.failing import GuardedGroup
from MedEnhanceLib.cli.importing import import_model
from MedEnhanceLib.cli.models import models

app = typer.Typer(
    name="medenhance",
    cls=GuardedGroup,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"medenhance {__version__}", flush=True)
        raise typer.Exit


@app.callback()
def _everywhere(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback when something unexpected fails.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Denoise, refine and segment medical volumes, and measure how much it helped.

    \b
    - `medenhance demo`: see everything once, on sample volumes
    - `medenhance denoise head.nii.gz head_clean.nii.gz`
    - `medenhance super-resolution head.nii.gz head_fine.nii.gz --factor 1 1 2`
    - `medenhance segment hippocampus.nii.gz labels.seg.nrrd`
    - `medenhance models`: which models there are

    Volumes are NIfTI (.nii, .nii.gz), NRRD, MetaImage or folders of DICOM files. Axes are always in
    the order x y z of the volume. Inputs are never written over. The exit code is 0 when all went
    well, 1 when it did not (one sentence says why), 2 for a command that cannot be understood, 130
    after Ctrl-C.

    Research use only, not for diagnosis.
    """


app.command()(demo)
app.command()(models)
app.command()(import_model)
app.command()(denoise)
app.command()(super_resolution)
app.command()(segment)
app.add_typer(evaluate)
app.command()(benchmark)
app.command()(check)


def main() -> None:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        # Terminals of other encodings get a "?" for what they cannot show, not a crash.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    app()
