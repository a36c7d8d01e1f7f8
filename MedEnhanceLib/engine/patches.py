"""Patches for networks that are blended: as few and as large as memory and the network allow."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from MedEnhanceLib.engine.forward import Forward
from MedEnhanceLib.engine.memory import is_out_of_memory
from MedEnhanceLib.tiles import Box, Index, largest_patch, overlapping_plan, padded_shape, whole

Made = TypeVar("Made")

OVERLAP = 0.25
"""Share of the patch that a network was trained on in which neighbouring patches are blended."""
USUAL_EDGE = 96
LEAST_EDGE = 16
COMFORTABLE_SHARE = 0.4
"""Of the voxels that fit in memory: larger patches save hardly any more."""
LOCAL = (
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.AvgPool2d,
    nn.AvgPool3d,
    nn.ReLU,
    nn.PReLU,
    nn.LeakyReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Dropout,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.Upsample,
    nn.Identity,
)


def blended_plan(forward: Forward, shape: Index, tile: int | None) -> list[Box]:
    """Boxes of one size that cover the padded volume (k, j, i), in order of k.

    A network whose layers look at their surroundings only gives for a large patch what it gives
    for small ones, without their rims; its patches are as large as is comfortable. One that
    looks at the whole patch, as normalisation over instances does, gets the size it was trained
    on, and so does a network when ``tile``, the largest edge of a patch, is given. One that says
    that it ``needs_whole_volume`` gets that.
    """
    padded = padded_shape(shape, forward.multiple)
    if forward.needs_whole_volume:
        return [whole(padded)]
    usual = _usual_patch(forward, padded, tile)
    overlap = _share(usual, OVERLAP)
    if tile is None and is_local(forward.network):
        most = int(forward.most_voxels * COMFORTABLE_SHARE)
        patch = largest_patch(padded, usual, overlap, forward.multiple, most)
    else:
        patch = usual
    plan = overlapping_plan(padded, patch, overlap)
    return plan if len(plan) > 1 else [whole(padded)]


def in_patches_that_fit(
    forward: Forward, shape: Index, tile: int | None, run: Callable[[int | None], Made]
) -> Made:
    """What ``run`` makes of the volume, given the largest edge that a patch may have.

    When memory runs out it is begun anew with patches of half the edge, and when they get no
    smaller on the CPU, with patches as large as before.
    """
    edge = tile
    while True:
        try:
            return run(edge)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        if forward.device.type == "cuda":
            torch.cuda.empty_cache()
        smaller = _smaller(forward, shape, edge)
        if smaller is None:
            forward.fall_back_to_cpu()
            edge = tile
        else:
            forward.note_smaller_pieces()
            edge = smaller


def _smaller(forward: Forward, shape: Index, tile: int | None) -> int | None:
    """Half the edge of the patches that are planned; None where that does not make them smaller."""
    planned = blended_plan(forward, shape, tile)[0]
    half = max(LEAST_EDGE, max(planned.shape) // 2)
    return half if blended_plan(forward, shape, half)[0].voxels < planned.voxels else None


def is_local(network: torch.nn.Module) -> bool:
    """Whether all layers are known to look only at what lies around a voxel."""
    leaves = [module for module in network.modules() if not list(module.children())]
    return all(isinstance(module, LOCAL) for module in leaves)


def _usual_patch(forward: Forward, padded: Index, tile: int | None) -> Index:
    """The patch (k, j, i) trained on, or the tile or the volume when that is no larger."""
    trained = forward.bundle.patch
    edges = [min(tile or n, n) for n in trained] if trained else [tile or USUAL_EDGE] * 3
    if forward.bundle.input.axis_order == "kji":
        edges.reverse()
    k, j, i = (min(n, p) for n, p in zip(padded, edges, strict=True))
    return padded_shape((k, j, i), forward.multiple)


def _share(patch: Index, share: float) -> Index:
    k, j, i = (int(n * share) for n in patch)
    return (k, j, i)
