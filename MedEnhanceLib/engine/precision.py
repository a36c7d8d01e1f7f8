"""The number format a network is computed in: the fastest that gives the right answer here."""

from __future__ import annotations

import hashlib
import platform
import time
from pathlib import Path

import torch

from MedEnhanceLib.engine.memory import Call
from MedEnhanceLib.engine.remembered import recall, remember
from MedEnhanceLib.errors import InferenceError

NAMES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
SAFE = "float32"
LARGEST_ERROR = 0.02
"""Of a format's output, as a share of float32's largest value."""
LEAST_GAIN = 1.1
"""A format must be this much faster than float32 to be taken."""
REPEATS = 3
CPU_FACTS = Path("/proc/cpuinfo")


def choose_precision(
    name: str, run: Call, sample: torch.Tensor, device: torch.device, weights: str
) -> torch.dtype:
    """The precision called ``name``; for "auto" the fastest that is right on this machine.

    That is found out by a short self-check, once for each network, sample, device and version of
    torch.

    Args:
        run: what calls the network.
        sample: a small input (1, C, D, H, W) or (1, C, H, W) on the device.
        weights: hash of the network's weights.
    """
    if name != "auto":
        return NAMES[name]
    candidates = _candidates(device)
    if not candidates:
        return NAMES[SAFE]
    tried = hashlib.sha256(sample.cpu().numpy().tobytes()).hexdigest()
    key = f"precision: {_machine(device)}, torch {torch.__version__}, {weights} on {tried}"
    chosen = recall(key)
    if chosen not in (SAFE, *candidates):
        chosen = _fastest(run, sample, device, candidates)
        remember(key, chosen)
    return NAMES[chosen]


def precision_name(dtype: torch.dtype) -> str:
    """How a dtype is called in options and provenance."""
    return next(name for name, known in NAMES.items() if known is dtype)


def has_bfloat16(device: torch.device) -> bool:
    """Whether a CPU computes bfloat16 itself; emulated it is slower than float32."""
    asked = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "cpu" and asked is not None and bool(asked())


def _candidates(device: torch.device) -> tuple[str, ...]:
    if device.type == "cuda":
        return ("float16", "bfloat16")
    return ("bfloat16",) if has_bfloat16(device) else ()


def _machine(device: torch.device) -> str:
    """What computes: the GPU's product name, or the CPU's and how many threads are used."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_cpu_name()}, {torch.get_num_threads()} threads"


def _cpu_name() -> str:
    try:
        lines = CPU_FACTS.read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


@torch.inference_mode()
def _fastest(run: Call, sample: torch.Tensor, device: torch.device, names: tuple[str, ...]) -> str:
    exact, best = _pass(run, sample, device, SAFE)
    limit = LARGEST_ERROR * exact.abs().max().clamp_min(1e-6)
    best, chosen = best / LEAST_GAIN, SAFE
    for name in names:
        try:
            output, seconds = _pass(run, sample, device, name)
        except (RuntimeError, InferenceError):
            # What a device cannot compute at all is no candidate.
            continue
        # A comparison with NaN is false.
        if seconds < best and bool((output - exact).abs().max() <= limit):
            best, chosen = seconds, name
    return chosen


def _pass(
    run: Call, sample: torch.Tensor, device: torch.device, name: str
) -> tuple[torch.Tensor, float]:
    """The output, and the least time of a few passes after a first one."""
    least = float("inf")
    for number in range(1 + REPEATS):
        started = time.perf_counter()
        with torch.autocast(device.type, NAMES[name], enabled=name != SAFE):
            output = run(sample).float().cpu()
        if number:
            least = min(least, time.perf_counter() - started)
    return output, least
