"""A network over a whole volume slab by slab, for networks that compute nothing twice that way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from MedEnhanceLib.engine.channels import Channel, read_box, shape_of
from MedEnhanceLib.engine.forward import Forward
from MedEnhanceLib.engine.memory import is_out_of_memory
from MedEnhanceLib.tiles import Box, Index, aligned_halo, padded_shape

SLAB_VOXELS = {"cpu": 1 << 20, "cuda": 1 << 25}
"""About what a device works on at once: enough to be efficient, and cancelled within a second."""
FEWEST_SLICES = 8
LEAST_SLICES_HELD = 24
"""Thin slabs and what all layers keep of those before take the memory of about so many slices."""
ALIGNMENT = 4
"""Slabs hold a multiple of so many slices, which every network can halve twice."""


def streamed(
    forward: Forward, channels: Sequence[Channel], halo: int, tile: int | None, outputs: int
) -> NDArray[np.float32] | None:
    """The network's ``outputs`` for every voxel (outputs, k, j, i), as of one pass over all.

    When memory runs out, what is done is kept: the rest is begun ``halo`` slices earlier, in
    thinner slabs and at last on the CPU.

    Returns:
        None where memory does not even allow for thin slabs of whole slices.
    """
    shape = shape_of(channels)
    padded = padded_shape(shape, forward.multiple)
    if LEAST_SLICES_HELD * padded[1] * padded[2] > forward.most_voxels:
        return None
    margin = aligned_halo(halo, max(ALIGNMENT, forward.multiple))
    result = np.empty((outputs, *shape), np.float32)
    depth, done = _depth(forward, padded, tile), 0
    while done < shape[0]:
        position = max(0, done - margin) // margin * margin if margin else done
        try:
            for found in _outputs(forward, channels, padded, position, depth):
                output = forward.as_many(found, outputs)[0]
                slices = output.shape[1]
                ready = min(position + slices, shape[0])
                if ready > done:
                    new = slice(done - position, ready - position)
                    result[:, done:ready] = output[:, new, : shape[1], : shape[2]]
                    done = ready
                position += slices
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if depth <= ALIGNMENT and forward.device.type == "cpu":
                return None
            depth = _thinner(forward, depth)
    return result


def _outputs(
    forward: Forward, channels: Sequence[Channel], padded: Index, first: int, depth: int
) -> Iterator[NDArray[np.float32]]:
    """What the network makes of the slices from ``first`` on, (1, outputs, k, j, i) of a slab."""
    stream = forward.open_stream()
    assert stream is not None  # asked before
    starts = range(first, padded[0], depth)
    forward.steps = forward.done + len(starts)
    for start in starts:
        stop = min(start + depth, padded[0])
        box = Box((start, 0, 0), (stop, padded[1], padded[2]))
        output = forward.push(stream, read_box(channels, box), stop == padded[0])
        if output is not None:
            yield output


def _depth(forward: Forward, padded: Index, tile: int | None) -> int:
    """Slices in a slab."""
    plane = padded[1] * padded[2]
    most = min(forward.most_voxels, SLAB_VOXELS.get(forward.device.type, 1 << 20))
    if tile is not None:
        most = min(most, tile**3)
    # At least four slabs of any volume, for the progress to be seen.
    slices = min(most // plane, padded[0] // 4)
    return max(FEWEST_SLICES, slices // ALIGNMENT * ALIGNMENT)


def _thinner(forward: Forward, depth: int) -> int:
    """Half the slices, or where there are few of them the same on the CPU."""
    if depth <= ALIGNMENT:
        if forward.device.type == "cuda":
            torch.cuda.empty_cache()
        forward.fall_back_to_cpu()
        return depth
    forward.note_smaller_pieces()
    return max(ALIGNMENT, depth // 2 // ALIGNMENT * ALIGNMENT)
