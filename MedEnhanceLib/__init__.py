"""MedEnhance: denoising, super-resolution and segmentation of medical volumes.

    from MedEnhanceLib import enhance, read_volume, write_image
    result = enhance(read_volume("head.nii.gz"), "denoise")
    write_image(result.output, "head_denoised.nii.gz")

Importing this package is instant: torch, monai and SimpleITK are loaded when first needed.
Research use only; not for diagnosis.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Geometry": "geometry",
    "Volume": "volume",
    "Label": "volume",
    "LabelMap": "volume",
    "Task": "task",
    "DenoiseOptions": "options",
    "SuperResolutionOptions": "options",
    "SegmentOptions": "options",
    "options_from_json": "options",
    "Measure": "result",
    "Progress": "result",
    "Result": "result",
    "MedEnhanceError": "errors",
    "Model": "model",
    "Bundle": "bundle",
    "Catalog": "catalog",
    "Suitability": "assessment",
    "suitability": "assessment",
    "enhance": "enhancement",
    "NetworkForm": "importing",
    "import_bundle": "importing",
    "import_network": "importing",
    "read_volume": "io",
    "read_labelmap": "io",
    "write_image": "io",
}

__all__ = [*sorted(_HOMES), "__version__"]


def __getattr__(name: str) -> Any:
    """Load a public name's module on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'MedEnhanceLib' has no attribute '{name}'")
    return getattr(importlib.import_module(f"MedEnhanceLib.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
