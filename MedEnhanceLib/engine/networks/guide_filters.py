"""Filters of a noisy image that look at a second contrast, the guide, beside a first estimate.

They hold nothing that is trained, and give weighted sums of the noisy image's own voxels: the
guide decides which voxels belong together, its intensities are never copied.
"""

from __future__ import annotations

import torch

from MedEnhanceLib.engine.networks.folding import box_mean
from MedEnhanceLib.engine.networks.like_voxels import alike, distance, look_of, means_of_like

LIKENESS = (0.6, 1.0)
"""How far, in units of sigma, the estimate's voxels may differ and still count as alike, in a
strict and a lenient mean. Without a guide it would have to be less."""
GUIDE_NOISE_SHARE, GUIDE_CONTRAST = 1.5, 0.03
"""How far the guide's may: in units of its noise, and as a share of its peak."""
MEANS = 3
LEAST_SLOPE_NOISE = 0.02
"""Share of the guide's peak below which its changes do not count, as if they were noise."""
MIDDLE = 0.5
"""The brightness of most tissue, as a share of the peak."""
FIT_EDGE = 5
FIT_NOISE = 0.3
"""Share of the image's noise that is left in the estimate."""


def joint_means(
    image: torch.Tensor,
    estimate: torch.Tensor,
    sigma: torch.Tensor,
    guide: torch.Tensor,
    guide_noise: torch.Tensor,
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Means over the voxels of a ball, 7 wide, that look alike in the estimate and in the guide.

    The non-local means of `pilot_filters.like_means` with the cross-bilateral weights of
    Petschnigg et al. 2004 (doi:10.1145/1015706.1015777). Squares are averaged and the Rician bias
    is taken off them.

    Args:
        image, estimate, sigma: (B, 1, D, H, W) in one unit; sigma is the noise's standard
            deviation, above zero.
        guide, guide_noise: of the same shape, over the guide's peak.

    Returns:
        A strict mean, a lenient one, and one that is lenient in the guide too; and how many
        voxels were alike in the last, as a share of the ball. All (B, 1, D, H, W).
    """
    width = torch.sqrt((GUIDE_NOISE_SHARE * guide_noise) ** 2 + GUIDE_CONTRAST**2)
    own = look_of(estimate, sigma)
    other = look_of(guide, width)

    def likeness(here: slice, there: slice) -> tuple[torch.Tensor, ...]:
        in_guide = distance(other, here, there)
        in_estimate = distance(own, here, there)
        strict, lenient = (alike(in_guide + in_estimate / like**2) for like in LIKENESS)
        return strict.square_(), lenient.square(), lenient

    return means_of_like(image, sigma, likeness, MEANS)


def regressed(
    values: torch.Tensor, guide: torch.Tensor, guide_noise: torch.Tensor, edge: int
) -> torch.Tensor:
    """The part of ``values`` (B, 1, D, H, W) that is linear in the guide within a cube.

    The guided filter of He et al. 2013 (doi:10.1109/TPAMI.2012.213): the mean over all cubes of
    ``edge`` voxels that hold a voxel.
    """
    # Far from zero the difference of squares would lose its digits.
    guide = guide - MIDDLE
    middle, mean = box_mean(guide, edge), box_mean(values, edge)
    variance = (box_mean(guide**2, edge) - middle**2).clamp_min(0)
    noise = guide_noise**2 + LEAST_SLOPE_NOISE**2
    slope = (box_mean(guide * values, edge) - middle * mean) / (variance + noise)
    return box_mean(slope, edge) * guide + box_mean(mean - slope * middle, edge)


def fit(
    estimate: torch.Tensor, sigma: torch.Tensor, guide: torch.Tensor, guide_noise: torch.Tensor
) -> torch.Tensor:
    """How well the guide explains the estimate right here: from 0 to 1, (B, 1, D, H, W).

    The squared correlation within a cube, of which noise makes less. Where the guide is misplaced
    it is low.
    """
    first, second = estimate - MIDDLE, guide - MIDDLE
    one, other = box_mean(first, FIT_EDGE), box_mean(second, FIT_EDGE)
    common = box_mean(first * second, FIT_EDGE) - one * other
    own = (box_mean(first**2, FIT_EDGE) - one**2).clamp_min(0) + (FIT_NOISE * sigma) ** 2
    its = (box_mean(second**2, FIT_EDGE) - other**2).clamp_min(0) + guide_noise**2
    return common**2 / (own * its).clamp_min(1e-12)
