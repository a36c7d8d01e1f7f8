"""A denoiser that is told by another contrast of the patient where tissue is uniform.

The guide only decides how the noisy image's voxels are averaged: everything that is added to the
first estimate is a weighted sum of the image's own voxels, so what the guide alone shows cannot be
copied from it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from MedEnhanceLib.engine.networks.denoiser import LEAST_SIGMA, NEIGHBOURS, NoiseAwareDenoiser
from MedEnhanceLib.engine.networks.folding import (
    FOLD,
    SIGMA_GAIN,
    HalfResolutionNet,
    box_mean,
    depth_to_space,
    space_to_depth,
)

REACH = 3
"""Voxels on each side that the means over alike voxels look at."""
SIMILARITIES = ((2.0, 0.01, None), (2.0, 0.01, 0.8))
"""How alike voxels must be to be averaged, as Gaussian widths: in the guide's noise, in shares of
its peak (both are added in squares), and, if given, in the image's noise after the first stage."""
WINDOWS = (3, 5)
"""Edges of the cubes over which the image is regressed on the guide."""
MEANS_GAIN = 3.0
"""Means of noise are small; this brings them to the size of the other features."""
LARGEST_FEATURE = 5.0
LARGEST_CHANGE = 2.0
"""By how many sigmas an average of the image may differ from the first estimate; beyond that it
averages over different tissues."""
MIDDLE = 0.5
"""The brightness of most tissue, as a share of the peak."""
MEANS = len(SIMILARITIES) + len(WINDOWS)
TAPS = NEIGHBOURS + 2 * MEANS
FEATURES = 5 + len(SIMILARITIES) + 2 * MEANS


class GuidedDenoiser(nn.Module):
    """A kernel-predicting denoiser, and a second stage that knows a guide.

    Input (B, 4, D, H, W): the image over its robust peak; the noise's standard deviation in the
    same unit; the guide over its robust peak; the guide's noise. The last is zero where there is
    no guide, and there the output is exactly that of the first stage. Output (B, 1, D, H, W):
    the clean image. Sizes must be even.

    The first stage is trained by itself and stays as it is. What it removed, and the image, are
    averaged over voxels that look alike in the guide (the cross-bilateral filter, Petschnigg et
    al. 2004, doi:10.1145/1015706.1015777) and regressed on it in small windows (the guided
    filter, He et al. 2013, doi:10.1109/TPAMI.2012.213). The second stage predicts, for every
    voxel, how much of each is added to the first estimate, and of its 27 neighbours' removed
    signal. Before training that is nothing. Part of these weights is linear in what the second
    stage sees at the voxel itself, and can be fitted by least squares.
    """

    def __init__(
        self, width: int = 32, blocks: int = 3, first_width: int = 32, first_blocks: int = 4
    ) -> None:
        super().__init__()
        self.first = NoiseAwareDenoiser(first_width, first_blocks)
        self.linear = nn.Conv3d(FEATURES, TAPS, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)  # type: ignore[arg-type]
        self.second = HalfResolutionNet(FEATURES, width, blocks, out_channels=TAPS)

    @property
    def halo(self) -> int:
        """Voxels on each side of an output voxel that may influence it."""
        return self.first.halo + max(REACH, *(edge - 1 for edge in WINDOWS)) + self.second.halo

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        image, sigma, guide_noise = x[:, :1], x[:, 1:2], x[:, 3:]
        with torch.no_grad():
            first, means, features = self.first_look(x)
        weights = self.second.folded(features) + space_to_depth(self.linear(features))
        change = weighted_sum(weights.split(FOLD**3, dim=1), image - first, means)
        change = depth_to_space(change)
        return torch.where((guide_noise > 0) & (sigma > 0), first + change, first)

    def first_look(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor]:
        """The first estimate, the means that may be added to it, and the second stage's input."""
        image, sigma, guide, guide_noise = x.split(1, dim=1)
        unit = sigma.clamp_min(LEAST_SIGMA)
        first = self.first(x[:, :2])
        removed = image - first
        both, support = guided_means(removed, image, guide, guide_noise, first, unit)
        most = LARGEST_CHANGE * unit
        changes = [without_bias(mean[:, 1:], sigma) - first for mean in both]
        means = [mean[:, :1] for mean in both]
        means += [torch.maximum(torch.minimum(change, most), -most) for change in changes]
        detail = (guide - box_mean(guide, 3)) / guide_noise.clamp_min(LEAST_SIGMA)
        in_sigmas = torch.cat([removed, *means], dim=1) * (MEANS_GAIN / unit)
        features = torch.cat([first, sigma * SIGMA_GAIN, guide, *support, detail, in_sigmas], dim=1)
        return first, means, features.clamp(-LARGEST_FEATURE, LARGEST_FEATURE)


def guided_means(
    removed: torch.Tensor,
    image: torch.Tensor,
    guide: torch.Tensor,
    guide_noise: torch.Tensor,
    estimate: torch.Tensor,
    unit: torch.Tensor,
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Averages of the removed signal and of the image by what the guide shows.

    All arguments are (B, 1, D, H, W); ``unit`` is the image's noise, ``estimate`` the image after
    the first stage.

    Returns:
        (B, 2, D, H, W), removed signal and image, for each of `SIMILARITIES` and `WINDOWS`; and
        for each similarity the share of voxels that were alike, (B, 1, D, H, W).
    """
    values = torch.cat([removed, image], dim=1)
    means, support = [], []
    for noises, share, own in SIMILARITIES:
        in_guide = -0.5 / ((noises * guide_noise) ** 2 + share**2)
        in_estimate = None if own is None else -0.5 / (own * unit) ** 2
        mean, alike = mean_of_alike(values, guide, estimate, in_guide, in_estimate)
        means.append(mean)
        support.append(alike)
    return means + [regressed(values, guide, guide_noise, edge) for edge in WINDOWS], support


def mean_of_alike(
    values: torch.Tensor,
    guide: torch.Tensor,
    estimate: torch.Tensor,
    in_guide: torch.Tensor,
    in_estimate: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean of ``values`` over nearby voxels that look like the middle one; axis after axis.

    The separable form is that of Pham and van Vliet 2005, doi:10.1109/ICME.2005.1521458.

    Args:
        values: (B, C, D, H, W).
        guide, estimate: (B, 1, D, H, W), in which voxels must look alike.
        in_guide, in_estimate: -1/2 over the squared width of the similarity in each.

    Returns:
        The means (B, C, D, H, W), and the share of the cube's voxels that were alike
        (B, 1, D, H, W).
    """
    support = torch.ones_like(guide)
    for axis in (2, 3, 4):
        total, weights = values.clone(), torch.ones_like(guide)
        size = guide.shape[axis]
        for offset in range(1, min(REACH, size - 1) + 1):
            # Each pair of voxels is as alike seen from the one as from the other.
            near = (*[slice(None)] * axis, slice(0, size - offset))
            far = (*[slice(None)] * axis, slice(offset, size))
            exponent = (guide[far] - guide[near]) ** 2 * in_guide[near]
            if in_estimate is not None:
                exponent += (estimate[far] - estimate[near]) ** 2 * in_estimate[near]
            weight = torch.exp(exponent)
            total[near] += weight * values[far]
            total[far] += weight * values[near]
            weights[near] += weight
            weights[far] += weight
        values = total / weights
        support = support * weights / (2 * REACH + 1)
    return values, support


def regressed(
    values: torch.Tensor, guide: torch.Tensor, guide_noise: torch.Tensor, edge: int
) -> torch.Tensor:
    """The part of ``values`` (B, C, D, H, W) that is linear in the guide within a cube.

    The mean over all cubes of ``edge`` voxels that hold a voxel.
    """
    # Far from zero the difference of squares would lose its digits.
    guide = guide - MIDDLE
    middle, mean = box_mean(guide, edge), box_mean(values, edge)
    variance = (box_mean(guide**2, edge) - middle**2).clamp_min(0)
    slope = (box_mean(guide * values, edge) - middle * mean) / (variance + guide_noise**2 + 1e-6)
    return box_mean(slope, edge) * guide + box_mean(mean - slope * middle, edge)


def without_bias(mean: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """A mean of Rician magnitudes without the noise's share of it.

    Gudbjartsson and Patz 1995, doi:10.1002/mrm.1910340618.
    """
    return torch.sqrt((mean**2 - sigma**2).clamp_min(0))


def weighted_sum(
    weights: tuple[torch.Tensor, ...], image: torch.Tensor, means: list[torch.Tensor]
) -> torch.Tensor:
    """Sum of each voxel's 27 neighbours and of ``means``, each times its predicted weight.

    Args:
        weights: for each tap (B, 8, D/2, H/2, W/2).
        image: (B, 1, D, H, W), whose neighbours are the first taps.
        means: images of the same shape, the other taps.

    Returns:
        (B, 8, D/2, H/2, W/2), folded as by `space_to_depth`.
    """
    total = torch.zeros_like(weights[0])
    for weight, values in zip(weights, taps(image, means), strict=True):
        total = total + weight * space_to_depth(values)
    return total


def taps(image: torch.Tensor, means: list[torch.Tensor]) -> Iterator[torch.Tensor]:
    """The 27 neighbours of every voxel of ``image``, one after the other, then ``means``."""
    padded = functional.pad(image, (1,) * 6, mode="replicate")
    for tap in range(NEIGHBOURS):
        corner = (tap // 9, tap // 3 % 3, tap % 3)
        k, j, i = (slice(c, c + n) for c, n in zip(corner, image.shape[2:], strict=True))
        yield padded[:, :, k, j, i]
    yield from means
