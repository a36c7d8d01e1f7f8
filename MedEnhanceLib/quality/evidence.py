"""What a run changed, measured on the run itself, and warnings when it changed too much."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.intensity import largest_usual, object_threshold
from MedEnhanceLib.noise import estimate_noise, noise_in_parts
from MedEnhanceLib.quality.removed_signal import CT_WINDOW, WINDOW, RemovedSignal, removed_signal
from MedEnhanceLib.quality.separable import box_mean
from MedEnhanceLib.quality.sharpness import (
    edge_mask,
    edge_sharpness,
    enough_slices,
    gradient_in,
)
from MedEnhanceLib.quality.tissue_contrast import tissue_contrast
from MedEnhanceLib.result import Measure
from MedEnhanceLib.slabs import filtered, mean_inside, quantile, sample

# Noise alone exceeds 1.5 sigma over 27 voxels in 0.02 % of places (chi-squared), and in 0.6 %
# when sigma was estimated a tenth too low; more than 2 % is anatomy.
EXPLAINED_SIGMAS = 1.5
UNEXPLAINED_PERCENT = 2.0
STRUCTURE_CORRELATION = 0.25
# Noise alone is nowhere twice as strong as what it explains; a small structure is, in as many
# places as the window has voxels.
GRAVE_VOXELS = 27
MEAN_SHIFT_PERCENT = 2.0
CONSISTENCY_PERCENT = 2.0
MOST_TOLERATED_PERCENT = 40.0
UNEVEN_RATIO, UNEVEN_FROM_PERCENT = 2.0, 4.0
# Estimates of noise that is the same everywhere are hardly too low; where it triples from one side
# to the other, they are of about its mean.
TOLD_OVER_ESTIMATE = 2.0
# Noise of CT differs within the body: between the hips it is twice that of the flanks.
CT_EXPLAINED_SIGMAS = 2.0
CT_MEAN_SHIFT_HU = 2.0
CT_BODY_ABOVE_HU = -500
AT_ONCE = 2


def _body(voxels: NDArray[Any]) -> NDArray[np.bool_]:
    """All but air and lung in HU; in a crop without air Otsu's threshold would find the bones."""
    inside = voxels > CT_BODY_ABOVE_HU
    return inside if inside.any() else np.ones(voxels.shape, bool)


def object_mask(voxels: NDArray[Any]) -> NDArray[np.bool_]:
    """The object (k, j, i): Otsu's foreground, or everything when there is none."""
    smooth = filtered(voxels, partial(box_mean, radius=(1, 1, 1)), 1)
    inside: NDArray[np.bool_] = smooth > object_threshold(sample(smooth))
    return inside if inside.any() else np.ones(voxels.shape, bool)


def denoise_evidence(
    before: NDArray[Any],
    after: NDArray[Any],
    sigma: float,
    is_mr: bool,
    geometry: Geometry,
    units: str,
) -> tuple[list[Measure], list[str]]:
    """Evidence of denoising, and warnings.

    Args:
        before, after: input and the network's full output (strength 1), (k, j, i).
        sigma: standard deviation of the input's noise, as it was measured.
        is_mr: whether the noise is Rician.
        units: of the voxels, "HU" or "".
    """
    found = _compared(before, after, sigma, is_mr, geometry)
    measures = [
        *_tissue_measures(found, sigma, is_mr, units),
        *_removed_measures(found.removed, _explained(is_mr)),
    ]
    return measures, [*structure_warning(found.removed), *_shift_warning(*found.means, is_mr)]


@dataclass(frozen=True)
class _Compared:
    """What was measured on input and output; pairs are before and after."""

    noise_after: float
    means: tuple[float, float]
    contrast: tuple[float, float] | None
    sharpness: tuple[float, float]
    removed: RemovedSignal


def _compared(
    before: NDArray[Any], after: NDArray[Any], sigma: float, is_mr: bool, geometry: Geometry
) -> _Compared:
    window = WINDOW if is_mr else CT_WINDOW
    limit = _explained(is_mr) * sigma
    # Passes that do not need each other run at once.
    with ThreadPoolExecutor(AT_ONCE) as pool:
        estimating = pool.submit(estimate_noise, after, is_mr)
        inside = object_mask(after) if is_mr else _body(after)
        part = enough_slices(inside)
        differentiating = pool.submit(gradient_in, part, before, geometry)
        gradient = gradient_in(part, after, geometry)
        removed = removed_signal(before, after, inside, part, gradient, window, limit)
        noise_after, gradient_before = estimating.result(), differentiating.result()
    smooth = inside[part.core] & (gradient <= quantile(gradient, inside[part.core], 0.5))
    edges = edge_mask(gradient)
    return _Compared(
        noise_after,
        (mean_inside(before[part.core], smooth), mean_inside(after[part.core], smooth)),
        tissue_contrast(before[part.core], after[part.core], smooth),
        (
            edge_sharpness(edges, gradient_before, before),
            edge_sharpness(edges, gradient, after),
        ),
        removed,
    )


def _explained(is_mr: bool) -> float:
    """How many times the noise may be taken away without being more than noise."""
    return EXPLAINED_SIGMAS if is_mr else CT_EXPLAINED_SIGMAS


def _tissue_measures(found: _Compared, sigma: float, is_mr: bool, units: str) -> list[Measure]:
    noise = (sigma, found.noise_after)
    signal = _over_noise(
        "Signal to noise",
        found.means,
        noise,
        "Mean of homogeneous tissue over the noise; more is better.",
    )
    return [
        Measure("Noise", *noise, units, "Standard deviation; less is better."),
        # Zero is water in HU: the mean of CT is no measure of the signal.
        *([signal] if is_mr else []),
        _over_noise(
            "Contrast to noise",
            found.contrast,
            noise,
            "Difference of bright and dark homogeneous tissue over the noise; more is better.",
        ),
        Measure(
            "Edge sharpness",
            *found.sharpness,
            "%/mm",
            "Mean gradient at the strongest edges; should hardly fall.",
        ),
        Measure(
            "Mean of homogeneous tissue",
            *found.means,
            units,
            f"Should not move{', but for the Rician bias at low signal' if is_mr else ''}.",
        ),
    ]


def _over_noise(
    name: str, values: tuple[float, float] | None, noise: tuple[float, float], meaning: str
) -> Measure:
    if values is None:
        return Measure(name, None, None, "", meaning)
    before, after = (v / level if level else None for v, level in zip(values, noise, strict=True))
    return Measure(name, before, after, "", meaning)


def _removed_measures(removed: RemovedSignal, explained: float) -> list[Measure]:
    return [
        Measure(
            "Removed signal: correlation with edges",
            None,
            removed.edge_correlation,
            "",
            "0 or less when only noise was removed; towards 1 when the anatomy was.",
        ),
        Measure(
            "Removed signal: more than noise",
            None,
            removed.unexplained_percent,
            "% of object",
            f"Where over {explained:g} times the noise was taken away; near 0 for noise.",
        ),
        Measure(
            "Removed signal: correlation of neighbours",
            None,
            removed.neighbour_correlation,
            "",
            "0 for white noise; more when structure was removed or the noise is correlated.",
        ),
    ]


def told_noise_evidence(told: float, sigma: float, units: str) -> tuple[list[Measure], list[str]]:
    """What the user told of the noise, and a hint when that is far more than was measured."""
    measures = [
        Measure("Noise that was told", told, None, units, "Standard deviation, not measured.")
    ]
    if told <= TOLD_OVER_ESTIMATE * sigma:
        return measures, []
    return measures, [
        f"The noise level told, {told:.3g}, is far more than the {sigma:.3g} that was estimated, "
        "so that anatomy may have been removed; let it be estimated, unless the noise varies or "
        "the image was interpolated, where estimates are too low."
    ]


def uneven_noise_warning(voxels: NDArray[Any]) -> list[str]:
    """A warning when the noise of an MR image (k, j, i) differs much from part to part."""
    parts = noise_in_parts(voxels)
    if len(parts) < 2 or max(parts) < UNEVEN_RATIO * min(parts):
        return []
    least, most = (100 * sigma / largest_usual(voxels) for sigma in (min(parts), max(parts)))
    # Of weak noise most is texture, which differs.
    if most < UNEVEN_FROM_PERCENT:
        return []
    return [
        f"The noise differs within the volume, from {least:.1f} to {most:.1f} % of the peak, but "
        "is taken to be the same everywhere: where it is strong too little is removed, where it is "
        "weak too much; look at the removed signal."
    ]


def structure_warning(removed: RemovedSignal) -> list[str]:
    """A sentence when more than noise was removed, or none."""
    correlation, unexplained = removed.edge_correlation, removed.unexplained_percent
    signs = []
    if unexplained > UNEXPLAINED_PERCENT:
        signs.append(f"in {unexplained:.1f} % of the object more was removed than noise")
    if correlation > STRUCTURE_CORRELATION:
        signs.append(f"correlation with edges {correlation:.2f}")
    if signs:
        return [
            f"The removed signal shows structure ({', '.join(signs)}); look at it before trusting "
            "the result, or lower the strength."
        ]
    if removed.grave_voxels >= GRAVE_VOXELS:
        return [
            f"At {removed.grave_voxels:,} voxels the result differs from the input by far more "
            "than noise: something was taken away or put in; look at the removed signal before "
            "trusting the result."
        ]
    return []


def _shift_warning(mean_before: float, mean_after: float, is_mr: bool) -> list[str]:
    """In percent for MR; in HU for CT, where zero is water and a percentage says nothing."""
    end = "do not measure intensities on the result."
    if not is_mr:
        shift = abs(mean_after - mean_before)
        moved = shift > CT_MEAN_SHIFT_HU
        return [f"The mean of homogeneous tissue moved by {shift:.1f} HU; {end}"] if moved else []
    shift = 100 * abs(mean_after - mean_before) / max(abs(mean_before), np.finfo(float).tiny)
    moved = shift > MEAN_SHIFT_PERCENT
    return [f"The mean of homogeneous tissue moved by {shift:.1f} %; {end}"] if moved else []


def super_resolution_evidence(
    before: NDArray[Any],
    interpolated: NDArray[Any],
    after: NDArray[Any],
    source: Geometry,
    target: Geometry,
    residual_percent: float,
    tolerated_percent: float,
    units: str,
) -> tuple[list[Measure], list[str]]:
    """Evidence of super-resolution, and warnings.

    Args:
        before: the input on ``source``; interpolated, after: on ``target``.
        residual_percent: of the data consistency, root mean square in percent of the peak.
        tolerated_percent: what the input's own noise leaves of it.
        units: of the voxels, "HU" or "".
    """
    part = enough_slices(after > after.mean())
    gradient = gradient_in(part, after, target)
    edges = edge_mask(gradient)
    measures = [
        Measure(name, old, new, "mm", "Distance of voxel centres.")
        for name, old, new in zip(
            ("Spacing x", "Spacing y", "Spacing z"), source.spacing, target.spacing, strict=True
        )
    ]
    measures += [
        Measure(
            "Edge sharpness",
            edge_sharpness(edges, gradient_in(part, interpolated, target), interpolated),
            edge_sharpness(edges, gradient, after),
            "%/mm",
            "Mean gradient at the strongest edges, before: plain interpolation.",
        ),
        Measure(
            "Mean",
            float(before.mean(dtype=np.float64)),
            float(after.mean(dtype=np.float64)),
            units,
            "Of the whole volume; should not move.",
        ),
        Measure(
            "Data consistency",
            None,
            residual_percent,
            "% of peak",
            "What is left between the input and the output put back into thick slices.",
        ),
    ]
    return measures, _consistency_warning(residual_percent, tolerated_percent)


def _consistency_warning(residual_percent: float, tolerated_percent: float) -> list[str]:
    tolerated = min(2 * tolerated_percent, MOST_TOLERATED_PERCENT)
    if residual_percent <= max(CONSISTENCY_PERCENT, tolerated):
        return []
    return [
        f"The output, put back into thick slices, differs from the input by "
        f"{residual_percent:.2f} % of the peak; details may be invented."
    ]


def segment_evidence(volumes_ml: dict[str, float]) -> tuple[list[Measure], list[str]]:
    """Volume of each structure, and a warning for what was not found."""
    measures = [
        Measure(f"Volume of {name}", None, ml, "ml", "Voxel count times voxel volume.")
        for name, ml in volumes_ml.items()
    ]
    missing = [name for name, ml in volumes_ml.items() if ml == 0]
    if volumes_ml and len(missing) == len(volumes_ml):
        return measures, ["Nothing was found; check that the volume shows what the model is for."]
    return measures, [f"'{name}' was not found." for name in missing]
