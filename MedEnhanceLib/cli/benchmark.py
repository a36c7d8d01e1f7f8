"""``medenhance benchmark``: how fast and how frugal the engine is on this machine."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated

import typer

from MedEnhanceLib.benchmark.rows import Row
from MedEnhanceLib.benchmark.suite import FAST_DENOISER, Plan, parts
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.catalog import Catalog
from MedEnhanceLib.cli import choosing
from MedEnhanceLib.cli.failing import say
from MedEnhanceLib.cli.outputs import json_text
from MedEnhanceLib.cli.tables import number_text, print_table
from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.task import Task
from MedEnhanceLib.tiles import Index

FULL_SHAPE, FULL_CUBE = (176, 256, 256), 256
QUICK_SHAPE, QUICK_CUBE = (64, 96, 96), 96
MONAI_BY_DEFAULT = {FAST_DENOISER, "mr-hippocampus-unet"}
"""Networks that MONAI takes a minute or two for, not ten."""
MARKS = {True: "yes", False: "NO", None: ""}


def benchmark(
    model: Annotated[
        list[str] | None,
        typer.Option(help="Only this trained model; may be given several times."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="XxYxZ",
            help="Size of the volumes, 256x256x176 by default; made multiples of 16, at least 32.",
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the least time counts.")] = 1,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small volumes: minutes less, but rougher.")
    ] = False,
    large: Annotated[
        bool,
        typer.Option(
            "--large", help="Also a CT of 512x512x600 voxels: ten minutes and 4 GB of memory more."
        ),
    ] = False,
    models: choosing.ModelFolders = None,
    trust: choosing.Trusted = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Measure speed and memory of the engine on this machine's CPU, and what half precision loses.

    What is compared runs in turn, and counts in core-seconds (processor time) and ratios, so that
    other work on the machine disturbs little; only the worker's rows are elapsed time. Volumes are
    phantoms that are made here.

    \b
    - `medenhance benchmark --quick`
    - `medenhance benchmark --model mr-denoise-residual --size 128x128x128 --json`
    - `medenhance benchmark --model ct-denoise-residual --large`
    """
    catalog = choosing.open_catalog(models, trust)
    plan = _plan(model, size, rounds, quick, catalog)
    if large:
        plan = replace(plan, large=_ct_denoiser(catalog, model or []))
    todo = parts(plan)
    minutes = f"; about {'3' if quick else '10 to 15'} minutes{' and 10 more' if large else ''}"
    is_all = model is None and size is None and rounds == 1
    say(f"{len(todo)} measurements{f'{minutes} on one core' if is_all else ''}.")
    rows: list[Row] = []
    started = time.monotonic()
    for number, part in enumerate(todo, 1):
        say(f"{number} of {len(todo)} ({time.monotonic() - started:.0f} s): {part.title}")
        for row in part.measure():
            # Told at once: who stops a benchmark early keeps what was measured.
            say(f"  {row.measure}, {row.case}: {number_text(row.value)} {row.unit}".rstrip())
            rows.append(row)
    if as_json:
        print(json_text({"rows": [row.to_json() for row in rows]}), end="")
        return
    cells = [
        (r.measure, r.case, r.note, number_text(r.value), r.unit, r.goal_text, MARKS[r.met])
        for r in rows
    ]
    header = ("measure", "case", "note", "value", "unit", "goal", "met")
    print_table("Speed and memory on this machine", header, cells, text_columns=3)


def _plan(
    model: list[str] | None, size: str | None, rounds: int, quick: bool, catalog: Catalog
) -> Plan:
    shape, cube = (QUICK_SHAPE, QUICK_CUBE) if quick else (FULL_SHAPE, FULL_CUBE)
    if size is not None:
        shape = _shape(size)
        cube = min(cube, max(shape))
    chosen = [catalog.find(name) for name in model] if model else catalog.models()
    bundles = tuple(m for m in chosen if isinstance(m, Bundle) and m.input.dimensions == 3)
    if model and len(bundles) < len(chosen):
        other = next(m.id for m in chosen if m not in bundles)
        raise OptionsError(
            f"'{other}' is no trained network of three dimensions, which is what is measured; name "
            "another."
        )
    denoisers = [m for m in bundles if m.id == FAST_DENOISER or (model and _is_plain_denoiser(m))]
    slow = frozenset() if model else frozenset(m.id for m in bundles) - MONAI_BY_DEFAULT
    return Plan(bundles, next(iter(denoisers), None), shape, cube, slow, rounds)


def _ct_denoiser(catalog: Catalog, names: list[str]) -> Bundle:
    """The first denoiser of CT, of those named if there is one among them."""
    found = [
        model
        for model in catalog.models(Task.DENOISE)
        if isinstance(model, Bundle) and model.modality == "CT"
    ]
    if not found:
        raise OptionsError("There is no trained denoiser of CT to measure; leave out --large.")
    return next((model for model in found if model.id in names), found[0])


def _is_plain_denoiser(bundle: Bundle) -> bool:
    return bundle.task is Task.DENOISE and bundle.modality != "CT"


def _shape(size: str) -> Index:
    """The array's shape (k, j, i), of multiples of 16 and at least 32."""
    try:
        i, j, k = (max(32, int(n) // 16 * 16) for n in size.lower().split("x"))
    except ValueError:
        raise OptionsError(
            f"The size '{size}' is not three numbers like 128x128x96; correct it."
        ) from None
    return (k, j, i)
