"""``medenhance check``: whether everything needed is here and works."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Annotated, Any

import typer

from MedEnhanceLib import __version__
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.catalog import Catalog
from MedEnhanceLib.cli import choosing
from MedEnhanceLib.cli.outputs import json_text
from MedEnhanceLib.cli.tables import console, print_table
from MedEnhanceLib.errors import MedEnhanceError

# As in pyproject.toml; written here too because inside Slicer there is no installed distribution.
REQUIRED = {
    "numpy": "1.26",
    "SimpleITK": "2.3",
    "torch": "2.4",
    "monai": "1.4",
    "safetensors": "0.4",
    "typer": "0.15",
    "rich": "13",
    "pillow": "10.1",
}


def check(
    models: choosing.ModelFolders = None,
    trust: choosing.Trusted = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Check packages, devices (by letting each compute) and models (by their hash).

    The exit code is 1 when something needed is missing or damaged.
    """
    packages = [_package(name, least) for name, least in REQUIRED.items()]
    devices = _devices()
    catalog = Catalog.default(models or (), trust or ())
    bundles = [_bundle(m) for m in catalog.models() if isinstance(m, Bundle)]
    problems = list(catalog.problems)
    if not as_json:
        _print(packages, devices, bundles, problems)
    else:
        found = {
            "medenhance": __version__,
            "python": platform.python_version(),
            "packages": packages,
            "devices": devices,
            "models": bundles,
            "problems": problems,
        }
        print(json_text(found), end="")
    parts = [*packages, *bundles]
    if problems or not all(part["ok"] for part in parts) or not any(d["usable"] for d in devices):
        raise typer.Exit(1)


def _package(name: str, least: str) -> dict[str, Any]:
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


def _devices() -> list[dict[str, Any]]:
    try:
        from MedEnhanceLib.engine.device import describe_devices
    except ImportError as error:
        return [
            {"name": "cpu", "usable": False, "reason": f"{error.name} is missing", "used": False}
        ]
    devices = describe_devices()
    first = next((d["name"] for d in devices if d["usable"]), "")
    return [{**device, "used": device["name"] == first} for device in devices]


def _bundle(bundle: Bundle) -> dict[str, Any]:
    row: dict[str, Any] = {"id": bundle.id, "task": bundle.task.value, "shipped": bundle.shipped}
    try:
        bundle.require_trust()
        bundle.verify_weights()
        if bundle.finder_model is not None:
            bundle.finder_model.verify_weights()
    except MedEnhanceError as error:
        return {**row, "ok": False, "state": str(error)}
    stated = "weights have the hash stated" if bundle.sha256 else "no hash stated"
    return {**row, "ok": True, "state": stated}


def _print(
    packages: list[dict[str, Any]],
    devices: list[dict[str, Any]],
    bundles: list[dict[str, Any]],
    problems: list[str],
) -> None:
    print_table(
        f"MedEnhance {__version__}, Python {platform.python_version()}: packages",
        ("package", "", "needed", "found"),
        [
            (p["name"], _mark(p["ok"]), f">= {p['needed']}", p["found"] or "missing")
            for p in packages
        ],
        text_columns=2,
    )
    print_table(
        "Devices, each tried with a small convolution",
        ("device", "", "state"),
        [(d["name"], _mark(d["usable"]), _device_state(d)) for d in devices],
        text_columns=3,
    )
    print_table(
        "Models",
        ("id", "", "task", "state"),
        [(b["id"], _mark(b["ok"]), b["task"], b["state"]) for b in bundles],
        text_columns=4,
    )
    for problem in problems:
        console().print(f"Problem: {problem}", markup=False)


def _device_state(device: dict[str, Any]) -> str:
    if not device["usable"]:
        return f"not usable: {device['reason']}"
    words = [device.get("product", ""), "taken by default" if device["used"] else ""]
    return ", ".join(word for word in words if word) or "works"


def _mark(ok: bool) -> str:
    return "ok" if ok else "NO"
