"""A second look at what a first denoiser left: shrinkage of overlapping cosine transforms.

After a first estimate, the two-stage filters BM3D and BM4D (Maggioni et al. 2013,
doi:10.1109/TIP.2012.2210725) look at the noisy image again and shrink its transform once more,
guided by that estimate. Here a small U-Net predicts the shrinkage.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from MedEnhanceLib.engine.networks.denoiser import LEAST_SIGMA, NoiseAwareDenoiser
from MedEnhanceLib.engine.networks.folding import FOLD, SIGMA_GAIN
from MedEnhanceLib.engine.networks.halving import HalvingNet

EDGE = 4
"""Voxels along the edge of a transformed block; blocks overlap by half."""
COEFFICIENTS = EDGE**3
CLOSED = -3.0
"""Logit of the share of the removed signal that is given back before training."""


def cosine_transform(edge: int = EDGE) -> torch.Tensor:
    """The orthonormal 3D DCT-II of a cube as convolution kernels (edge³, 1, edge, edge, edge)."""
    place = torch.arange(edge, dtype=torch.float64)
    line = torch.cos(math.pi * (place + 0.5) * place[:, None] / edge) * math.sqrt(2 / edge)
    line[0] /= math.sqrt(2)
    cube = torch.einsum("ai,bj,ck->abcijk", line, line, line)
    return cube.reshape(edge**3, 1, edge, edge, edge).float()


class RefinedDenoiser(nn.Module):
    """A kernel-predicting denoiser, and a second stage that corrects what it did.

    Input (B, 2, D, H, W): the image over its robust peak, and the noise's standard deviation in
    the same unit. Output (B, 1, D, H, W): the clean image. Sizes must be multiples of 4.

    The first stage is trained by itself and stays as it is. The second sees the cosine
    transforms of the first estimate and of what it removed, in units of sigma, in overlapping
    blocks of 4x4x4 voxels; for every coefficient it predicts which share of the removed signal
    was structure, and a correction in units of sigma.
    """

    transform: torch.Tensor

    def __init__(
        self,
        width: int = 64,
        below: int = 96,
        blocks: int = 2,
        first_width: int = 32,
        first_blocks: int = 4,
    ) -> None:
        super().__init__()
        self.first = NoiseAwareDenoiser(first_width, first_blocks)
        self.second = HalvingNet(2 * COEFFICIENTS + 2, width, below, blocks, 2 * COEFFICIENTS)
        with torch.no_grad():
            self.second.tail.bias[:COEFFICIENTS] = CLOSED  # type: ignore[index]
        self.register_buffer("transform", cosine_transform(), persistent=False)

    @property
    def halo(self) -> int:
        """Voxels on each side of an output voxel that may influence it."""
        return self.first.halo + FOLD * (self.second.reach + 1) + 2 * EDGE

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        image, sigma = x[:, :1], x[:, 1:2]
        with torch.no_grad():
            estimate = self.first(x)
        unit = sigma.clamp_min(LEAST_SIGMA)
        removed = self.blocks((image - estimate) / unit)
        kept = self.blocks(estimate / unit)
        levels = functional.avg_pool3d(torch.cat([estimate, sigma * SIGMA_GAIN], dim=1), FOLD)
        features = torch.cat([torch.asinh(removed), torch.asinh(kept), levels], dim=1)
        share, correction = self.second(features).split(COEFFICIENTS, dim=1)
        change = torch.sigmoid(share) * removed + correction
        return torch.where(sigma > 0, estimate + unit * self.overlapped(change), image)

    def blocks(self, x: torch.Tensor) -> torch.Tensor:
        """Cosine transforms of overlapping blocks: (B, 1, D, H, W) -> (B, 64, D/2, H/2, W/2).

        The last blocks reach one voxel beyond the image, which is repeated there.
        """
        padded = functional.pad(x, (1,) * 6, mode="replicate")
        return functional.conv3d(padded, self.transform.to(x.dtype), stride=FOLD)

    def overlapped(self, coefficients: torch.Tensor) -> torch.Tensor:
        """The mean of the blocks at each voxel, the way back from :meth:`blocks`."""
        transform = self.transform.to(coefficients.dtype)
        total = functional.conv_transpose3d(coefficients, transform, stride=FOLD)
        inside = (slice(None), slice(None), *[slice(1, -1)] * 3)
        return total[inside] / overlaps(total.shape[2:], total)[inside]


def overlaps(shape: torch.Size, like: torch.Tensor) -> torch.Tensor:
    """How many blocks hold each voxel of a padded image of ``shape`` (D, H, W)."""
    counts = []
    for axis, size in enumerate(shape):
        line = torch.full((size,), 2.0, dtype=like.dtype, device=like.device)
        line[:FOLD] = line[-FOLD:] = 1
        counts.append(line.view([-1 if a == axis else 1 for a in range(3)]))
    return (counts[0] * counts[1] * counts[2])[None, None]
