"""What this machine's convolutions reach at best."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass

import torch

from MedEnhanceLib.engine.precision import has_bfloat16

CHANNELS = (32, 64)
EDGE = 48
BATCHES = (1, 2)
REPEATS = 3
LAYOUTS = {"channels first": torch.contiguous_format, "channels last": torch.channels_last_3d}


@dataclass(frozen=True)
class Speed:
    """Of one way to compute a 3x3x3 convolution.

    Attributes:
        gflops: 10^9 floating-point operations a core-second, a multiply-add counting as two.
    """

    channels: int
    batch: int
    layout: str
    precision: str
    gflops: float

    @property
    def name(self) -> str:
        """All that was chosen, in words."""
        return f"{self.precision}, {self.layout}, {self.channels} channels, batch {self.batch}"


def conv_speeds() -> list[Speed]:
    """Measured on this machine's CPU, the fastest first; half precision where the CPU has it."""
    kinds = {"float32": torch.float32}
    if has_bfloat16(torch.device("cpu")):
        kinds["bfloat16"] = torch.bfloat16
    speeds = [
        Speed(channels, batch, layout, name, _gflops(channels, batch, LAYOUTS[layout], kind))
        for channels, batch, layout, (name, kind) in itertools.product(
            CHANNELS, BATCHES, LAYOUTS, kinds.items()
        )
    ]
    return sorted(speeds, key=lambda speed: -speed.gflops)


def _gflops(channels: int, batch: int, layout: torch.memory_format, kind: torch.dtype) -> float:
    layer = torch.nn.Conv3d(channels, channels, 3, padding=1).to(kind)
    layer = layer.to(memory_format=layout)  # type: ignore[call-overload]
    image = torch.rand(batch, channels, EDGE, EDGE, EDGE).to(kind)
    image = image.contiguous(memory_format=layout)
    operations = 2 * 27 * channels**2 * batch * EDGE**3
    best = float("inf")
    with torch.inference_mode():
        layer(image)
        for _ in range(REPEATS):
            started = time.process_time()
            layer(image)
            best = min(best, time.process_time() - started)
    return operations / best / 1e9
