"""A network over a whole volume, in as few and as large pieces as memory allows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.engine.channels import Channel, clipped, read_box, shape_of
from MedEnhanceLib.engine.forward import SMALLEST_EDGE, Forward
from MedEnhanceLib.engine.memory import is_out_of_memory
from MedEnhanceLib.engine.patches import (
    COMFORTABLE_SHARE,
    blended_plan,
    in_patches_that_fit,
)
from MedEnhanceLib.engine.scores import (
    Doubt,
    Patches,
    Run,
    fill,
    likeliest,
    mirrored_probabilities,
    score_counts,
)
from MedEnhanceLib.engine.streamed import streamed
from MedEnhanceLib.mirrors import fair_mirrors
from MedEnhanceLib.tiles import (
    Box,
    Index,
    aligned_halo,
    exact_plan,
    gaussian_weight,
    padded_shape,
)

SMALLEST_BOX = 16**3
LITTLE_TWICE = 1.1
"""Voxels computed over voxels of the volume, with the boxes' margins."""
SLICES_AT_ONCE = 8


def regress(forward: Forward, channels: Sequence[Channel], tile: int | None) -> NDArray[np.float32]:
    """The network's one output for every voxel, (k, j, i) float32; as `regress_all` does it."""
    return regress_all(forward, channels, tile, 1)[0]


def regress_all(
    forward: Forward, channels: Sequence[Channel], tile: int | None, outputs: int
) -> NDArray[np.float32]:
    """The network's ``outputs`` for every voxel, (outputs, k, j, i) float32.

    A network with a bounded receptive field is given the volume slab by slab, or, where it has no
    way of doing so or a slab is too much, is tiled exactly: the result is that of one pass over
    the whole volume. Others are blended with Gaussian weights.

    Raises:
        InferenceError: when the network has more or fewer outputs.
    """
    shape = shape_of(channels)
    if forward.dimensions == 2:
        result = np.empty((outputs, *shape), np.float32)
        for slices, output in _slice_by_slice(forward, channels, shape, forward):
            result[:, slices] = forward.as_many(output, outputs).swapaxes(0, 1)
        return result
    if forward.bundle.halo is not None:
        if min(shape) >= SMALLEST_EDGE and forward.open_stream() is not None:
            whole = streamed(forward, channels, forward.bundle.halo, tile, outputs)
            if whole is not None:
                return whole
        return _exact(forward, channels, forward.bundle.halo, tile, outputs)
    return forward.as_many(_blended(forward, channels, shape, tile)[None], outputs)[0]


def scores(forward: Forward, channels: Sequence[Channel], outputs: int) -> NDArray[np.float32]:
    """The network's ``outputs`` for every voxel, (outputs, k, j, i); for volumes of few voxels."""
    found = _blended(forward, channels, shape_of(channels), None)
    return forward.as_many(found[None], outputs)[0]


def classify(forward: Forward, channels: Sequence[Channel], tile: int | None) -> NDArray[np.uint8]:
    """The likeliest class of every voxel, (k, j, i) uint8.

    Scores of all classes are held only for the slab of slices that is being worked on; of a network
    that needs the whole volume, for that.
    """
    shape = shape_of(channels)
    labels = np.zeros(shape, np.uint8)
    score = _scorer(forward)
    if forward.dimensions == 2:
        for slices, output in _slice_by_slice(forward, channels, shape, score):
            labels[slices] = likeliest(output.swapaxes(0, 1))
        return labels

    def label(edge: int | None) -> None:
        fill(labels, None, _blended_patches(forward, channels, shape, edge, score))

    in_patches_that_fit(forward, shape, tile, label)
    return labels


def classify_with_doubt(
    forward: Forward, channels: Sequence[Channel], tile: int | None, becomes: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The likeliest class of every voxel, and the probability that it is another.

    ``becomes`` says for each class which label it ends up as: classes of the same one cast no doubt
    on each other. Probabilities are the mean over mirror images of every patch, and are held, as
    in `classify`, only for the slab of slices that is being worked on.

    Returns:
        Classes (k, j, i) uint8, and the doubt, float32 from 0 to 1.
    """
    shape = shape_of(channels)
    mirrors = fair_mirrors(forward.bundle)
    labels, doubt = np.zeros(shape, np.uint8), Doubt(np.zeros(shape, np.float32), becomes)
    run = partial(mirrored_probabilities, _scorer(forward), mirrors)
    if forward.dimensions == 2:
        for slices, output in _slice_by_slice(forward, channels, shape, run):
            labels[slices] = likeliest(output.swapaxes(0, 1))
            doubt.write((slices,), labels[slices], output.swapaxes(0, 1))
        return labels, doubt.voxels

    def label(edge: int | None) -> None:
        fill(labels, doubt, _blended_patches(forward, channels, shape, edge, run, len(mirrors)))

    in_patches_that_fit(forward, shape, tile, label)
    return labels, doubt.voxels


def _scorer(forward: Forward) -> Run:
    """What scores a batch: the network, with as many outputs as its bundle's labels need."""
    counts = score_counts(forward.bundle)
    return lambda batch: forward.as_many(forward(batch), *counts)


def _exact(
    forward: Forward, channels: Sequence[Channel], halo: int, tile: int | None, outputs: int
) -> NDArray[np.float32]:
    shape = shape_of(channels)
    padded = padded_shape(shape, forward.multiple)
    margin = aligned_halo(halo, forward.multiple)
    most = (
        forward.most_voxels if tile is None else min(forward.most_voxels, (tile + 2 * margin) ** 3)
    )
    result = np.empty((outputs, *shape), np.float32)
    pending = _exact_boxes(padded, halo, forward.multiple, most)[::-1]
    forward.steps = len(pending)
    while pending:
        box = pending.pop()
        grown = box.grown(margin, padded)
        try:
            output = forward.as_many(forward(read_box(channels, grown)), outputs)
        except (RuntimeError, MemoryError) as error:
            pending.extend(_smaller(forward, box, error))
            forward.steps = forward.done + len(pending)
            continue
        inner = Box(box.start, clipped(box.stop, shape))
        there, here = (slice(None), *inner.slices), (0, slice(None), *inner.inside(grown).slices)
        result[there] = output[here]
    return result


def _exact_boxes(padded: Index, halo: int, multiple: int, most: int) -> list[Box]:
    """Boxes of comfortable size if little is computed twice that way, else the largest that fit."""
    margin = aligned_halo(halo, multiple)
    comfortable = exact_plan(padded, halo, multiple, int(most * COMFORTABLE_SHARE))
    computed = sum(box.grown(margin, padded).voxels for box in comfortable)
    if computed <= LITTLE_TWICE * math.prod(padded):
        return comfortable
    return exact_plan(padded, halo, multiple, most)


def _smaller(forward: Forward, box: Box, error: BaseException) -> list[Box]:
    """What to do instead of a box that did not fit: its halves, or the box itself on the CPU."""
    if not is_out_of_memory(error):
        raise error
    halves = box.halves(forward.multiple) if box.voxels > SMALLEST_BOX else None
    if halves is None:
        forward.fall_back_to_cpu()
        return [box]
    forward.note_smaller_pieces()
    return [halves[1], halves[0]]


def _blended_patches(
    forward: Forward,
    channels: Sequence[Channel],
    shape: Index,
    tile: int | None,
    run: Run,
    passes: int = 1,
) -> Patches:
    """Patches cut to the volume, with the network's output (outputs, k, j, i) and its weight.

    ``run`` is what is done with a patch, in so many passes of the network.
    """
    plan = blended_plan(forward, shape, tile)
    forward.steps = forward.done + len(plan) * passes
    patch = plan[0].shape
    weight = gaussian_weight(patch) if len(plan) > 1 else np.ones(patch, np.float32)
    for box in plan:
        output = run(read_box(channels, box))[0]
        inner = Box(box.start, clipped(box.stop, shape))
        k, j, i = inner.inside(box).slices
        yield inner, output[:, k, j, i], weight[k, j, i]


def _blended(
    forward: Forward, channels: Sequence[Channel], shape: Index, tile: int | None
) -> NDArray[np.float32]:
    """(outputs, k, j, i): overlapping patches, blended with Gaussian weights."""

    def blend(edge: int | None) -> NDArray[np.float32]:
        total: NDArray[np.float32] | None = None
        weights = np.zeros(shape, np.float32)
        for box, output, weight in _blended_patches(forward, channels, shape, edge, forward):
            if total is None:
                total = np.zeros((len(output), *shape), np.float32)
            k, j, i = box.slices
            total[:, k, j, i] += output * weight
            weights[box.slices] += weight
        assert total is not None  # a volume has at least one patch
        return total / weights

    return in_patches_that_fit(forward, shape, tile, blend)


def _slice_by_slice(
    forward: Forward, channels: Sequence[Channel], shape: Index, run: Run
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Some slices along k and what ``run`` gives for them, (B, outputs, j, i), until all are done.

    Each slice comes with its neighbours as channels (2.5D).
    """
    depth, rows, columns = shape
    at_once = max(1, min(SLICES_AT_ONCE, forward.most_voxels // (rows * columns)))
    first = 0
    forward.steps = -(-depth // at_once)
    while first < depth:
        stop = min(depth, first + at_once)
        slices = np.arange(first, stop)
        try:
            output = run(_slices_with_neighbours(channels, slices, forward.bundle.input.neighbours))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if at_once == 1:
                forward.fall_back_to_cpu()
            at_once = max(1, at_once // 2)
            forward.steps = forward.done + -(-(depth - first) // at_once)
            continue
        yield slice(first, stop), output
        first = stop


def _slices_with_neighbours(
    channels: Sequence[Channel], slices: NDArray[np.intp], neighbours: int
) -> NDArray[np.float32]:
    """(B, C * (2 neighbours + 1), j, i); at the ends the last slice is repeated."""
    depth, rows, columns = shape_of(channels)
    offsets = np.arange(-neighbours, neighbours + 1)
    chosen = np.clip(slices[:, None] + offsets[None], 0, depth - 1)
    planes: list[Any] = [
        channel[chosen]
        if isinstance(channel, np.ndarray)
        else np.full((*chosen.shape, rows, columns), channel, np.float32)
        for channel in channels
    ]
    return np.concatenate(planes, axis=1).astype(np.float32, copy=False)
