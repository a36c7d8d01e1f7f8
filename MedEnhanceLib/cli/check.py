"""``medenhance check``: whether everything needed is here and works."""

from __future__ import annotations

import platform
from typing import Annotated, Any

import typer

from MedEnhanceLib import __version__
from MedEnhanceLib.catalog import Catalog
from MedEnhanceLib.cli import choosing
from MedEnhanceLib.cli.outputs import json_text
from MedEnhanceLib.cli.tables import console, print_table
from MedEnhanceLib.diagnosis import REQUIRED, diagnose

CLI_PACKAGES = {"typer": "0.15", "rich": "13", "pillow": "10.1"}


def check(
    models: choosing.ModelFolders = None,
    trust: choosing.Trusted = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Check packages, devices (by letting each compute) and models (by their hash).

    The exit code is 1 when something needed is missing or damaged.
    """
    choosing.check_folders(models)
    catalog = Catalog.default(models or (), trust or ())
    found = diagnose(catalog, {**REQUIRED, **CLI_PACKAGES})
    if as_json:
        print(json_text(found), end="")
    else:
        _print(found["packages"], found["devices"], found["models"], found["problems"])
    if not found["ok"]:
        raise typer.Exit(1)


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
