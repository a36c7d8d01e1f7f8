"""Sizes that a stranger's bundle promises, checked before memory is spent on them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

# Weights may be stored in half of float32's bytes, or in a quarter.
LARGEST_GROWTH = 4
SLACK_BYTES = 1 << 20
MOST_LAYERS = 5_000


class TooLargeError(ValueError):
    """A network or a file is far larger than it can honestly be."""


def check_network_size(build: Callable[[], Any], weights: Path) -> None:
    """Raise `TooLargeError` when a network has more parameters than its file of weights can hold.

    The network is built on torch's "meta" device, on which tensors have sizes but no values, and
    only as far as the sizes are believable.
    """
    most = LARGEST_GROWTH * weights.stat().st_size + SLACK_BYTES
    with _counted(most), torch.device("meta"):
        build()


@contextmanager
def _counted(most_bytes: int) -> Iterator[None]:
    layers = held = 0

    def add_layer(*_: Any) -> None:
        nonlocal layers
        layers += 1
        if layers > MOST_LAYERS:
            raise TooLargeError(f"it has more than {MOST_LAYERS:,} layers")

    def add_parameter(_module: torch.nn.Module, _name: str, parameter: Any) -> None:
        nonlocal held
        held += 0 if parameter is None else parameter.numel() * parameter.element_size()
        if held > most_bytes:
            raise TooLargeError(
                f"its layers need more than {most_bytes / 1e6:.3g} MB, which is more than its file "
                "of weights holds"
            )

    hooks = [
        register_module_module_registration_hook(add_layer),
        register_module_parameter_registration_hook(add_parameter),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def check_stored(weights: Path) -> None:
    """Raise `TooLargeError` when a file written by torch.save would unpack to more than it is.

    Such a file is a zip archive of which torch never compresses anything, but reads it if it is.
    """
    if not zipfile.is_zipfile(weights):
        return
    with zipfile.ZipFile(weights) as packed:
        for info in packed.infolist():
            if info.compress_type != zipfile.ZIP_STORED:
                raise TooLargeError("it is compressed, which torch never does")
