"""The model card (docs/README.md) and the licence of a bundle."""

from __future__ import annotations

from typing import Any

from training.data import head_of

APACHE = """\
The weights and files of this bundle are licensed under the Apache License, Version 2.0 (the
"License"); you may not use them except in compliance with the License. You may obtain a copy at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, they are distributed on an "AS IS"
BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License
for the specific language governing permissions and limitations.

Copyright (c) MedEnhance contributors

For research only; not a medical device.
"""
SHARE_ALIKE = """\
These weights were trained on Task04_Hippocampus of the Medical Segmentation Decathlon
(http://medicaldecathlon.com; A. L. Simpson et al., arXiv:1902.09063; M. Antonelli et al., Nature
Communications 13, 4128, 2022; images and labels of Vanderbilt University Medical Center), which
is licensed under Creative Commons Attribution-ShareAlike 4.0 International (CC BY-SA 4.0).
The weights and files of this bundle are given under the same licence:

    https://creativecommons.org/licenses/by-sa/4.0/

Copyright (c) MedEnhance contributors

For research only; not a medical device. Provided "AS IS", without warranty of any kind.
"""
FIRST_MADE = {
    "BM4D": "python -m training.tables.fill_bm4d --data FOLDER",
    "HD-BET": "python -m training.brain_scans --data FOLDER",
}
"""What makes the comparators that are too slow to be run with the table."""
LICENCES = {"Apache-2.0": APACHE, "CC-BY-SA-4.0": SHARE_ALIKE}
Json = dict[str, Any]


def card(metadata: Json, curve: list[dict[str, str]], command: str, note: str = "") -> str:
    """The card as Markdown: what it is, data, results, limits, how it was trained."""
    facts = metadata["medenhance"]
    parts = [
        f"# {facts['title']}\n\n{metadata['description']}\n\nResearch use only.",
        f"| id | version | task | modality | body part |\n| --- | --- | --- | --- | --- |\n"
        f"| `{facts['id']}` | {metadata['version']} | {facts['task']} | {_modality(facts)} "
        f"| {facts['body_part']} |",
        "## Trained for\n\n" + _ranges(facts["ranges"]) + _whole(facts.get("finder")),
        "## Training data\n\n" + _training_data(facts["training_data"]),
        f"## Measured on {_measured_on(facts)}\n\n" + results_table(facts["results"]),
        "## Limits\n\n" + "\n".join(f"* {limit}" for limit in facts["limits"]),
        "## How it was trained\n\n" + _training(command, curve, note),
    ]
    return "\n\n".join(parts) + "\n"


def _modality(facts: Json) -> str:
    contrasts = ", ".join(facts["contrasts"])
    return f"{facts['modality']} ({contrasts})" if contrasts else str(facts["modality"])


def _ranges(ranges: Json) -> str:
    names = {
        "spacing_mm": "voxel spacing in mm",
        "noise_percent": "noise in per cent of the peak",
        "noise_hu": "noise in soft tissue in HU",
        "factor": "refinement along the slice axis",
        "extent_mm": "field of view along each axis in mm",
        "labelled_ml": "volume of all labels together in ml, else there is a warning",
    }
    return "\n".join(f"* {names[key]}: {low:g} to {high:g}" for key, (low, high) in ranges.items())


def _whole(finder: Json | None) -> str:
    if finder is None:
        return ""
    least, most = finder["extent_mm"]
    return (
        f"\n* or a whole volume of {least:g} to {most:g} mm along each axis, in which a second "
        f"network (`{finder['weights']}`) finds the "
        + " and the ".join(region["title"] for region in finder["regions"])
    )


def _training_data(sets: list[Json]) -> str:
    rows = [
        f"| {s['name']} | {s['source']} | {s['licence']} | {counted_subjects(s['subjects'])} |"
        for s in sets
    ]
    return "\n".join(["| data | source | licence | subjects |", "| --- | --- | --- | --- |", *rows])


def counted_subjects(subjects: list[str]) -> str:
    if len(subjects) <= 5:
        return ", ".join(subjects)
    if subjects[0].startswith("hippocampus_"):
        return f"{len(subjects)} crops of {len({head_of(crop) for crop in subjects})} heads"
    return f"{len(subjects)} subjects"


def _measured_on(facts: Json) -> str:
    """What was held out: of a model that was adapted to single scans, only a part of each."""
    if "adapted_from" in facts:
        return "parts of the scans that were not trained on"
    return "subjects that were not trained on"


def results_table(results: list[Json]) -> str:
    if not results:
        return "Not measured yet."
    keys = ["subject", "condition", "metric", "value", "comparator", "comparator_value"]
    titles = ["scans", "condition", "metric", "this model", "comparator", "comparator's"]
    if any("second_value" in r for r in results):
        keys += ["second_comparator", "second_value"]
        titles += ["and", "its"]
    lines = [titles, ["---"] * len(titles)]
    lines += [[_cell(r, key) for key in keys] for r in results]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    commands = [*_first_made(results), *sorted({r["command"] for r in results})]
    shown = "\n".join(f"    {command}" for command in commands)
    return f"{table}\n\nReproduced by:\n\n{shown}"


def _first_made(results: list[Json]) -> list[str]:
    """What has to run before the table is measured, so that it has all of its rows and columns."""
    named = {r[key] for r in results for key in ("condition", "second_comparator") if key in r}
    return [command for word, command in FIRST_MADE.items() if any(word in name for name in named)]


def _cell(result: Json, key: str) -> str:
    value = result.get(key, "")
    return value if isinstance(value, str) else f"{value:g}"


def _training(command: str, curve: list[dict[str, str]], note: str) -> str:
    """How it was trained; a note where the weights are not those of the curve's best score."""
    text = f"`{command}`"
    if not curve:
        return text
    last, marked = curve[-1], "best score" if note else "weights that were published"
    return (
        f"{text}\n\n{last['step']} steps in {float(last['minutes']):.0f} minutes on shared CPU "
        f"cores (`curve.csv`; the upright line marks the {marked}). {note}".rstrip()
        + "\n\n"
        "![Curves of training and validation](curve.png)"
    )
