"""Options that the evaluations share: what is compared, on what, and where the results go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from MedEnhanceLib.cli import choosing

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
Markdown = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.md", help="Write the table as Markdown.", rich_help_panel=choosing.FILES
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.json",
        help="Write the table and how it was measured as JSON.",
        rich_help_panel=choosing.FILES,
    ),
]
Peers = Annotated[
    bool,
    typer.Option(
        "--peers",
        help="Add the installed programs of others (DIPY, ANTs, BM4D; pip install "
        "medenhance[bench], where bm4d is for non-commercial use only). Or name them with "
        "--model: peer-dipy-nlmeans, peer-ants-denoise, peer-bm4d for denoising, peer-atropos for "
        "segmentation.",
        rich_help_panel=choosing.MODELS,
    ),
]
QuietReference = Annotated[
    str,
    typer.Option(
        help="averaging makes each scan quieter (and coarser) first, since its own noise caps what "
        "can be reached; thick slices are averaged within the slice only. none takes it as it is, "
        "as is right for phantoms."
    ),
]
Crop = Annotated[
    int | None,
    typer.Option(
        min=16, metavar="VOXELS", help="Only the middle, at most so many voxels along each axis."
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Of the noise; the same seed makes the same noise.")]
Repeats = Annotated[
    int,
    typer.Option(min=1, help="Runs of each method, taking turns; the least cost of each counts."),
]
