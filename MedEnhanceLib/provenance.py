"""How a result was made, so that it can be made again. Never who it was made of."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any

import numpy as np

from MedEnhanceLib import __version__
from MedEnhanceLib.model import Model
from MedEnhanceLib.options import Options
from MedEnhanceLib.volume import Volume

PACKAGES = ("numpy", "SimpleITK", "torch", "monai")


def provenance(
    volume: Volume, model: Model, options: Options, seconds: float, **engine: Any
) -> dict[str, Any]:
    """Plain JSON values. ``engine`` adds what only the run knows: device, precision, hash."""
    return {
        "software": f"MedEnhance {__version__}",
        "model": model.id,
        "model_version": model.version,
        "method": model.method,
        "options": options.to_json(),
        "seconds": round(seconds, 2),
        "input_sha256": voxel_hash(volume),
        "input_size": list(volume.geometry.size),
        "input_spacing_mm": list(volume.geometry.spacing),
        "libraries": dict(_versions()),
        "intended_use": "Research use only, not for diagnosis.",
        **engine,
    }


class Changer(Enum):
    """What has changed an image."""

    NETWORK = "network"
    FILTER = "filter"
    NONE = "none"


def changer_of(runs: Iterable[Mapping[str, Any]]) -> Changer:
    """What has changed an image in these runs, told by their provenance; one network suffices."""
    changing = [run for run in runs if not run.get("unchanged")]
    if not changing:
        return Changer.NONE
    is_by_network = any(run.get("weights_sha256") for run in changing)
    return Changer.NETWORK if is_by_network else Changer.FILTER


def voxel_hash(volume: Volume) -> str:
    """SHA-256 of the voxels' bytes in array order."""
    return hashlib.sha256(np.ascontiguousarray(volume.voxels).data).hexdigest()


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    """Looked up once: it takes 10 ms."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
