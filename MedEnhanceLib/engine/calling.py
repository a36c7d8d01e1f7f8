"""Calls a network, whoever made it: what it gives is an image, or a sentence says why not."""

from __future__ import annotations

from typing import Any

import torch

from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.engine.memory import is_out_of_memory
from MedEnhanceLib.errors import InferenceError, MedEnhanceError
from MedEnhanceLib.task import Task
from MedEnhanceLib.texts import printable


def called(bundle: Bundle, network: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
    """The network's output (B, outputs, ...) for a batch (B, C, ...), the first of several.

    Raises:
        InferenceError: when the network fails, or gives something else than an image of the same
            size. When memory runs out, torch's or numpy's own error passes.
    """
    try:
        output: Any = network(batch)
    except MedEnhanceError:
        raise
    except Exception as error:  # a network of strangers may fail in any way
        if is_out_of_memory(error):
            raise
        raise InferenceError(
            f"The network of '{bundle.id}' failed on an input of size "
            f"{' x '.join(str(n) for n in batch.shape)} ({last_line(error)}); check channels, "
            "dimensions, multiple and patch in its configs/metadata.json."
        ) from error
    if isinstance(output, list | tuple) and output:
        output = output[0]
    if not isinstance(output, torch.Tensor):
        raise InferenceError(
            f"The network of '{bundle.id}' gives a {type(output).__name__}, not an image; export "
            "it so that it gives one tensor."
        )
    _check_size(bundle, batch, output)
    # Whole numbers and truth values may say which label is right, but are no intensities.
    if output.is_complex() or not (output.is_floating_point() or bundle.task is Task.SEGMENT):
        raise InferenceError(
            f"The network of '{bundle.id}' gives numbers of the type {output.dtype}, not real "
            "ones; export it so that it gives floating-point numbers."
        )
    return output


def _check_size(bundle: Bundle, batch: torch.Tensor, output: torch.Tensor) -> None:
    same = output.ndim == batch.ndim and output.shape[2:] == batch.shape[2:]
    if not same or len(output) != len(batch):
        raise InferenceError(
            f"The network of '{bundle.id}' turned {tuple(batch.shape)} into {tuple(output.shape)} "
            "(batch, channels, voxels); MedEnhance can only use networks that keep the size."
        )


def last_line(error: BaseException) -> str:
    """What went wrong: scripts give a traceback first, onnxruntime one line and then details."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return printable(lines[0] if "ONNXRuntimeError" in lines[0] else lines[-1])[:200]
