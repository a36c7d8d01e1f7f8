"""Super-resolution, measured: acquire in thick slices, refine, compare with the thin ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.acquisition import Profile, add_rician_noise, thick_slices
from MedEnhanceLib.errors import OptionsError, VolumeError
from MedEnhanceLib.evaluation.costs import measured
from MedEnhanceLib.evaluation.denoising import cheaper
from MedEnhanceLib.evaluation.methods import Method, Row
from MedEnhanceLib.evaluation.quieting import Subject
from MedEnhanceLib.intensity import robust_peak
from MedEnhanceLib.options import SuperResolutionOptions
from MedEnhanceLib.quality.metrics import foreground, psnr, ssim
from MedEnhanceLib.quality.sharpness import edge_mask, edge_sharpness, gradient_magnitude
from MedEnhanceLib.volume import Volume

AXES = "xyz"
Told = Callable[[str], None]


@dataclass(frozen=True)
class Acquisition:
    """How the thick slices are made.

    Attributes:
        factor: thickness in voxels.
        axis: x, y or z of the volume.
        profile: "gaussian" (full width at half maximum one thickness) or "box".
        noise_percent: Rician noise added to the thick slices, in percent of the peak.
        seed: of that noise.
    """

    factor: int = 2
    axis: str = "z"
    profile: Profile = "gaussian"
    noise_percent: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.axis not in tuple(AXES):
            raise OptionsError(f"The axis '{self.axis}' is unknown; choose x, y or z.")
        if self.profile not in ("gaussian", "box"):
            raise OptionsError(f"The profile '{self.profile}' is unknown; choose gaussian or box.")
        if not 2 <= self.factor <= 8:
            raise OptionsError(f"The factor {self.factor} must be a whole number from 2 to 8.")

    def __str__(self) -> str:
        noise = f", noise {self.noise_percent:g} %" if self.noise_percent else ""
        return f"{self.factor}x along {self.axis}, {self.profile}{noise}"

    @property
    def factors(self) -> tuple[float, float, float]:
        """For `SuperResolutionOptions`."""
        x, y, z = (float(self.factor) if name == self.axis else 1.0 for name in AXES)
        return (x, y, z)


@dataclass(frozen=True)
class ThickCase:
    """The thin slices and the thick ones made of them."""

    subject: str
    thin: Volume
    thick: Volume
    condition: str
    peak: float


def thick_case(subject: Subject, acquisition: Acquisition) -> ThickCase:
    """The volume, cut to a whole number of thick slices, and its thick slices."""
    volume = subject.volume
    axis = 2 - AXES.index(acquisition.axis)
    count = volume.voxels.shape[axis] // acquisition.factor
    if count < 2:
        raise VolumeError(
            f"'{subject.name}' has {volume.voxels.shape[axis]} voxels along {acquisition.axis}, "
            f"too few for slices {acquisition.factor} times as thick."
        )
    kept = np.moveaxis(volume.voxels, axis, 0)[: count * acquisition.factor]
    voxels = np.ascontiguousarray(np.moveaxis(kept, 0, axis))
    size = voxels.shape[::-1]
    thin = volume.with_voxels(voxels, volume.geometry.cropped((0, 0, 0), size))
    peak = robust_peak(voxels)
    coarse = thick_slices(voxels, axis, acquisition.factor, acquisition.profile)
    if acquisition.noise_percent:
        rng = np.random.default_rng([acquisition.seed, round(1000 * acquisition.noise_percent)])
        sigma = acquisition.noise_percent / 100 * peak
        coarse = add_rician_noise(np.maximum(coarse, 0), sigma, rng)
    thick = volume.with_voxels(coarse, thin.geometry.resized(coarse.shape[::-1]))
    return ThickCase(subject.name, thin, thick, str(acquisition), peak)


def evaluate_case(
    case: ThickCase,
    methods: Sequence[Method],
    options: SuperResolutionOptions,
    *,
    repeats: int = 1,
    told: Told = lambda text: None,
) -> tuple[list[Row], dict[str, NDArray[np.float32]]]:
    """A row for each method, and the refined voxels. With repeats, methods take turns."""
    ratio = [n / m for n, m in zip(case.thin.geometry.size, case.thick.geometry.size, strict=True)]
    chosen = replace(options, factor=(ratio[0], ratio[1], ratio[2]))
    rows: dict[str, Row] = {}
    outputs: dict[str, NDArray[np.float32]] = {}
    for turn in range(repeats):
        for method in methods:
            told(f"{case.subject}, {case.condition}, {method.id}")
            result, cost = measured(partial(method.run, case.thick, chosen))
            if turn == 0:
                outputs[method.id] = result.volume.voxels
                rows[method.id] = score(case, method.id, result.volume.voxels)
            rows[method.id] = cheaper(rows[method.id], cost.core_seconds, cost.peak_mb)
    return list(rows.values()), outputs


def score(case: ThickCase, method: str, voxels: NDArray[np.float32]) -> Row:
    """How close the refined voxels are to the thin slices."""
    reference = case.thin.voxels.astype(np.float32)
    inside = foreground(reference, case.peak)
    edges = edge_mask(gradient_magnitude(reference, case.thin.geometry))
    true_sharpness = edge_sharpness(reference, case.thin.geometry, edges)
    sharpness = edge_sharpness(voxels, case.thin.geometry, edges)
    values: dict[str, float | None] = {
        "psnr_db": psnr(reference, voxels, case.peak, inside),
        "ssim": ssim(reference, voxels, case.peak, inside),
        "sharpness_percent": 100 * sharpness / true_sharpness if true_sharpness else None,
    }
    return Row(case.subject, case.condition, method, values)
