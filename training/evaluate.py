"""Measure a published model on the validation subjects against classical methods.

``python -m training.evaluate --model ID --data FOLDER`` prints the table and leaves it in the
run's folder, where ``training.publish`` puts it into the bundle's card; single scans stand in
``scans.csv`` beside it. The models run as a user runs them, through ``MedEnhanceLib.enhance`` with
their noise level estimated blindly; filters that take a noise level are told the true one.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.catalog import Catalog
from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.model import COMPARATORS, Model
from MedEnhanceLib.task import Task
from training.failing import failing_in_a_sentence
from training.tables.brain_tissue import brain_tissue_rows
from training.tables.ct_denoising import ct_denoising_rows
from training.tables.denoising import denoising_rows
from training.tables.guided import guided_rows
from training.tables.hippocampus import hippocampus_rows
from training.tables.rows import Row
from training.tables.super_resolution import super_resolution_rows
from training.whole_files import written_whole

Table = Callable[[Path, str], Iterator[Row]]
SEGMENTATIONS: dict[str, Table] = {
    "mr-hippocampus-unet": hippocampus_rows,
    "mr-brain-tissue-unet": brain_tissue_rows,
}
"""Each has labels of its own, and references for them."""


@failing_in_a_sentence()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="id of a published model")
    parser.add_argument("--data", type=Path, required=True, help="the folder with the scans")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs are kept")
    args = parser.parse_args()
    model = Catalog.default().find(args.model)
    measure = table_of(model)
    scans = list(measure(args.data, args.model))
    rows = []
    for row in with_means(scans):
        row["command"] = f"python -m training.evaluate --model {args.model} --data FOLDER"
        rows.append(row)
        print(
            f"{row['subject']:32} {row['condition']:28} {row['metric']:24} {row['value']:7.3f}"
            + "".join(f"  {row[name]:32} {row[value]:7.3f}" for name, value in compared(row))
        )
    print("\n".join(spreads(scans)))
    folder = args.runs / args.model
    folder.mkdir(parents=True, exist_ok=True)
    keep_results(folder, rows, model.sha256 if isinstance(model, Bundle) else "")
    keep_scans(folder, scans)


def keep_results(run: Path, rows: list[Row], weights_sha256: str) -> None:
    """Leave a table for `training.publish`, with the hash of the weights that it is of."""
    results = {"weights_sha256": weights_sha256, "rows": rows}
    with written_whole(run / "results.json") as partial:
        partial.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def keep_scans(run: Path, rows: list[Row]) -> None:
    """Leave what was measured on single scans, which a long table tells the means of only."""
    columns = dict.fromkeys(key for row in rows for key in row)
    with (
        written_whole(run / "scans.csv") as partial,
        partial.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def spreads(rows: list[Row]) -> Iterator[str]:
    """How far the model is from each comparator on single scans, from the worst to the best."""
    for name, value in COMPARATORS:
        for alike in of_each_kind([row for row in rows if name in row]):
            apart = [row["value"] - row[value] for row in alike]
            yield (
                f"{alike[0]['condition']}, {alike[0]['metric']}: {min(apart):+.3f} to "
                f"{max(apart):+.3f} from {names(alike, name)} (n = {len(alike)})"
            )


def table_of(model: Model) -> Table:
    """How a model is measured.

    Raises:
        OptionsError: when it segments what there are no references for here.
    """
    if model.task is Task.SUPER_RESOLUTION:
        return super_resolution_rows
    if model.task is Task.DENOISE:
        if model.modality == "CT":
            return ct_denoising_rows
        return guided_rows if model.takes_guide else denoising_rows
    if model.id not in SEGMENTATIONS:
        raise OptionsError(
            f"There are no references here for what '{model.id}' labels; measure it on yours with "
            "medenhance evaluate segment."
        )
    return SEGMENTATIONS[model.id]


def compared(*alike: Row) -> list[tuple[str, str]]:
    """The keys of the comparators that every one of the rows has."""
    return [(name, value) for name, value in COMPARATORS if all(name in row for row in alike)]


def with_means(rows: list[Row]) -> list[Row]:
    """The rows, and after them the mean of each condition and metric over the scans."""
    means = []
    for alike in of_each_kind(rows):
        mean: Row = {
            "subject": f"mean of {len(alike)}",
            "condition": alike[0]["condition"],
            "metric": alike[0]["metric"],
            "value": mean_of(alike, "value"),
        }
        for name, value in compared(*alike):
            mean |= {name: names(alike, name), value: mean_of(alike, value)}
        means.append(mean)
    return means if len(rows) > 60 else [*rows, *means]


def of_each_kind(rows: list[Row]) -> Iterator[list[Row]]:
    """The rows of each condition and metric."""
    kinds = dict.fromkeys((row["condition"], row["metric"]) for row in rows)
    for kind in kinds:
        yield [row for row in rows if (row["condition"], row["metric"]) == kind]


def names(rows: list[Row], key: str) -> str:
    """What the rows were compared with, as it may differ from scan to scan."""
    return " / ".join(dict.fromkeys(row[key] for row in rows))


def mean_of(rows: list[Row], key: str) -> float:
    """Rounded as in the table."""
    return round(float(np.mean([row[key] for row in rows])), 3)


if __name__ == "__main__":
    main()
