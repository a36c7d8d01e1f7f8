"""The networks MedEnhance ships weights for.

Both have their body at half resolution: neighbouring voxels are first folded into channels
(space-to-depth, as in FFDNet, Zhang et al. 2018, doi:10.1109/TIP.2018.2839891), a stack of
residual blocks without normalisation layers follows (as in EDSR, Lim et al. 2017,
arXiv:1707.02921), and the channels are unfolded again. This makes a wide view cheap on a CPU,
and leaves a bounded receptive field, so that the engine can tile exactly.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

FOLD = 2
DETAIL_REACH = 1
"""Voxels on each side that `local_detail` looks at."""
DETAIL_GAIN = 10.0
SIGMA_GAIN = 10.0
"""Detail and noise are a few per cent of the peak; these bring them to the image's size."""
LEAST_SIGMA = 1e-4
NEIGHBOURS = 27
TAPS = NEIGHBOURS + 2
"""What a denoised voxel is the mean of: its 3x3x3 neighbours, and the means over 5 and 9 voxels."""
WIDE_REACH = 4
"""Voxels on each side that the widest mean looks at."""
CENTRE_LOGIT = 2.5
"""Training starts from a mean that is mostly the voxel itself."""

SHARPENING_REACH = 7
SHARPENING_POWERS = 3
SHARPENING_SIGMA = 0.02
"""Noise, as a share of the peak, at which linear sharpening is halved."""


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


def local_detail(x: torch.Tensor) -> torch.Tensor:
    """What an image (B, 1, D, H, W) has beyond the mean of each voxel's 3x3x3 surroundings."""
    return x - functional.avg_pool3d(x, 3, stride=1, padding=1, count_include_pad=False)


class ResidualBlock(nn.Module):
    """Two 3x3x3 convolutions with a skip connection and no normalisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(width, width, 3, padding=1)
        self.second = nn.Conv3d(width, width, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.second(functional.relu(self.first(x)))


class HalfResolutionNet(nn.Module):
    """Space-to-depth, a residual body at half resolution, depth-to-space.

    Input (B, in_channels, D, H, W), output (B, out_channels, D, H, W); D, H and W must be even.
    """

    def __init__(self, in_channels: int, width: int, blocks: int, out_channels: int = 1) -> None:
        super().__init__()
        self.head = nn.Conv3d(in_channels * FOLD**3, width, 3, padding=1)
        self.body = nn.Sequential(*[ResidualBlock(width) for _ in range(blocks)])
        self.tail = nn.Conv3d(width, out_channels * FOLD**3, 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]
        self.convolutions = 2 + 2 * blocks

    @property
    def halo(self) -> int:
        """Voxels on each side of an output voxel that may influence it."""
        return FOLD * self.convolutions + FOLD - 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return depth_to_space(self.folded(x))

    def folded(self, x: torch.Tensor) -> torch.Tensor:
        """The output before it is unfolded: (B, out_channels * 8, D/2, H/2, W/2)."""
        return self.tail(self.body(self.head(space_to_depth(x))))


class NoiseAwareDenoiser(nn.Module):
    """Removes noise of a known level: each voxel becomes a weighted mean of its surroundings.

    Input (B, 2, D, H, W): the image over its robust peak, and the noise's standard deviation
    in the same unit (constant or varying over the volume). Output (B, 1, D, H, W): the clean
    image. D, H, W must be even.

    A residual body at half resolution looks at the image and at its detail in units of sigma,
    in which noise always looks alike. It predicts, for every voxel, the weights of its 27
    neighbours and of two wider means, as in kernel-predicting networks (Bako et al. 2017,
    doi:10.1145/3072959.3073708), and a remainder in units of sigma, which takes the Rician bias
    away. Weights are positive and sum to one, so nothing brighter or darker than its
    surroundings can be invented but for the remainder.
    """

    def __init__(self, width: int = 32, blocks: int = 4) -> None:
        super().__init__()
        self.kernels = HalfResolutionNet(4, width, blocks, out_channels=TAPS + 1)
        centre = NEIGHBOURS // 2 * FOLD**3
        with torch.no_grad():
            self.kernels.tail.bias[centre : centre + FOLD**3] = CENTRE_LOGIT  # type: ignore[index]

    @property
    def halo(self) -> int:
        """Voxels on each side of an output voxel that may influence it."""
        return self.kernels.halo + WIDE_REACH

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        image, sigma = x[:, :1], x[:, 1:2]
        near, middle = box_mean(image, 3), box_mean(image, 5)
        wide = box_mean(middle, 5)
        unit = sigma.clamp_min(LEAST_SIGMA)
        features = torch.cat(
            [
                image,
                sigma * SIGMA_GAIN,
                torch.asinh((image - near) / unit),
                torch.asinh((near - wide) / unit),
            ],
            dim=1,
        )
        *logits, remainder = self.kernels.folded(features).split(FOLD**3, dim=1)
        mean = weighted_mean(logits, image, (middle, wide))
        clean = depth_to_space(mean) + sigma * depth_to_space(remainder)
        return torch.where(sigma > 0, clean, image)


def box_mean(x: torch.Tensor, edge: int) -> torch.Tensor:
    """Mean over a cube of ``edge`` voxels around each; the border voxels are repeated outwards."""
    x = functional.pad(x, (edge // 2,) * 6, mode="replicate")
    for kernel in ((edge, 1, 1), (1, edge, 1), (1, 1, edge)):
        x = functional.avg_pool3d(x, kernel, stride=1)
    return x


def weighted_mean(
    logits: list[torch.Tensor], image: torch.Tensor, means: tuple[torch.Tensor, ...]
) -> torch.Tensor:
    """Mean of each voxel's 27 neighbours and of wider means, by predicted weights.

    Works on folded voxels, one tap after the other, so that no array of all weights at full
    resolution is ever made.

    Args:
        logits: for each tap (B, 8, D/2, H/2, W/2); their softmax over the taps are the weights.
        image: (B, 1, D, H, W).
        means: images of the same shape, the last taps.

    Returns:
        (B, 8, D/2, H/2, W/2), folded as by :func:`space_to_depth`.
    """
    largest = logits[0].detach()
    for logit in logits[1:]:
        largest = torch.maximum(largest, logit.detach())
    padded = functional.pad(image, (1,) * 6, mode="replicate")
    size = image.shape[2:]
    total = weights = torch.zeros_like(largest, dtype=image.dtype)
    for tap, logit in enumerate(logits):
        if tap < NEIGHBOURS:
            corner = (tap // 9, tap // 3 % 3, tap % 3)
            k, j, i = (slice(c, c + n) for c, n in zip(corner, size, strict=True))
            values = padded[:, :, k, j, i]
        else:
            values = means[tap - NEIGHBOURS]
        # In the image's precision: averaging in half precision would add noise of its own.
        weight = torch.exp((logit - largest).to(image.dtype))
        total = total + weight * space_to_depth(values)
        weights = weights + weight
    return total / weights


class Sharpening(nn.Module):
    """A linear sharpening along D whose strength follows the refinement factor.

    A symmetric kernel that leaves constants alone, made of second differences over 1 to 7
    voxels; each of their weights is a parabola in the factor. Beyond the ends the outermost
    voxel is repeated. This much of the way back through a slice profile is linear, and can be
    fitted by least squares before training.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(SHARPENING_POWERS, SHARPENING_REACH))

    def forward(self, image: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        half = self.weights / 2
        centre = -2 * half.sum(dim=1, keepdim=True)
        kernel = torch.cat([half.flip(1), centre, half], dim=1)[:, None, :, None, None]
        ends = (0, 0, 0, 0, SHARPENING_REACH, SHARPENING_REACH)
        changes = functional.conv3d(functional.pad(image, ends, mode="replicate"), kernel)
        powers = torch.cat([factor**power for power in range(SHARPENING_POWERS)], dim=1)
        return (changes * powers).sum(dim=1, keepdim=True)


class ThroughPlaneSuperResolver(nn.Module):
    """Sharpens a volume that was interpolated along its first spatial axis (D).

    Input (B, 3, D, H, W): the interpolated image over its robust peak; the refinement factor
    along D (1 = none) divided by 4; the noise's standard deviation in the image's unit.
    Output (B, 1, D, H, W): the sharpened image. D, H, W must be even.
    """

    def __init__(self, width: int = 40, blocks: int = 4) -> None:
        super().__init__()
        self.sharpening = Sharpening()
        self.residual = HalfResolutionNet(5, width, blocks)

    @property
    def halo(self) -> int:
        """Voxels on each side of an output voxel that may influence it."""
        return self.residual.halo + SHARPENING_REACH

    def sharpened(self, x: torch.Tensor) -> torch.Tensor:
        """The linear part alone: the image sharpened along D, the less the noisier it is."""
        image, factor, sigma = x[:, :1], x[:, 1:2], x[:, 2:3]
        trust = 1 / (1 + (sigma / SHARPENING_SIGMA) ** 2)
        return image + self.sharpening(image, factor) * trust

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        image, factor, sigma = x[:, :1], x[:, 1:2], x[:, 2:3]
        sharper = self.sharpened(x) - image
        details = (local_detail(image) * DETAIL_GAIN, sharper * DETAIL_GAIN)
        features = torch.cat([image, factor, sigma * SIGMA_GAIN, *details], dim=1)
        return image + sharper + self.residual(features) / DETAIL_GAIN
