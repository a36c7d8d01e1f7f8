"""How a result was made, in words, and nothing of whom it was made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

HASH_LENGTH = 12
TITLES = {
    "software": "Software",
    "earlier_steps": "Earlier steps",
    "model": "Model",
    "model_version": "Version",
    "method": "Method",
    "weights_sha256": "Weights (SHA-256)",
    "options": "Options",
    "strength_after_blending": "Strength, changed afterwards",
    "device": "Device",
    "precision": "Precision",
    "seconds": "Seconds",
    "input_size": "Input, voxels",
    "input_spacing_mm": "Input, mm",
    "input_modality": "Input, modality",
    "libraries": "Libraries",
}
"""What may be told; all else in the provenance, such as hashes of the input, is left out."""


def facts_of(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value of each fact that is known, in the order of `TITLES`."""
    return [
        (title, _text(key, provenance[key]))
        for key, title in TITLES.items()
        if provenance.get(key) not in (None, "", {}, [])
    ]


def value_text(value: float | None, unit: str = "") -> str:
    """Four digits with the unit, such as "12.30 ml"; "" for None."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return "infinite" if value > 0 else "-"
    if abs(value) >= 10_000:
        text = f"{value:.0f}"
    else:
        text = f"{value:.3g}" if abs(value) < 1 else f"{value:.4g}"
    return f"{text} {unit}" if unit else text


def _text(key: str, value: Any) -> str:
    if key.endswith("sha256"):
        return str(value)[:HASH_LENGTH]
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(v)}" for name, v in value.items() if v is not None)
    if isinstance(value, (list, tuple)):
        return " x ".join(_plain(v) for v in value)
    return _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return " x ".join(_plain(v) for v in value)
    return str(value)
