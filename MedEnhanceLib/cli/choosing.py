"""Options that several commands share: which model, which device, which files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.catalog import Catalog, bundle_folders
from MedEnhanceLib.cli.failing import say
from MedEnhanceLib.errors import FileError, OptionsError
from MedEnhanceLib.model import Model
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Volume

MODALITIES = ("MR", "CT")
MODELS = "Models"
COMPUTING = "Computing"
FILES = "Files"

ModelId = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="ID",
        help="Which model, as 'medenhance models' lists them; auto takes the one that suits the "
        "volume, and says which.",
        rich_help_panel=MODELS,
    ),
]
ModelFolders = Annotated[
    list[Path] | None,
    typer.Option(
        "--models",
        metavar="FOLDER",
        help="Look for further models (MONAI bundles) in this folder too; may be repeated.",
        rich_help_panel=MODELS,
    ),
]
Trusted = Annotated[
    list[str] | None,
    typer.Option(
        "--trust",
        metavar="ID",
        help="Allow this bundle, which did not come with MedEnhance, to run code of its own.",
        rich_help_panel=MODELS,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        help="auto, cpu, cuda, cuda:1 or mps; auto takes the fastest that really computes here.",
        rich_help_panel=COMPUTING,
    ),
]
Precision = Annotated[
    str,
    typer.Option(help="auto, float32, bfloat16 or float16.", rich_help_panel=COMPUTING),
]
Tile = Annotated[
    int | None,
    typer.Option(
        metavar="VOXELS",
        help="Largest tile edge; by default chosen by the memory there is.",
        rich_help_panel=COMPUTING,
    ),
]
Uncertainty = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write how unsure the network is, voxel by voxel; takes four times as long.",
        rich_help_panel=FILES,
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.json|.html|.pdf",
        help="Write the evidence and how the result was made; as HTML or PDF for people, with a "
        "picture.",
        rich_help_panel=FILES,
    ),
]
SeriesName = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBER|UID",
        help="Which series of a DICOM folder: its number, or the last four or more characters of "
        "its UID.",
        rich_help_panel=FILES,
    ),
]
Modality = Annotated[
    str | None,
    typer.Option(
        metavar="MR|CT",
        help="What the volume is, where its file does not say so, as NIfTI does not.",
        rich_help_panel=FILES,
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress bar and no table; warnings remain.")
]


def open_catalog(folders: list[Path] | None, trusted: list[str] | None) -> Catalog:
    """The models found; problems with any of them are said."""
    check_folders(folders)
    catalog = Catalog.default(folders or (), trusted or ())
    for problem in catalog.problems:
        say(f"warning: {problem}")
    for folder in folders or ():
        if not bundle_folders(folder):
            say(f"warning: the folder '{folder}' holds no models.")
    known = {n for m in catalog.entries if isinstance(m, Bundle) for n in (m.id, m.folder.name)}
    for name in trusted or ():
        if name not in known:
            say(f"warning: there is no model '{name}' that could be trusted; check its id.")
    return catalog


def check_folders(folders: list[Path] | None) -> None:
    """Raise `FileError` when a folder of models that the user names is not there."""
    for folder in folders or ():
        if not folder.is_dir():
            raise FileError(f"The folder of models '{folder}' does not exist; check the path.")


def check_modality(modality: str | None) -> None:
    """Raise `OptionsError` for a modality that is not known."""
    if modality not in (None, *MODALITIES):
        raise OptionsError(f"The modality '{modality}' is not known; give MR or CT.")


def with_modality(volume: Volume, modality: str | None) -> Volume:
    """The volume, being what the user says; what it says itself is not overruled."""
    if modality is None or volume.modality == modality:
        return volume
    if volume.modality:
        raise OptionsError(f"The volume says that it is {volume.modality}; leave --modality out.")
    return replace(volume, modality=modality)


def check_model(catalog: Catalog, task: Task, model: str) -> None:
    """Raise before any work when the model named is unknown or for another task."""
    if model == "auto":
        return
    found = catalog.find(model)
    if found.task is not task:
        raise OptionsError(f"The model '{model}' is for {found.task}, not for {task}.")


def choose_model(
    catalog: Catalog, task: Task, model: str, volume: Volume, quiet: bool, guided: bool = False
) -> Model:
    """The model to use, ``guided`` when a guide is given along; an automatic choice is said."""
    if model != "auto":
        return catalog.find(model)
    best = catalog.best(task, volume, guided)
    if not quiet:
        say(f"model {best.id} ({best.title}), chosen for this volume.")
    return best
