"""The bundle of a model that was adapted to somebody's own scans."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from MedEnhanceLib.bundle import INFERENCE, METADATA, Bundle
from MedEnhanceLib.importing.placing import place, staging
from training.publish import publish, write_json
from training.recipe import Config
from training.whole_files import told_when_unwritten

LICENCE = "LICENSE"
OWN_SCANS = "the user's own scans"


def publish_adapted(
    config: Config, model: Bundle, run: Path, models: Path, losses: tuple[float, float]
) -> Path:
    """Write the bundle: the old one's facts, and what it was adapted to, by which method.

    Raises:
        BundleError: when its name is taken.
        FileError: when it cannot be written; nothing of it is left then.
    """
    metadata = json.loads((model.folder / METADATA).read_text("utf-8"))
    method = config["method"]
    before, after = losses
    result = {
        "subject": "held-out slabs of the user's own scans",
        "condition": method,
        "metric": "self-supervised loss (squares of sigma, lower is better)",
        "value": round(after, 4),
        "comparator": f"{model.id} before adapting",
        "comparator_value": round(before, 4),
        "command": config["command"],
    }
    described = config | {"bundle": adapted_facts(metadata, model, method)}
    named = f"The model '{config['id']}'"
    with staging(models) as stage, told_when_unwritten(named):
        folder = publish(described, run, stage, [result])
        # Without MONAI's workflow, whose expressions are code, the library needs nobody's trust.
        write_json(folder / INFERENCE, {"network_def": model.network})
        # Its licence is that of the model it was made from, whether that is told or not.
        (folder / LICENCE).unlink()
        if (model.folder / LICENCE).is_file():
            shutil.copyfile(model.folder / LICENCE, folder / LICENCE)
        return place(folder, replace=False).folder


def adapted_facts(metadata: dict[str, Any], model: Bundle, method: str) -> dict[str, Any]:
    """The part ``bundle`` of a configuration, made of the facts of the model that was adapted."""
    given = metadata.get("medenhance", {}).get("input", {})
    named = {"channels": list(model.input.channels), "multiple": model.input.multiple}
    rights = {key: metadata[key] for key in ("authors", "copyright") if key in metadata}
    own = {
        "name": OWN_SCANS,
        "source": OWN_SCANS,
        "licence": "the user's own",
        "subjects": ["not named"],
    }
    return rights | {
        "task": model.task.value,
        "method": model.method,
        "modality": model.modality,
        "contrasts": list(model.contrasts),
        "body_part": model.body_part,
        "input": named | given,
        "patch": model.patch,
        "ranges": model.ranges,
        "version": model.version,
        "title": f"{model.title}, adapted",
        "description": f"{model.description} Adapted to the scans of one scanner, without clean "
        f"images, by {method}.",
        "training": [*model.training_data, own],
        "adapted_from": {"id": model.id, "version": model.version, "sha256": model.sha256},
        "workflow": "denoise",
        "licence": "Apache-2.0",
        "limits": [
            "Adapted to the scans of one scanner; what it does to others was not measured.",
            "That its self-supervised loss fell is no proof of less error: two tests with white "
            "noise, which the shipped models know, lost 0.1 and 0.15 dB.",
            "Learned from noisy scans only: artefacts that they share are not taken away.",
            *model.limits,
        ],
    }
