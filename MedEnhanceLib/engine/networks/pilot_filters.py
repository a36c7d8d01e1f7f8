"""Filters that look at the noisy image again with a first estimate, the pilot, as their guide.

They hold nothing that is trained. A pilot tells which coefficients and which voxels belong
together better than the noisy image can, and the noisy image still holds what the pilot lost.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import product
from typing import Any

import torch
from torch.nn import functional

from MedEnhanceLib.engine.networks.like_voxels import alike, distance, look_of, means_of_like

EDGE = 4
"""Voxels along the edge of a transformed block."""
LIKENESS = 0.45
"""How far, in units of sigma, a pilot's voxels may differ and still count as alike."""
Window = tuple[Any, ...]
SHIFTS = [(a, b, c) for a, b, c in product(range(1, EDGE + 1), repeat=3) if a % 2 == b % 2 == c % 2]
"""Where the grids of blocks begin: every fourth of the 64 places, which is nearly as good."""
LEAST_WEIGHT = 1e-6


@cache
def cosine_transform() -> torch.Tensor:
    """The orthonormal 3D DCT-II of a cube as a matrix (64, 64), a row per coefficient."""
    place = torch.arange(EDGE, dtype=torch.float64)
    line = torch.cos(math.pi * (place + 0.5) * place[:, None] / EDGE) * math.sqrt(2 / EDGE)
    line[0] /= math.sqrt(2)
    cube = torch.einsum("ai,bj,ck->abcijk", line, line, line)
    return cube.reshape(EDGE**3, EDGE**3).float()


def wiener_shrinkage(image: torch.Tensor, pilot: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Empirical Wiener filter in all overlapping 4x4x4 cosine transforms.

    The second stage of BM3D and BM4D (Maggioni et al. 2013, doi:10.1109/TIP.2012.2210725)
    without their grouping, in a quarter of all positions; overlapping transforms as in ODCT3D
    (Manjón et al. 2012, doi:10.1016/j.media.2011.04.003). Blocks count the more, the sparser
    they are.

    Args:
        image, pilot, sigma: (B, 1, D, H, W) in one unit; sizes multiples of 4; sigma is the
            noise's standard deviation.

    Returns:
        The filtered image, of the same shape.
    """
    images = torch.cat([image, pilot], dim=1)
    images = functional.pad(images, (EDGE,) * 6, mode="replicate")
    variance = functional.pad(sigma.square(), (EDGE,) * 6, mode="replicate")
    transform = cosine_transform().to(image)
    total = torch.zeros_like(variance)
    weights = torch.zeros_like(variance)
    for shift in SHIFTS:
        window = (..., *(slice(s, s - EDGE or None) for s in shift))
        middles = (..., *(slice(s + EDGE // 2, s - EDGE or None, EDGE) for s in shift))
        noisy, guide = cut_blocks(images[window]).unbind(1)
        filtered, weight = shrunk(noisy, guide, variance[middles].squeeze(1)[..., None], transform)
        shape = total[window].shape
        total[window] += join_blocks(filtered.mul_(weight), shape)
        weights[window] += join_blocks(weight.expand_as(filtered), shape)
    inside: Window = (..., *[slice(EDGE, -EDGE)] * 3)
    return total[inside] / weights[inside]


def shrunk(
    noisy: torch.Tensor, guide: torch.Tensor, variance: torch.Tensor, transform: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Blocks (..., 64) with their transform shrunk, and how much each block counts (..., 1)."""
    # Half precision would round the image itself, by more than the noise that is left.
    with torch.autocast(noisy.device.type, enabled=False):
        power = (guide @ transform.T).square_() + LEAST_WEIGHT**2
        share = power.div_(power + variance)
        share[..., 0] = 1
        filtered = ((noisy @ transform.T) * share) @ transform
        return filtered, 1 / share.square().sum(dim=-1, keepdim=True)


def cut_blocks(x: torch.Tensor) -> torch.Tensor:
    """Cut into cubes side by side: (B, C, D, H, W) -> (B, C, D/4, H/4, W/4, 64)."""
    b, c, d, h, w = x.shape
    x = x.reshape(b, c, d // EDGE, EDGE, h // EDGE, EDGE, w // EDGE, EDGE)
    x = x.permute(0, 1, 2, 4, 6, 3, 5, 7)
    return x.reshape(b, c, d // EDGE, h // EDGE, w // EDGE, EDGE**3)


def join_blocks(blocks: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Back to an image of ``shape`` (B, 1, D, H, W) from blocks (B, D/4, H/4, W/4, 64)."""
    b, d, h, w, _ = blocks.shape
    x = blocks.reshape(b, d, h, w, EDGE, EDGE, EDGE).permute(0, 1, 4, 2, 5, 3, 6)
    return x.reshape(shape)


def like_means(
    image: torch.Tensor, pilot: torch.Tensor, sigma: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Means over the voxels of a ball, 7 wide, in which the pilot looks alike, strict and lenient.

    The rotation-invariant non-local means of Manjón et al. 2012
    (doi:10.1016/j.media.2011.04.003): likeness is judged by the pilot's voxels and by their
    3x3x3 means. Squares are averaged and the Rician bias is taken off them.

    Args:
        image, pilot, sigma: (B, 1, D, H, W), as for :func:`wiener_shrinkage`.

    Returns:
        Two images of the same shape.
    """
    look = look_of(pilot, LIKENESS * sigma.clamp_min(LEAST_WEIGHT))

    def likeness(here: slice, there: slice) -> tuple[torch.Tensor, ...]:
        lenient = alike(distance(look, here, there))
        return lenient.square(), lenient

    (strict, lenient), _ = means_of_like(image, sigma, likeness, 2)
    return strict, lenient


def without_rician_bias(
    image: torch.Tensor, pilot: torch.Tensor, sigma: torch.Tensor
) -> torch.Tensor:
    """The image less what Rician noise adds on average where the pilot tells the signal."""
    return image - (torch.sqrt(pilot.square() + sigma.square()) - pilot)
