"""How much may be held at once, and recognising when it was too much."""

from __future__ import annotations

from typing import Any

import torch

CPU_BUDGET_BYTES = 3 << 30
GPU_SHARE = 0.6
# Held at the widest layer: its input and output (counted), and as much again for a skip
# connection or the convolution's work area.
WORK_AREA = 2.0
# Per voxel of a network that hides its layers: 64 channels in and out.
UNSEEN_BYTES = 2 * 64 * 4


def budget_bytes(device: torch.device) -> int:
    """Bytes that activations may take on a device."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free * GPU_SHARE)
    return CPU_BUDGET_BYTES


def bytes_per_voxel(network: torch.nn.Module, sample: torch.Tensor) -> float:
    """Bytes of activations per input voxel (or pixel), seen on a pass of ``sample`` (1, C, ...)."""
    largest = 0

    def watch(_module: torch.nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal largest
        tensors = [t for t in (*inputs, output) if isinstance(t, torch.Tensor)]
        largest = max(largest, sum(t.numel() * t.element_size() for t in tensors))

    hooks = [m.register_forward_hook(watch) for m in network.modules() if not list(m.children())]
    try:
        with torch.inference_mode():
            network(sample)
    finally:
        for hook in hooks:
            hook.remove()
    seen = largest / sample[0, 0].numel()
    shows_layers = next(network.parameters(), None) is not None
    return WORK_AREA * (seen if shows_layers else max(seen, UNSEEN_BYTES))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch or numpy says that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in words or "can't allocate memory" in words or "not enough memory" in words
    )
