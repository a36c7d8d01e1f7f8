"""The number format a network is computed in."""

from __future__ import annotations

import torch

NAMES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
LARGEST_ERROR = 0.02


def choose_precision(
    name: str, network: torch.nn.Module, sample: torch.Tensor, device: torch.device
) -> torch.dtype:
    """The precision called ``name``; for "auto" half precision on a GPU where it is right.

    Args:
        sample: a small input (1, C, D, H, W) or (1, C, H, W) on the device. Half precision is
            taken when its output there differs from float32's by at most 2 % of the largest
            value, and stays finite.
    """
    if name != "auto":
        return NAMES[name]
    if device.type != "cuda":
        return torch.float32
    with torch.inference_mode():
        exact = network(sample).float()
        with torch.autocast(device.type, torch.float16):
            half = network(sample).float()
    error = (half - exact).abs().max() / exact.abs().max().clamp_min(1e-6)
    return torch.float16 if bool(error <= LARGEST_ERROR) else torch.float32


def precision_name(dtype: torch.dtype) -> str:
    """How a dtype is called in options and provenance."""
    return next(name for name, known in NAMES.items() if known is dtype)
