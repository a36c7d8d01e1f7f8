"""A denoiser that is told by another contrast of the patient which voxels belong together.

The guide only decides how the noisy image's voxels are weighted: everything that is added to the
estimate without a guide is made of the image's own voxels, so what the guide alone shows cannot be
copied from it.
"""

from __future__ import annotations

import torch
from torch import nn

from MedEnhanceLib.engine.networks.denoiser import LEAST_SIGMA
from MedEnhanceLib.engine.networks.folding import (
    box_mean,
    in_thin_slabs,
    log_scaled,
    pointwise_in_planes,
)
from MedEnhanceLib.engine.networks.guide_filters import (
    FIT_EDGE,
    LEAST_SLOPE_NOISE,
    fit,
    joint_means,
    regressed,
)
from MedEnhanceLib.engine.networks.like_voxels import REACH, TOGETHER
from MedEnhanceLib.engine.networks.pilot_filters import without_rician_bias
from MedEnhanceLib.engine.networks.refiner import RefinedDenoiser
from MedEnhanceLib.engine.networks.streaming import Beside, Chain, EachSlice, Stream, Window

START = (0.25, 0.15, 0.05, 0.5, 0.5, 0.05)
"""Share of each candidate's change that is added before training: three joint means, the removed
signal regressed in cubes of 3 and of 5 voxels, the image regressed in cubes of 3."""
CANDIDATES = len(START)
REGRESSION_EDGES = (3, 5)
MOST = 1.5
"""The largest share."""
LARGEST_CHANGE = 2.0
"""By how many sigmas a candidate may differ from the estimate without a guide; one that differs
more averages over different tissues."""
EVIDENCE_EDGE, WIDE_EDGE = 5, 9
"""Cubes over which it is judged whether a change goes where the noisy image goes, and whether the
guide fits."""
EVIDENCE_GAIN = 10.0
"""Brings means of squares below the noise's to the size of the other features."""
FEATURES = 3 * CANDIDATES + 7
CARRIED = 3
"""Channels that the gates do not see."""
FILTERS_REACH = max(REACH + 1, FIT_EDGE // 2, *(edge - 1 for edge in REGRESSION_EDGES))
JUDGED_REACH = max(EVIDENCE_EDGE, WIDE_EDGE) // 2
"""How many voxels on each side are looked at by what is done with the guide, in turn."""


class GuidedDenoiser(nn.Module):
    """The best denoiser without a guide, filters that see a guide too, and gates for each voxel.

    Input (B, 4, D, H, W): the image over its robust peak; the noise's standard deviation in the
    same unit; the guide over its robust peak; the guide's noise. The last is zero where there is
    no guide, and there the output is exactly that of the denoiser without one. Output
    (B, 1, D, H, W): the clean image. Sizes must be multiples of 4.

    The denoiser without a guide is trained by itself and stays as it is. What it removed, and the
    image, are averaged over voxels that look alike in the guide and regressed on it. A small
    network of each voxel decides what share of each candidate is added. It sees no intensities,
    only how far the candidates differ, in units of the noise, whether in the surroundings they
    differ in the direction of what was measured, and how well the guide explains the image there:
    where a guide is misplaced, little is added.

    Args:
        width: of the gates' hidden layers.
        plain: the sizes of the denoiser without a guide.
    """

    def __init__(self, width: int = 32, plain: dict[str, int] | None = None) -> None:
        super().__init__()
        self.plain = RefinedDenoiser(**(plain or {})).requires_grad_(False)
        self.gates = nn.Sequential(
            nn.Conv3d(FEATURES, width, 1),
            nn.ReLU(),
            nn.Conv3d(width, width, 1),
            nn.ReLU(),
            nn.Conv3d(width, CANDIDATES, 1),
        )
        last = self.gates[-1]
        share = torch.tensor(START) / MOST
        with torch.no_grad():
            last.weight.zero_()  # type: ignore[operator]
            last.bias.copy_(torch.log(share / (1 - share)))  # type: ignore[operator]

    @property
    def halo(self) -> int:
        """Voxels on each side of an output voxel that may influence it."""
        return self.plain.halo + FILTERS_REACH + JUDGED_REACH

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.guided(self.look(torch.cat([x, self.plain(x[:, :2])], dim=1)))

    def stream(self) -> Stream:
        """The same, slab after slab; slabs must be of multiples of four slices."""
        plain = Chain(EachSlice(lambda x: x[:, :2]), self.plain.stream())
        both = Beside(plain, lambda plain, x, _: torch.cat([x, plain], dim=1))
        look = Window(self.look, FILTERS_REACH, multiple=TOGETHER)
        return Chain(both, look, Window(self.guided, JUDGED_REACH, multiple=TOGETHER))

    def guided(self, looked: torch.Tensor) -> torch.Tensor:
        """The estimate without a guide and what the guide lets be added, of :meth:`look`."""
        plain, sigma, guide_noise = looked[:, :CARRIED].split(1, dim=1)
        added = sigma * in_thin_slabs(self.added, seen_around(looked), EVIDENCE_EDGE // 2)
        return torch.where((guide_noise > 0) & (sigma > 0), plain + added, plain)

    def added(self, seen: torch.Tensor) -> torch.Tensor:
        """What is added, of :func:`seen_around`; in units of the noise, (B, 1, D, H, W)."""
        return (self.shares(features(seen)) * seen[:, :CANDIDATES]).sum(dim=1, keepdim=True)

    def shares(self, features: torch.Tensor) -> torch.Tensor:
        """What share of each change is added, (B, `CANDIDATES`, D, H, W), from 0 to `MOST`."""
        level = features
        for layer in self.gates:
            if isinstance(layer, nn.Conv3d):
                level = pointwise_in_planes(level, layer)
            else:
                level = layer(level)
        return MOST * torch.sigmoid(level)

    @torch.no_grad()
    def look(self, x: torch.Tensor) -> torch.Tensor:
        """What may be added, and what tells how much of it.

        Args:
            x: the network's input, and the estimate without a guide: (B, 5, D, H, W).

        Returns:
            (B, `CARRIED` + `CANDIDATES` + 6, D, H, W): the estimate, the noise and the guide's.
            In units of the noise the changes, what was removed, how the estimate differs from its
            surroundings, the estimate; in units of its own how the guide does. How many voxels
            were alike, and how well the guide explains the estimate.
        """
        image, sigma, guide, guide_noise, plain = x.contiguous().split(1, dim=1)
        unit = sigma.clamp_min(LEAST_SIGMA)
        removed = without_rician_bias(image, plain, sigma) - plain
        means, support = joint_means(image, plain, unit, guide, guide_noise)
        differences = [mean - plain for mean in means]
        differences += [regressed(removed, guide, guide_noise, e) for e in REGRESSION_EDGES]
        differences.append(
            regressed(plain + removed, guide, guide_noise, REGRESSION_EDGES[0]) - plain
        )
        changes = torch.cat(differences, 1).div_(unit).clamp_(-LARGEST_CHANGE, LARGEST_CHANGE)
        seen = [
            removed / unit,
            (plain - box_mean(plain, 3)) / unit,
            plain / unit,
            (guide - box_mean(guide, 3)) / (guide_noise + LEAST_SLOPE_NOISE),
            support,
            fit(plain, unit, guide, guide_noise),
        ]
        return torch.cat([plain, sigma, guide_noise, changes, *seen], dim=1)


def seen_around(looked: torch.Tensor) -> torch.Tensor:
    """The changes and what tells how much of them, (B, `CANDIDATES` + 7, D, H, W).

    It is what `GuidedDenoiser.look` gives, but for what is carried along, and how well the guide
    explains the estimate farther around.
    """
    return torch.cat([looked[:, CARRIED:], box_mean(looked[:, -1:], WIDE_EDGE)], dim=1)


def features(seen: torch.Tensor) -> torch.Tensor:
    """What the gates see, (B, `FEATURES`, D, H, W), of what :func:`seen_around` gives."""
    changes, removed, local, judged = seen.split([CANDIDATES, 1, 3, 3], dim=1)
    parts = [
        changes,
        log_scaled(EVIDENCE_GAIN * box_mean(changes * removed, EVIDENCE_EDGE)),
        log_scaled(EVIDENCE_GAIN * box_mean(changes.square(), EVIDENCE_EDGE)),
        log_scaled(removed),
        log_scaled(local),
        judged,
    ]
    return torch.cat(parts, dim=1)
