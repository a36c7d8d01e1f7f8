"""Blocks that the networks share: voxels folded into channels, residual blocks, box means.

Neighbouring voxels are folded into channels (space-to-depth, as in FFDNet, Zhang et al. 2018,
doi:10.1109/TIP.2018.2839891), residual blocks without normalisation layers follow (as in EDSR,
Lim et al. 2017, arXiv:1707.02921), and the channels are unfolded again. This makes a wide view
cheap on a CPU, and leaves a bounded receptive field, so that the engine can tile exactly.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from MedEnhanceLib.engine.networks.streaming import Chain, Convolution, EachSlice, Skip, Stream

FOLD = 2
SIGMA_GAIN = 10.0
"""Noise is a few per cent of the peak; this brings it to the image's size."""
LARGEST_SCALED = 1e18
MOST_TOGETHER, FEWEST_TOGETHER = 1 << 17, 4
"""Voxels, and slices, of a slab that a processor's cache holds with a few channels."""


def space_to_depth(x: torch.Tensor) -> torch.Tensor:
    """Fold 2x2x2 neighbours into channels: (B, C, D, H, W) -> (B, 8C, D/2, H/2, W/2)."""
    b, c, d, h, w = x.shape
    x = x.reshape(b, c, d // FOLD, FOLD, h // FOLD, FOLD, w // FOLD, FOLD)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(
        b, c * FOLD**3, d // FOLD, h // FOLD, w // FOLD
    )


def depth_to_space(x: torch.Tensor) -> torch.Tensor:
    """Unfold channels into 2x2x2 neighbours, the inverse of :func:`space_to_depth`."""
    b, c, d, h, w = x.shape
    x = x.reshape(b, c // FOLD**3, FOLD, FOLD, FOLD, d, h, w)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, c // FOLD**3, d * FOLD, h * FOLD, w * FOLD)


class ResidualBlock(nn.Module):
    """Two 3x3x3 convolutions with a skip connection and no normalisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(width, width, 3, padding=1)
        self.second = nn.Conv3d(width, width, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.second(functional.relu(self.first(x)))

    def stream(self) -> Stream:
        """The same, slab after slab."""
        relu = EachSlice(torch.relu_)
        return Skip(Chain(Convolution(self.first), relu, Convolution(self.second)))


def start_at_zero(layer: nn.Module) -> None:
    """Let the output of a convolution be zero before training."""
    for values in layer.parameters():
        nn.init.zeros_(values)


def box_mean(x: torch.Tensor, edge: int) -> torch.Tensor:
    """Mean over a cube of ``edge`` voxels around each; the border voxels are repeated outwards."""
    # Sums of shifted views: torch's pooling takes ten times as long on a CPU.
    x = functional.pad(x, (edge // 2,) * 6, mode="replicate")
    for axis in (-3, -2, -1):
        x = running_sum(x, axis, edge)
    return x / edge**3


def running_sum(x: torch.Tensor, axis: int, count: int) -> torch.Tensor:
    """Sums of every ``count`` neighbours along an axis, which is ``count`` - 1 shorter then."""
    size = x.shape[axis] - count + 1
    # Of sums of 1, 2, 4, ... neighbours those that add up to the count.
    sums, length, total, summed = x, 1, None, 0
    while length <= count:
        if count & length:
            part = sums.narrow(axis, summed, size)
            total = part if total is None else total + part
            summed += length
        if 2 * length <= count:
            rest = sums.shape[axis] - length
            sums = sums.narrow(axis, 0, rest) + sums.narrow(axis, length, rest)
        length *= 2
    assert total is not None  # a count has at least one bit
    return total


def in_planes(x: torch.Tensor) -> torch.Tensor:
    """The same values (B, C, D, H, W), each channel one piece of memory.

    Slice by slice as a transposed matrix, which on a CPU is several times as fast as torch's
    general way from channels that lie side by side.
    """
    if x.device.type != "cpu" or x.is_contiguous():
        return x.contiguous()
    b, c, d, h, w = x.shape
    slices = [
        image[:, k].permute(1, 2, 0).reshape(h * w, c).t().contiguous()
        for image in x
        for k in range(d)
    ]
    return torch.stack(slices).reshape(b, d, c, h, w).transpose(1, 2)


def pointwise_in_planes(x: torch.Tensor, layer: nn.Conv3d) -> torch.Tensor:
    """What a convolution of single voxels gives for (B, C, D, H, W), each channel one piece.

    A product of matrices writes the channels as planes at once, where they would have to be moved
    after a convolution of channels that lie side by side.
    """
    assert layer.bias is not None
    b, c, d, h, w = x.shape
    if x.is_contiguous():
        voxels = x.flatten(2)
    else:
        voxels = x.permute(0, 2, 3, 4, 1).reshape(b, d * h * w, c).transpose(1, 2)
    weight = layer.weight.flatten(1).expand(b, -1, -1)
    planes = torch.baddbmm(layer.bias[:, None], weight, voxels)
    return planes.reshape(b, -1, d, h, w)


def in_thin_slabs(
    function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, reach: int
) -> torch.Tensor:
    """What a function gives for (B, C, D, H, W), in slabs along D that a processor's cache holds.

    Args:
        reach: how many slices on each side it looks at.
    """
    depth, count = x.shape[2], slices_together(x)
    if depth <= count:
        return function(x)
    found = []
    for start in range(0, depth, count):
        first, stop = max(0, start - reach), min(depth, start + count)
        y = function(x[:, :, first : stop + reach])
        found.append(y[:, :, start - first : stop - first])
    return torch.cat(found, dim=2)


def slices_together(x: torch.Tensor) -> int:
    """How many slices of (..., D, H, W) a processor's cache holds, an even number; on a GPU all."""
    depth, rows, columns = x.shape[-3:]
    if x.device.type != "cpu":
        return depth
    return max(FEWEST_TOGETHER, MOST_TOGETHER // (rows * columns) // 2 * 2)


def log_scaled(x: torch.Tensor) -> torch.Tensor:
    """The inverse hyperbolic sine; torch's own takes up to ten times as long on a CPU."""
    # The square of a larger, damaged value would be infinite.
    size = x.abs().clamp_max_(LARGEST_SCALED)
    square = size.square()
    root = (square + 1).sqrt_()
    # In place where that can be: every new array of this size costs as much as its arithmetic.
    return torch.addcdiv(size, square, root + 1).log1p_().copysign_(x)
