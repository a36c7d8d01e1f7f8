"""``medenhance models``: which models there are."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

import typer

from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.cli import choosing
from MedEnhanceLib.cli.outputs import json_text
from MedEnhanceLib.cli.tables import console, print_table
from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.model import Model

MOST_SINGLE_RESULTS = 16
"""Of a model that has no means over its scans."""
# What a measured result holds, and the titles of the columns.
MEASURED = {
    "condition": "condition",
    "subject": "scans",
    "metric": "measure",
    "value": "model's value",
    "comparator": "compared with",
    "comparator_value": "its value",
}
SECOND = {"second_comparator": "and with", "second_value": "its value"}
FACTS = tuple(f.name for f in fields(Model))


def models(
    model: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Tell all about this one.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Only those for denoise, super-resolution or segment.")
    ] = None,
    models: choosing.ModelFolders = None,
    trust: choosing.Trusted = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="What was measured, as the table of a README.")
    ] = False,
) -> None:
    """List the models: trained networks, and classical filters to compare them with.

    \b
    - `medenhance models`
    - `medenhance models mr-hippocampus-unet`: its labels, limits, training data and results
    - `medenhance models --task denoise --json`
    """
    if model and task:
        raise OptionsError(f"--task chooses from the list; leave it out to be told of '{model}'.")
    if as_json and markdown:
        raise OptionsError("Give either --json or --markdown, not both.")
    catalog = choosing.open_catalog(models, trust)
    found = (catalog.find(model),) if model else catalog.models(task)
    if as_json:
        facts = [_facts(entry) for entry in found]
        print(json_text(facts[0] if model else facts), end="")
    elif markdown:
        print("\n".join(_markdown([m for m in found if m.is_trained])))
    elif model:
        _print_one(found[0])
    else:
        _print_list(found)


def _print_list(found: tuple[Model, ...]) -> None:
    rows = [
        (m.id, m.task.value, m.title, m.method, _suits(m), "trained" if m.is_trained else "filter")
        for m in found
    ]
    print_table("Models", ("id", "task", "title", "method", "for", "kind"), rows, text_columns=6)


def _markdown(found: list[Model]) -> list[str]:
    told = [(model, row) for model in found for row in _telling(model)]
    titles = MEASURED
    if any("second_value" in row for _, row in told):
        titles = MEASURED | SECOND
    rows = [(f"`{m.id}`", *(_cell(row.get(key, "")) for key in titles)) for m, row in told]
    head = ("model", *titles.values())
    return [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]


def _telling(model: Model) -> list[dict[str, Any]]:
    """The results over all scans where there are such, else the first few."""
    means = [row for row in model.results if str(row.get("subject", "")).startswith("mean")]
    return means or list(model.results)[:MOST_SINGLE_RESULTS]


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _print_one(model: Model) -> None:
    out = console()
    head = f"{model.title} ({model.id}, version {model.version or '-'})"
    out.print(head, style="bold", markup=False)
    for line in (model.description, f"Task: {model.task}. Method: {model.method}. {_suits(model)}"):
        out.print(line, markup=False)
    _print_part("Labels", [f"{label.value} {label.name}" for label in model.labels])
    _print_part("Trained for", list(model.scope))
    _print_part("Limits", list(model.limits))
    _print_part("Training data", [_line(row) for row in model.training_data])
    _print_part("Measured", [_line(row) for row in model.results])


def _print_part(title: str, lines: list[str]) -> None:
    if not lines:
        return
    out = console()
    out.print(f"\n{title}", style="bold")
    for line in lines:
        out.print(f"  {line}", markup=False, highlight=False)


def _line(row: dict[str, Any]) -> str:
    return ", ".join(
        # A list of subjects fills screens; --json has it.
        f"{len(value)} {key}" if isinstance(value, list) else f"{key}: {value}"
        for key, value in row.items()
        if value not in (None, "", [])
    )


def _suits(model: Model) -> str:
    words = (model.modality, " ".join(model.contrasts), model.body_part)
    whole = " or whole volume" if isinstance(model, Bundle) and model.finder else ""
    return (" ".join(word for word in words if word) or "any") + whole


def _facts(model: Model) -> dict[str, Any]:
    facts = {name: getattr(model, name) for name in FACTS}
    facts["labels"] = [label.to_json() for label in model.labels]
    facts["scope"] = model.scope
    facts["trained"] = model.is_trained
    if isinstance(model, Bundle):
        facts |= {
            "folder": str(model.folder),
            "weights": model.weights.name,
            "sha256": model.sha256,
            "shipped": model.shipped,
            "trusted": bool(model.trusted),
            "runs_own_code": model.foreign,
        }
    return facts
