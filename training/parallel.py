"""Training in several processes that ``torchrun`` starts, or in one without it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from MedEnhanceLib.errors import OptionsError


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this is, and on what device it computes."""

    device: torch.device
    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Only the first process validates, writes and speaks."""
        return self.rank == 0

    def rng(self, seed: int, step: int) -> np.random.Generator:
        """Chance of one step: another batch in each process, the first's as without others."""
        return np.random.default_rng([seed, step, self.rank] if self.rank else [seed, step])

    def wrapped(self, network: torch.nn.Module) -> torch.nn.Module:
        """The network, with gradients averaged over all processes when there are several."""
        if self.count == 1:
            return network
        # Stages that are kept as they are get no gradient, which has to be looked for.
        return DistributedDataParallel(network, find_unused_parameters=True)

    def first_says(self, value: float) -> float:
        """What the first process holds, told to all; the others wait for it."""
        if self.count == 1:
            return value
        told = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.broadcast(told, src=0)
        return float(told)


def check_device(device: str) -> None:
    """Raise `OptionsError` when nothing can be computed there."""
    try:
        torch.zeros(1, device=device)
    # PyTorch builds without CUDA say so by an AssertionError.
    except (RuntimeError, AssertionError) as error:
        raise OptionsError(
            f"PyTorch cannot compute on the device '{device}' here; choose another --device, "
            "such as cpu."
        ) from error


@contextmanager
def joined_processes(device: str) -> Iterator[Processes]:
    """Join the processes that ``torchrun`` started, each with a GPU of its own on ``cuda``."""
    count = int(os.environ.get("WORLD_SIZE", 1))
    if device == "cuda" and count > 1:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    check_device(device)
    if count == 1:
        yield Processes(torch.device(device))
        return
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield Processes(torch.device(device), distributed.get_rank(), count)
    finally:
        distributed.destroy_process_group()
