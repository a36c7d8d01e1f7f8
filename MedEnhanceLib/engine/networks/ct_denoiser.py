"""A denoiser for CT: averages over slices and wide parts of the slice, by predicted weights."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

import torch
from torch import nn
from torch.nn import functional

from MedEnhanceLib.engine.networks.denoiser import CENTRE_LOGIT, LEAST_SIGMA, slices_at_once
from MedEnhanceLib.engine.networks.folding import FOLD, in_planes, log_scaled, start_at_zero
from MedEnhanceLib.engine.networks.streaming import (
    Beside,
    Chain,
    Convolution,
    EachSlice,
    FlatConvolution,
    Skip,
    Stream,
    Window,
)

CAUTION = 0.75
"""The network, once trained, works with this share of the noise that it is told. The noise is told
as it is in flat soft tissue, mostly deep in the body; nearer to the skin and in the lung it is
weaker, and fine vessels would be averaged away. Found on training scans."""
WIDE_REACH = 8
"""Voxels within the slice, on each side, that the widest mean looks at."""
SLICE_REACH = 2
RING = 3
"""How far the eight small means around a voxel lie from it, in voxels of the slice."""

Offset = tuple[int, int, int]
AROUND = [(0, j, i) for j in (-1, 0, 1) for i in (-1, 0, 1)]
ABOVE_AND_BELOW = [(k, 0, 0) for k in (-2, -1, 1, 2)]
RINGED = [(0, RING * j, RING * i) for _, j, i in AROUND if (j, i) != (0, 0)]
TAPS: tuple[tuple[str, tuple[Offset, ...]], ...] = (
    ("image", (*AROUND, *ABOVE_AND_BELOW)),
    ("near", (*RINGED, *ABOVE_AND_BELOW)),
    ("wide", ((-1, 0, 0), (0, 0, 0), (1, 0, 0))),
    ("wider", ((0, 0, 0),)),
)
"""What a denoised voxel is the mean of: which image, and at which offsets (k, j, i)."""
CENTRE_TAP = AROUND.index((0, 0, 0))
TAP_COUNT = sum(len(offsets) for _, offsets in TAPS)


class CtDenoiser(nn.Module):
    """Removes noise that is correlated within the slice: each voxel becomes a weighted mean.

    Input (B, 2, D, H, W), slices along D: the image, and the noise's standard deviation in the
    same unit. Output (B, 1, D, H, W): the clean image. H and W must be even.

    Noise of filtered back-projection is correlated between neighbours in the slice, so the mean
    of a voxel's neighbours removes little of it. The taps reach further: two slices up and down,
    small means around the voxel, means over 9 and 17 voxels. Their weights are predicted
    (kernel prediction, Bako et al. 2017, doi:10.1145/3072959.3073708) by a residual body at half
    resolution within the slice and full resolution across slices, which may be thick; a
    remainder in units of sigma is added. The body sees differences in units of sigma only:
    adding to the image, or scaling it together with sigma, does the same to the output.
    """

    def __init__(self, width: int = 32, blocks: int = 4) -> None:
        super().__init__()
        self.head = nn.Conv3d(len(_FEATURES) * FOLD**2, width, 3, padding=1)
        self.body = nn.Sequential(*[SliceBlock(width) for _ in range(blocks)])
        self.tail = nn.Conv3d(width, (TAP_COUNT + 1) * FOLD**2, (1, 3, 3), padding=(0, 1, 1))
        start_at_zero(self.tail)
        with torch.no_grad():
            first = CENTRE_TAP * FOLD**2
            self.tail.bias[first : first + FOLD**2] = CENTRE_LOGIT  # type: ignore[index]
        self.convolutions = 2 + 2 * blocks

    @property
    def halo(self) -> int:
        """Voxels on each side of an output voxel that may influence it."""
        return FOLD * self.convolutions + FOLD - 1 + WIDE_REACH

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.averaged(self.tail(self.body(self.head(self.features(x)))), x)

    def stream(self) -> Stream:
        """The same, slab after slab."""
        blocks = [block.stream() for block in self.body if isinstance(block, SliceBlock)]
        look = Window(self.features, 1)
        body = Chain(look, Convolution(self.head), *blocks, FlatConvolution(self.tail))
        return Beside(body, self.averaged, SLICE_REACH)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the body sees of the input, folded: (B, 16, D, H/2, W/2)."""
        unit = self.sigma(x).clamp_min(LEAST_SIGMA)
        sources = smoothed(x[:, :1].contiguous())
        details = [(sources[a] - sources[b]) / unit for a, b in _FEATURES]
        return fold(log_scaled(torch.cat(details, dim=1)))

    def sigma(self, x: torch.Tensor) -> torch.Tensor:
        """The noise's standard deviation that the network works with, (B, 1, D, H, W)."""
        return x[:, 1:2] * (1.0 if self.training else CAUTION)

    def averaged(self, decisions: torch.Tensor, x: torch.Tensor, before: int = 0) -> torch.Tensor:
        """The clean image from what the body predicts.

        Args:
            decisions: (B, (`TAP_COUNT` + 1) * 4, D, H/2, W/2), of some slices of ``x``.
            x: the network's input; at both ends of these slices it may reach further.
            before: slices of ``x`` before those of the decisions.
        """
        image, sigma = x[:, :1].contiguous(), self.sigma(x)
        sources = widened(smoothed(image))
        parts, start = [], before
        for part in decisions.split(slices_at_once(decisions), dim=2):
            stop = start + part.shape[2]
            *logits, remainder = in_planes(part).split(FOLD**2, dim=1)
            # Weights in the image's precision: averaging in half precision would add noise.
            logits = [logit.to(image.dtype) for logit in logits]
            reached = slice(start, stop + 2 * SLICE_REACH)
            mean = weighted_mean(logits, {name: s[:, :, reached] for name, s in sources.items()})
            here = sigma[:, :, start:stop]
            clean = unfold(mean) + here * unfold(remainder)
            parts.append(torch.where(here > 0, clean, image[:, :, start:stop]))
            start = stop
        return torch.cat(parts, dim=2)


_FEATURES = (("image", "near"), ("near", "wide"), ("wide", "wider"), ("image", "slices"))
"""Differences of these images are what the network sees, in units of sigma."""


class SliceBlock(nn.Module):
    """A convolution over slices and one within the slice, with a skip connection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(width, width, 3, padding=1)
        self.second = nn.Conv3d(width, width, (1, 3, 3), padding=(0, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.second(functional.relu(self.first(x)))

    def stream(self) -> Stream:
        """The same, slab after slab."""
        relu = EachSlice(torch.relu_)
        return Skip(Chain(Convolution(self.first), relu, FlatConvolution(self.second)))


def smoothed(image: torch.Tensor) -> dict[str, torch.Tensor]:
    """The image (B, 1, D, H, W) and its means, by the names that taps and features use."""
    near = slice_mean(image, 3)
    wide = slice_mean(slice_mean(image, 5), 5)
    ends = functional.pad(image, (0, 0, 0, 0, 1, 1), mode="replicate")
    return {
        "image": image,
        "near": near,
        "wide": wide,
        "wider": slice_mean(wide, 3, step=4),
        "slices": (ends[:, :, :-2] + ends[:, :, 2:]) / 2,
    }


def slice_mean(x: torch.Tensor, count: int, step: int = 1) -> torch.Tensor:
    """Mean of ``count`` x ``count`` voxels of the slice, ``step`` apart; borders are repeated."""
    reach = count // 2 * step
    x = functional.pad(x, (reach, reach, reach, reach, 0, 0), mode="replicate")
    height, width = (n - 2 * reach for n in x.shape[3:])
    rows = [x[:, :, :, n * step : n * step + height] for n in range(count)]
    x = reduce(torch.add, rows)
    columns = [x[..., n * step : n * step + width] for n in range(count)]
    return reduce(torch.add, columns) / count**2


def weighted_mean(logits: list[torch.Tensor], sources: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mean of all taps, weighted by the softmax of ``logits``, folded as by :func:`fold`.

    One tap after the other, so that no array of all weights is ever made at full resolution.

    Args:
        logits: for each tap (B, 4, D, H/2, W/2).
        sources: what the taps take from, as by :func:`widened`.
    """
    largest = logits[0].detach()
    for logit in logits[1:]:
        largest = torch.maximum(largest, logit.detach())
    total, weights = torch.zeros_like(largest), torch.zeros_like(largest)
    for logit, values in zip(logits, tap_values(sources), strict=True):
        weight = (logit - largest).exp_()
        total.addcmul_(weight, fold(values))
        weights += weight
    return total / weights


def tap_values(sources: dict[str, torch.Tensor]) -> Iterator[torch.Tensor]:
    """What each tap holds at every voxel, (B, 1, D, H, W), of :func:`widened` images."""
    reach = (SLICE_REACH, RING, RING)
    for name, offsets in TAPS:
        wide = sources[name]
        size = [n - 2 * r for n, r in zip(wide.shape[2:], reach, strict=True)]
        for offset in offsets:
            starts = (r + o for r, o in zip(reach, offset, strict=True))
            k, j, i = (slice(s, s + n) for s, n in zip(starts, size, strict=True))
            yield wide[:, :, k, j, i]


def widened(sources: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The images that taps take from, with their border repeated as far as the taps reach."""
    ends = (RING, RING, RING, RING, SLICE_REACH, SLICE_REACH)
    return {name: functional.pad(sources[name], ends, mode="replicate") for name, _ in TAPS}


def fold(x: torch.Tensor) -> torch.Tensor:
    """Fold 2x2 neighbours of a slice into channels: (B, C, D, H, W) -> (B, 4C, D, H/2, W/2)."""
    b, c, d, h, w = x.shape
    x = x.reshape(b, c, d, h // FOLD, FOLD, w // FOLD, FOLD)
    return x.permute(0, 1, 4, 6, 2, 3, 5).reshape(b, c * FOLD**2, d, h // FOLD, w // FOLD)


def unfold(x: torch.Tensor) -> torch.Tensor:
    """The inverse of :func:`fold`."""
    b, c, d, h, w = x.shape
    x = x.reshape(b, c // FOLD**2, FOLD, FOLD, d, h, w)
    return x.permute(0, 1, 4, 5, 2, 6, 3).reshape(b, c // FOLD**2, d, h * FOLD, w * FOLD)
