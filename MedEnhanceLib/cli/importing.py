"""``medenhance import-model``: a model of one's own into the folder where models are looked for."""

from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.catalog import user_folder
from MedEnhanceLib.errors import FileError, OptionsError
from MedEnhanceLib.importing import NetworkForm, import_bundle, import_network
from MedEnhanceLib.importing.form import CHANNELS
from MedEnhanceLib.importing.networks import NETWORK_ENDINGS
from MedEnhanceLib.intensity import SCALINGS

NETWORK = "Only for a TorchScript or ONNX file"
OPTIONS = {"labels": "--label", "spacing_mm": "--spacing", "axis_order": "--axis-order"}
"""Of the fields of `NetworkForm` that are called otherwise here."""
FED = "; ".join(f"for {task}: {', '.join(names)}" for task, names in CHANNELS.items())


def import_model(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|FOLDER",
            help="A MONAI bundle (folder or .zip), or a network alone: TorchScript (.ts, .pt, "
            ".pth) or ONNX (.onnx).",
        ),
    ],
    into: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Keep it in this folder instead of your folder of models."
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a model of the same name there.")
    ] = False,
    title: Annotated[
        str | None, typer.Option(help="What lists call it.", rich_help_panel=NETWORK)
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="denoise, super-resolution or segment.", rich_help_panel=NETWORK),
    ] = None,
    modality: Annotated[
        str, typer.Option(help="MR or CT; any by default.", rich_help_panel=NETWORK)
    ] = "",
    description: Annotated[
        str, typer.Option(help="A sentence or two.", rich_help_panel=NETWORK)
    ] = "",
    normalisation: Annotated[
        str,
        typer.Option(
            help=f"How intensities are scaled: {', '.join(SCALINGS)}.", rich_help_panel=NETWORK
        ),
    ] = "zscore_nonzero",
    dimensions: Annotated[
        int,
        typer.Option(
            help="3 for volumes, 2 for one slice after the other.", rich_help_panel=NETWORK
        ),
    ] = 3,
    channels: Annotated[
        str,
        typer.Option(
            metavar="NAME,...",
            help=f"What its input channels hold, in their order; {FED}.",
            rich_help_panel=NETWORK,
        ),
    ] = "image",
    multiple: Annotated[
        int,
        typer.Option(
            metavar="VOXELS", help="Sizes must be multiples of this.", rich_help_panel=NETWORK
        ),
    ] = 1,
    patch: Annotated[
        tuple[int, int, int] | None,
        typer.Option(
            metavar="X Y Z",
            help="Patch it was trained on; 96 voxels along each axis by default.",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Of a segmentation: name of label 1; repeat it for 2, 3...",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    spacing: Annotated[
        tuple[float, float, float] | None,
        typer.Option(
            metavar="X Y Z", help="Of a segmentation: spacing in mm.", rich_help_panel=NETWORK
        ),
    ] = None,
    orientation: Annotated[
        str | None,
        typer.Option(
            metavar="RAS",
            help="Of a segmentation: where its axes grow to.",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    axis_order: Annotated[
        str,
        typer.Option(help="ijk if trained on MONAI's (C, i, j, k).", rich_help_panel=NETWORK),
    ] = "kji",
    licence: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Text of its licence.", rich_help_panel=NETWORK),
    ] = None,
) -> None:
    """Copy a model into your folder of models, so that `medenhance models` lists it.

    Nothing in it is executed. A model that would run code of its own runs only when you trust it
    with --trust.

    \b
    - `medenhance import-model spleen_ct_segmentation.zip`
    - `medenhance import-model net.onnx --title "My denoiser" --task denoise --modality MR`
    - `medenhance import-model net.ts --title Liver --task segment --modality CT --label Liver`
    """
    told: dict[str, Any] = {
        "title": title or "",
        "task": task or "",
        "modality": modality,
        "description": description,
        "normalisation": normalisation,
        "dimensions": dimensions,
        "channels": tuple(channels.replace(",", " ").split()),
        "multiple": multiple,
        "patch": patch,
        "labels": tuple(label or ()),
        "spacing_mm": spacing,
        "orientation": orientation,
        "axis_order": axis_order,
        "licence": "" if licence is None else _text(licence),
    }
    if source.suffix.lower() not in NETWORK_ENDINGS or source.is_dir():
        _check_nothing_told(source, told)
        _say(import_bundle(source, into, replace), into)
        return
    if not title or not task:
        raise OptionsError(f"A network alone, as in '{source.name}', needs --title and --task.")
    _say(import_network(source, NetworkForm(**told), into, replace), into)


def _check_nothing_told(bundle: Path, told: dict[str, Any]) -> None:
    """Raise `OptionsError` for what a bundle says itself, rather than pass over it in silence."""
    usual = {"title": "", "task": ""} | {
        f.name: f.default for f in fields(NetworkForm) if f.default is not MISSING
    }
    options = [OPTIONS.get(name, f"--{name}") for name in told if told[name] != usual[name]]
    if options:
        raise OptionsError(
            f"'{bundle.name}' is imported as a MONAI bundle, which tells all of that itself; "
            f"leave {' and '.join(options)} out."
        )


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise FileError(f"The licence '{file}' cannot be read as text ({error}).") from error


def _is_users(folder: Path) -> bool:
    try:
        return folder.resolve() == user_folder().resolve()
    except FileError:
        return False


def _say(bundle: Bundle, into: Path | None) -> None:
    print(f"Imported {bundle.id} ({bundle.title}, {bundle.task}) into {bundle.folder}.")
    if into is not None and not _is_users(into):
        print(f"It is found with --models {into}.")
    if bundle.foreign:
        print(f"It {bundle.foreign}; use it with --trust {bundle.id} if you trust its author.")
