"""Whether everything needed is here and works: packages, devices, models.

``python -m MedEnhanceLib.diagnosis`` prints it as JSON; Slicer asks that of its PythonSlicer, since
trying the devices takes seconds and loads torch.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from typing import Any

from MedEnhanceLib import __version__
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.catalog import Catalog
from MedEnhanceLib.errors import MedEnhanceError

# As in pyproject.toml; written here too because inside Slicer there is no installed distribution.
REQUIRED = {
    "numpy": "1.26",
    "SimpleITK": "2.3",
    "torch": "2.4",
    "monai": "1.4",
    "safetensors": "0.4",
}


def diagnose(catalog: Catalog, required: Mapping[str, str] = REQUIRED) -> dict[str, Any]:
    """What was found, as plain JSON values, and under "ok" whether all of it is well.

    Args:
        catalog: models whose weights are compared with their hashes.
        required: least version of each package.
    """
    packages = [package_state(name, least) for name, least in required.items()]
    devices = device_states()
    models = [bundle_state(m) for m in catalog.models() if isinstance(m, Bundle)]
    problems = list(catalog.problems)
    is_well = all(part["ok"] for part in (*packages, *models)) and not problems
    return {
        "medenhance": __version__,
        "python": platform.python_version(),
        "packages": packages,
        "devices": devices,
        "models": models,
        "problems": problems,
        "ok": is_well and any(device["usable"] for device in devices),
    }


def package_state(name: str, least: str) -> dict[str, Any]:
    """Whether a package is there and new enough."""
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return {"name": name, "needed": least, "found": None, "ok": False}
    return {"name": name, "needed": least, "found": found, "ok": _order(found) >= _order(least)}


def _order(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, to compare by."""
    numbers = []
    for part in version.split("+")[0].split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


def device_states() -> list[dict[str, Any]]:
    """Each kind of device: whether it computes, else why not, and whether it is taken."""
    try:
        from MedEnhanceLib.engine.device import describe_devices
    except (ImportError, OSError) as error:  # a library that torch loads may be broken
        name = getattr(error, "name", None)
        reason = f"{name} is missing" if name else f"torch cannot be loaded ({error})"
        return [{"name": "cpu", "usable": False, "reason": reason, "used": False}]
    devices = describe_devices()
    first = next((d["name"] for d in devices if d["usable"]), "")
    return [{**device, "used": device["name"] == first} for device in devices]


def bundle_state(bundle: Bundle) -> dict[str, Any]:
    """Whether a model is whole, and what is to be agreed to before it may run."""
    row: dict[str, Any] = {"id": bundle.id, "task": bundle.task.value, "shipped": bundle.shipped}
    try:
        bundle.verify()
    except MedEnhanceError as error:
        return {**row, "ok": False, "state": str(error)}
    stated = "weights have the hash stated" if bundle.sha256 else "no hash stated"
    try:
        bundle.require_trust()
    except MedEnhanceError as error:
        stated = f"{stated}; {error}"
    return {**row, "ok": True, "state": stated}


def main() -> None:
    """Print the diagnosis as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--models", action="append", default=[], help="folder of further models")
    parser.add_argument("--trust", action="append", default=[], help="id of a bundle that may run")
    chosen = parser.parse_args()
    print(json.dumps(diagnose(Catalog.default(chosen.models, chosen.trust))))


if __name__ == "__main__":
    main()
