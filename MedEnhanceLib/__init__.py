"""MedEnhance: denoising, super-resolution and segmentation of medical volumes.

    from MedEnhanceLib import enhance, read_volume, write_image
    result = enhance(read_volume("head.nii.gz"), "denoise")
    write_image(result.output, "head_denoised.nii.gz")

Importing this package is instant: torch, monai and SimpleITK are loaded when first needed.
Research use only; not for diagnosis.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from MedEnhanceLib.assessment import Suitability as Suitability
    from MedEnhanceLib.assessment import suitability as suitability
    from MedEnhanceLib.bundle import Bundle as Bundle
    from MedEnhanceLib.catalog import Catalog as Catalog
    from MedEnhanceLib.enhancement import enhance as enhance
    from MedEnhanceLib.errors import MedEnhanceError as MedEnhanceError
    from MedEnhanceLib.geometry import Geometry as Geometry
    from MedEnhanceLib.importing import NetworkForm as NetworkForm
    from MedEnhanceLib.importing import import_bundle as import_bundle
    from MedEnhanceLib.importing import import_network as import_network
    from MedEnhanceLib.io import read_labelmap as read_labelmap
    from MedEnhanceLib.io import read_volume as read_volume
    from MedEnhanceLib.io import write_image as write_image
    from MedEnhanceLib.model import Model as Model
    from MedEnhanceLib.options import DenoiseOptions as DenoiseOptions
    from MedEnhanceLib.options import SegmentOptions as SegmentOptions
    from MedEnhanceLib.options import SuperResolutionOptions as SuperResolutionOptions
    from MedEnhanceLib.options import options_from_json as options_from_json
    from MedEnhanceLib.result import Measure as Measure
    from MedEnhanceLib.result import Progress as Progress
    from MedEnhanceLib.result import Result as Result
    from MedEnhanceLib.task import Task as Task
    from MedEnhanceLib.volume import Label as Label
    from MedEnhanceLib.volume import LabelMap as LabelMap
    from MedEnhanceLib.volume import Volume as Volume

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


if not TYPE_CHECKING:  # else every name would be taken for a public one, of any type

    def __getattr__(name: str) -> Any:
        """Load a public name's module on first use."""
        if name not in _HOMES:
            raise AttributeError(f"module 'MedEnhanceLib' has no attribute '{name}'")
        return getattr(importlib.import_module(f"MedEnhanceLib.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
