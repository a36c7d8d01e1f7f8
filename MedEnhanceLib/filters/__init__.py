"""Classical methods, in the same list as the trained models so that anyone can compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.filters.denoising import anisotropic_diffusion, median, non_local_means
from MedEnhanceLib.filters.interpolation import bspline, lanczos
from MedEnhanceLib.filters.thresholding import gaussian_mixture, otsu
from MedEnhanceLib.model import Model
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Label

BRIGHTNESS_CLASSES = (
    Label(1, "Dark class", (70, 130, 180)),
    Label(2, "Middle class", (220, 160, 60)),
    Label(3, "Bright class", (240, 240, 200)),
)
NOT_ANATOMY = "Classes of brightness, not of anatomy."


@dataclass(frozen=True)
class Filter(Model):
    """A classical method.

    Attributes:
        run: denoise: (voxels, sigma, is_mr, step) -> voxels; super-resolution: (voxels, source
            geometry, target geometry) -> voxels; segment: (voxels) -> labels 0 to 3.
        uses_noise: whether it goes by the level of the noise.
    """

    run: Callable[..., NDArray[Any]] = np.array
    uses_noise: bool = False


FILTERS: tuple[Filter, ...] = (
    Filter(
        id="filter-non-local-means",
        title="Non-local means",
        task=Task.DENOISE,
        method="non-local means",
        description="Averages voxels whose surroundings look alike; Rician-aware for MR.",
        run=non_local_means,
        uses_noise=True,
    ),
    Filter(
        id="filter-anisotropic-diffusion",
        title="Anisotropic diffusion",
        task=Task.DENOISE,
        method="curvature anisotropic diffusion",
        description="Smooths along edges, not across them.",
        run=anisotropic_diffusion,
    ),
    Filter(
        id="filter-median",
        title="Median 3x3x3",
        task=Task.DENOISE,
        method="median",
        description="The middle value of each voxel's neighbourhood; blurs fine detail.",
        limits=("Blurs fine detail and thin structures.",),
        run=median,
    ),
    Filter(
        id="filter-bspline",
        title="B-spline, 5th order",
        task=Task.SUPER_RESOLUTION,
        method="B-spline interpolation",
        description="Smooth interpolation; adds no detail.",
        run=bspline,
    ),
    Filter(
        id="filter-lanczos",
        title="Lanczos",
        task=Task.SUPER_RESOLUTION,
        method="Lanczos-windowed sinc interpolation",
        description="Sinc interpolation; adds no detail, may ring at sharp edges.",
        run=lanczos,
    ),
    Filter(
        id="filter-otsu",
        title="Otsu thresholds",
        task=Task.SEGMENT,
        method="Otsu multi-threshold",
        description="Parts the brightness histogram into background and three classes.",
        labels=BRIGHTNESS_CLASSES,
        limits=(NOT_ANATOMY,),
        run=otsu,
    ),
    Filter(
        id="filter-gaussian-mixture",
        title="Gaussian mixture",
        task=Task.SEGMENT,
        method="Gaussian mixture model",
        description="Fits four Gaussians to the brightness histogram.",
        labels=BRIGHTNESS_CLASSES,
        limits=(NOT_ANATOMY,),
        run=gaussian_mixture,
    ),
)
