"""How bright each tissue is in one scan, how much it scatters, and how the coil shades it.

Expectation maximisation of a mixture of Gaussians whose shares differ from place to place, with a
smooth multiplicative field (Van Leemput et al. 1999, doi:10.1109/42.811270; Ashburner and Friston
2005, doi:10.1016/j.neuroimage.2005.02.018). What is no tissue has a histogram instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from MedEnhanceLib.engine.networks.folding import box_mean

CELL = 4
"""The field has one cell for so many of the shares' along each axis."""
BINS = 48
SHARPEN = 3.0
"""Power of the shares for the first means, so that voxels of one tissue count."""
LEAST_SHARE = 0.02
"""Of each class near tissue: brightness may overrule a place."""
OUTLIERS = 0.003
FAR = 6.0
"""Spreads from a mean beyond which all is equally unlikely."""
LEAST_SPREAD = 0.004
"""Of the peak; scans without noise would have none."""
FIELD_LIMITS = (0.4, 2.5)
SMOOTHNESS = 0.02
"""Share of a cell that counts as unshaded."""


@dataclass(frozen=True)
class TissueFit:
    """Means and spreads of the tissues (T,), the density outside (BINS,) over 0 to ``peak``."""

    means: torch.Tensor
    spreads: torch.Tensor
    outside: torch.Tensor
    peak: torch.Tensor

    def density(self, voxels: torch.Tensor) -> torch.Tensor:
        """Density of voxels (N,) in each class, what is no tissue first: (1 + T, N)."""
        # Bounded, since numbers too small for a float's exponent are slow to compute with.
        offsets = ((voxels - self.means[:, None]) / self.spreads[:, None]).clamp(-FAR, FAR)
        gauss = torch.exp(-0.5 * offsets**2) / (2.5066 * self.spreads[:, None])
        tissues = gauss + OUTLIERS / self.peak
        return torch.cat([self.outside[bins(voxels, self.peak)][None], tissues])


def fit_tissues(
    image: torch.Tensor, shares: torch.Tensor, step: int, rounds: int
) -> tuple[TissueFit, torch.Tensor]:
    """The mixture that explains a scan.

    Args:
        image: voxels (D, H, W), at least zero.
        shares: how likely each class is in a place, what is no tissue first, on a coarser grid
            of the same field of view: (1 + T, d, h, w).
        step: every so many voxels along each axis, one is looked at.
        rounds: of expectation and maximisation.

    Returns:
        The mixture of the evened image, and the field (D, H, W) to divide the image by.
    """
    some = image[::step, ::step, ::step]
    prior = at_voxels(floored(shares), some.shape)
    fit = mixture(some, prior**SHARPEN, some.max().clamp_min(1e-6))
    field = torch.ones_like(some)
    for _ in range(rounds):
        weights = posterior(some / field, prior, fit)
        field = shading_of(some, weights, fit, shares.shape[1:])
        fit = mixture(some / field, weights, fit.peak)
    return fit, at_voxels(field[None], image.shape)[0]


def floored(shares: torch.Tensor) -> torch.Tensor:
    """Shares (1 + T, d, h, w) of which none is zero beside tissue; what is far from it is none."""
    tissue = functional.max_pool3d((1 - shares[:1])[None], 3, stride=1, padding=1)[0]
    least = LEAST_SHARE * tissue
    return (1 - least * len(shares)) * shares + least


def at_voxels(shares: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Shares on a finer grid of the same field of view (1 + T, D, H, W), interpolated linearly."""
    depth, *plane = shape
    # In planes, then across them: on a CPU twice as fast as torch's trilinear interpolation.
    planes = functional.interpolate(shares, plane, mode="bilinear").flatten(2)[None]
    return functional.interpolate(planes, (depth, planes.shape[-1]), mode="bilinear")[0].unflatten(
        -1, plane
    )


def posterior(image: torch.Tensor, prior: torch.Tensor, fit: TissueFit) -> torch.Tensor:
    """How likely each class is in each voxel, from place and brightness: as ``prior``."""
    chance = prior * fit.density(image.reshape(-1)).reshape(prior.shape)
    return chance / chance.sum(0, keepdim=True).clamp_min(1e-12)


def mixture(image: torch.Tensor, weights: torch.Tensor, peak: torch.Tensor) -> TissueFit:
    """Mean and spread of each tissue, and the histogram outside, of voxels that count so much."""
    voxels, counts = image.reshape(-1), weights.reshape(len(weights), -1)
    total = counts[1:].sum(1).clamp_min(1e-3)
    means = counts[1:] @ voxels / total
    squares = counts[1:] @ voxels**2 / total
    spreads = (squares - means**2).clamp_min(0).sqrt()
    histogram = torch.zeros(BINS, device=image.device)
    histogram.scatter_add_(0, bins(voxels, peak), counts[0])
    # One voxel in a hundred may be of any brightness.
    histogram = 0.99 * histogram / histogram.sum().clamp_min(1e-3) + 0.01 / BINS
    return TissueFit(means, spreads.clamp_min(LEAST_SPREAD * peak), histogram * BINS / peak, peak)


def bins(voxels: torch.Tensor, peak: torch.Tensor) -> torch.Tensor:
    """Number of the histogram's bin for each voxel."""
    return (voxels * (BINS / peak)).clamp(0, BINS - 1).to(torch.int64)


def shading_of(
    image: torch.Tensor, weights: torch.Tensor, fit: TissueFit, grid: torch.Size
) -> torch.Tensor:
    """What is seen over what the tissues' means would give, smooth, and 1 on average: as ``image``.

    ``grid`` is the size of a grid of which ``CELL`` along each axis make a cell of the field.
    """
    seen = weights[1:].sum(0) * image
    expected = torch.einsum("t,tdhw->dhw", fit.means, weights[1:])
    cells = functional.interpolate(
        torch.stack([seen, expected])[None], [-(-n // CELL) for n in grid], mode="area"
    )[0]
    for _ in range(2):
        cells = box_mean(cells, 3)
    floor = SMOOTHNESS * expected.mean().clamp_min(1e-9)
    ratio = ((cells[0] + floor) / (cells[1] + floor)).clamp(*FIELD_LIMITS)
    field = at_voxels(ratio[None], image.shape)[0]
    return field / (seen.sum() / expected.sum().clamp_min(1e-9)).clamp(*FIELD_LIMITS)
