"""How much may be held at once, how much a network holds, and recognising when it was too much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from MedEnhanceLib.system_memory import available_bytes

MOST_ON_CPU = 3 << 30
"""More would hardly make a run faster, and others want to work on the computer too."""
CPU_SHARE = 0.5
"""Of what is free: the rest is for the volume itself, and for what the system needs."""
GPU_SHARE = 0.6
# Per voxel of a network that hides its layers: 64 channels in and out.
UNSEEN_BYTES = 2 * 64 * 4
FLOAT_BYTES = 4
OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    # What oneDNN, which computes convolutions on CPUs, says when it gets no memory.
    "could not create a primitive",
    "could not execute a primitive",
    "could not create a memory object",
)
HIDDEN = 1.6
"""Convolutions take memory that no tensor tells of, and the allocator keeps some back: the shipped
networks took 1.2 to 1.8 times what their tensors hold."""


def budget_bytes(device: torch.device) -> int:
    """Bytes that a pass may take on a device, by what is free there now."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free * GPU_SHARE)
    free_here = available_bytes()
    return MOST_ON_CPU if free_here is None else min(MOST_ON_CPU, int(free_here * CPU_SHARE))


Call = Callable[[torch.Tensor], torch.Tensor]
"""What a network makes of a batch."""


def bytes_per_voxel(network: torch.nn.Module, run: Call, sample: torch.Tensor) -> float:
    """Most bytes held at once per input voxel (or pixel), seen on a pass of ``sample`` (1, C, ...).

    ``run`` is what calls the network. The input counts twice, as it arrives and as it is laid out
    for the device, and so does the output. What was seen of a network is remembered as long as the
    network is.
    """
    if network not in _seen:
        _seen[network] = _bytes_seen(network, run, sample)
    return _seen[network]


_seen: WeakKeyDictionary[torch.nn.Module, float] = WeakKeyDictionary()


def _bytes_seen(network: torch.nn.Module, run: Call, sample: torch.Tensor) -> float:
    with torch.inference_mode(), _Held() as held:
        output = run(sample)
    voxels = sample[0, 0].numel()
    ends = FLOAT_BYTES * (2 * sample.shape[1] + output.shape[1])
    shows_layers = next(network.parameters(), None) is not None
    seen = held.most / voxels
    return ends + (HIDDEN * seen if shows_layers else max(seen, UNSEEN_BYTES))


class _Held(TorchDispatchMode):
    """Watches what operations make, and how many bytes of it are alive at the same time.

    Attributes:
        most: bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Torch would import its compiler, which takes seconds, only to keep it away from here.
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self._alive = {key: it for key, it in self._alive.items() if not it[0].expired()}
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                reference = StorageWeakRef(storage)
                self._alive[reference.cdata] = (reference, storage.nbytes())
        self.most = max(self.most, sum(size for _, size in self._alive.values()))
        return result


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch or numpy says that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and any(phrase in words for phrase in OUT_OF_MEMORY)
