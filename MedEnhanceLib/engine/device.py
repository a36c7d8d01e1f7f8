"""Which device really computes, found out by letting it compute."""

from __future__ import annotations

import functools
from typing import Any

import torch

from MedEnhanceLib.errors import DeviceError

TOLERANCE = 1e-3
PREFERENCE = ("cuda", "mps", "cpu")


def choose_device(name: str) -> torch.device:
    """The device called ``name``, or for "auto" the fastest that passes a small test.

    Raises:
        DeviceError: when the device asked for does not compute.
    """
    candidates = PREFERENCE if name == "auto" else (name,)
    for candidate in candidates:
        if not (reason := why_unusable(candidate)):
            return torch.device(candidate)
    raise DeviceError(
        f"The device '{name}' cannot be used: {reason}. Choose --device cpu (in the panel: "
        "Settings and set-up > Compute on)."
    )


@functools.cache
def why_unusable(name: str) -> str:
    """Run a small 3D convolution; "" when the answer is right, else what went wrong."""
    try:
        device = torch.device(name)
        return _test_kernel(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _test_kernel(device: torch.device) -> str:
    image = torch.arange(2 * 6 * 6 * 6, dtype=torch.float32).reshape(1, 2, 6, 6, 6) % 7
    kernel = torch.arange(3 * 2 * 27, dtype=torch.float32).reshape(3, 2, 3, 3, 3) % 5
    expected = torch.nn.functional.conv3d(image, kernel, padding=1)
    found = torch.nn.functional.conv3d(image.to(device), kernel.to(device), padding=1).cpu()
    if torch.allclose(found, expected, rtol=TOLERANCE):
        return ""
    return "it computes a small test convolution wrongly"


def describe_devices() -> list[dict[str, Any]]:
    """For each kind of device: name, usable, reason, and the product's name where known."""
    return [
        {
            "name": name,
            "usable": not why_unusable(name),
            "reason": why_unusable(name),
            "product": _product(name),
        }
        for name in PREFERENCE
    ]


def _product(name: str) -> str:
    if name == "cuda" and torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return f"{torch.get_num_threads()} threads" if name == "cpu" else ""
