"""Super-resolution: refine axis by axis, and stay true to what was measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.acquisition import (
    FACTOR_UNIT,
    PARTS,
    apply_to_shape,
    interpolate_axis,
    interpolation_matrix,
    joined_parts,
)
from MedEnhanceLib.assessment import check_estimate, is_ct
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.filters import Filter
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.intensity import Scaling, largest_usual, robust_peak, scaling_named
from MedEnhanceLib.mirrors import Axes
from MedEnhanceLib.model import Model
from MedEnhanceLib.noise import estimate_noise, prudent_level
from MedEnhanceLib.options import SuperResolutionOptions
from MedEnhanceLib.progress import Reporter
from MedEnhanceLib.quality.added_detail import unaccounted_voxels
from MedEnhanceLib.quality.evidence import GRAVE_VOXELS, object_mask, super_resolution_evidence
from MedEnhanceLib.resample import resample
from MedEnhanceLib.result import Measure
from MedEnhanceLib.slice_profile import USUAL_WIDTH, estimate_profile_width
from MedEnhanceLib.tasks.consistency import (
    Widths,
    acquire,
    contradictions,
    floor_of,
    made_consistent,
    rms,
)
from MedEnhanceLib.tasks.denoise import without_noise
from MedEnhanceLib.tasks.ensemble import (
    SPREAD_MEANING,
    mirrored,
    over_mirrors,
    told_of_spread,
    uncertainty_evidence,
)
from MedEnhanceLib.tasks.finer_grid import AXIS_NAMES, target_geometry
from MedEnhanceLib.tasks.masked import keep_air_on_finer_grid, padding_as_air
from MedEnhanceLib.tasks.network import (
    FILTER_TRACES,
    Traces,
    in_units,
    open_network,
    traces_of,
    with_helper,
)
from MedEnhanceLib.volume import Volume

# Of the peak. An estimated profile is a little off: what agrees better with it is not closer to the
# truth.
CONSISTENCY_GOAL_PERCENT = 0.4
PROFILE_MEANING = "Full width at half maximum of the profile that was sharpened by."
CHECKED_MEANING = "Full width at half maximum of the profile that the output was checked with."
DENOISED_MEANING = "Standard deviation of the noise, which was removed before sharpening."


def super_resolve(
    volume: Volume,
    model: Model,
    options: SuperResolutionOptions,
    reporter: Reporter,
    denoiser: Model | None = None,
) -> tuple[Volume, list[Measure], list[str], Traces]:
    """The refined volume (float32, same field of view), evidence and warnings.

    ``denoiser`` removes noise beforehand, when asked to or when there is much: what is sharpened
    afterwards would be the noise. A CT's padding comes back as it is, and is air to all that looks
    at it.
    """
    seen, padding = padding_as_air(volume)
    fine, measures, warnings, traces = _refined(seen, model, options, reporter, denoiser)
    if padding is None:
        return fine, measures, warnings, traces
    put_back, was = (
        resample(part, volume.geometry, fine.geometry, "nearest")
        for part in (padding, volume.voxels)
    )
    return fine.with_voxels(np.where(put_back > 0, was, fine.voxels)), measures, warnings, traces


def _refined(
    volume: Volume,
    model: Model,
    options: SuperResolutionOptions,
    reporter: Reporter,
    denoiser: Model | None,
) -> tuple[Volume, list[Measure], list[str], Traces]:
    target = target_geometry(volume.geometry, options)
    _check_denoiser(model, options, denoiser)
    reporter.phase("Estimating the noise", 0.05)
    sigma = estimate_noise(volume.voxels, not is_ct(volume))
    check_estimate(volume, sigma)
    seen = _Seen(volume, sigma, FILTER_TRACES)
    if denoiser is not None and _is_denoised_first(volume, sigma, model, options):
        reporter.phase("Removing noise", 0.4)
        seen = _denoised(volume, denoiser, sigma, options, reporter)
    widths = _profile_widths(seen.volume, target, options, seen.noise)
    reporter.phase("Adding resolution", 0.85)
    interpolated = apply_to_shape(interpolation_matrix, volume.voxels, target.shape)
    if isinstance(model, Filter):
        fine, traces = model.run(volume.voxels, volume.geometry, target), FILTER_TRACES
    else:
        fine, traces = _sharpened(seen.volume, target, model, options, seen.noise, widths, reporter)
        traces = _with_denoiser(traces, denoiser, seen.traces)
    reporter.phase("Checking against the input", 0.92)
    if not isinstance(model, Filter):
        fine = made_consistent(seen.volume.voxels, fine, _goal(volume, seen), widths)
    fine = np.maximum(fine, floor_of(volume.voxels), out=fine)
    keep_air_on_finer_grid(volume, fine, target)
    difference = volume.voxels - acquire(fine, volume.voxels.shape, widths)
    reporter.phase("Measuring what changed", 1.0)
    measures, warnings = _evidence(volume, interpolated, fine, target, difference, sigma)
    meaning = CHECKED_MEANING if isinstance(model, Filter) else PROFILE_MEANING
    measures += _profile_measures(volume.geometry, target, widths, meaning)
    if seen.volume is not volume:
        measures.append(Measure("Noise", sigma, seen.noise, volume.units, DENOISED_MEANING))
    if traces.uncertainty is not None:
        unsure = traces.uncertainty.voxels.copy()
        # The network is not asked where the output is set to zero.
        keep_air_on_finer_grid(volume, unsure, target)
        traces = replace(traces, uncertainty=volume.with_voxels(unsure, target))
        measures += uncertainty_evidence(unsure, object_mask(fine), volume.units, SPREAD_MEANING)
    return volume.with_voxels(fine, target), measures, warnings, traces


@dataclass(frozen=True)
class _Seen:
    """What is refined: the input or what a denoiser made of it, its noise, and how it was made."""

    volume: Volume
    noise: float
    traces: Traces


def _check_denoiser(model: Model, options: SuperResolutionOptions, denoiser: Model | None) -> None:
    if options.denoise and denoiser is None:
        raise OptionsError(
            f"Nothing can remove noise before '{model.id}' runs; choose a model that names a "
            "denoiser, or denoise the volume first and leave that wish out."
        )


def _denoised(
    volume: Volume,
    denoiser: Model,
    sigma: float,
    options: SuperResolutionOptions,
    reporter: Reporter,
) -> _Seen:
    clean, traces = without_noise(volume, denoiser, sigma, options, reporter)
    return _Seen(clean, estimate_noise(clean.voxels, not is_ct(volume)), traces)


def _goal(volume: Volume, seen: _Seen) -> float:
    """How far the output may be from the input, root mean square."""
    scale = largest_usual(volume.voxels)
    # What is left after noise was removed is texture.
    noise = prudent_level(seen.noise, scale) if seen.volume is volume else 0.0
    return max(CONSISTENCY_GOAL_PERCENT * scale / 100, noise)


def _evidence(
    volume: Volume,
    interpolated: NDArray[np.float32],
    fine: NDArray[np.float32],
    target: Geometry,
    difference: NDArray[np.float32],
    sigma: float,
) -> tuple[list[Measure], list[str]]:
    scale = largest_usual(volume.voxels)
    measures, warnings = super_resolution_evidence(
        volume.voxels,
        interpolated,
        fine,
        volume.geometry,
        target,
        100 * rms(difference) / scale,
        100 * sigma / scale,
        volume.units,
    )
    factors = _refined_by(volume.geometry, target)
    unaccounted = unaccounted_voxels(interpolated, fine, factors, sigma)
    warnings += [*contradictions(difference, sigma, scale), *_inventions(unaccounted)]
    return measures, warnings


def _refined_by(source: Geometry, target: Geometry) -> tuple[float, float, float]:
    """How many times finer the target is, (k, j, i)."""
    k, j, i = (fine / coarse for fine, coarse in zip(target.shape, source.shape, strict=True))
    return (k, j, i)


def _inventions(places: int) -> list[str]:
    """A warning when so many voxels show what nothing around them in the input does."""
    if places < GRAVE_VOXELS:
        return []
    return [
        f"At {places:,} voxels the output shows detail where the input is even; it may be invented."
    ]


def _is_denoised_first(
    volume: Volume, sigma: float, model: Model, options: SuperResolutionOptions
) -> bool:
    if options.denoise is not None or not isinstance(model, Bundle):
        return bool(options.denoise) and sigma > 0
    percent = 100 * sigma / robust_peak(volume.voxels)
    return percent >= model.denoise_from_percent


def _with_denoiser(traces: Traces, denoiser: Model | None, cleaned: Traces) -> Traces:
    """What was done beforehand belongs to how the result was made."""
    if denoiser is None or cleaned is FILTER_TRACES:
        return traces
    before = {"denoised_with": denoiser.id}
    if "weights_sha256" in cleaned.facts:
        before["denoiser_sha256"] = cleaned.facts["weights_sha256"]
    traces = with_helper(traces, cleaned)
    return replace(traces, facts={**traces.facts, **before})


def _profile_measures(
    source: Geometry, target: Geometry, widths: Widths, meaning: str
) -> list[Measure]:
    """Of the axes that were refined; a small factor may leave an axis as it was."""
    sizes = zip(source.size, target.size, strict=True)
    return [
        Measure(f"Slice profile along {name}", None, width, "x spacing", meaning)
        for name, width, (size, finer) in zip(AXIS_NAMES, widths[::-1], sizes, strict=True)
        if finer != size
    ]


def _profile_widths(
    volume: Volume, target: Geometry, options: SuperResolutionOptions, sigma: float
) -> Widths:
    """Of the axes (k, j, i) that are refined, told or estimated; 1 along the others."""
    spacing = volume.geometry.spacing[::-1]
    k, j, i = (
        1.0
        if size == wanted
        else options.profile_width or estimate_profile_width(volume.voxels, axis, spacing, sigma)
        for axis, (size, wanted) in enumerate(zip(volume.voxels.shape, target.shape, strict=True))
    )
    # Rounded, so that the matrices of the acquisition are made only once.
    return (round(k, 2), round(j, 2), round(i, 2))


def _sharpened(
    volume: Volume,
    target: Geometry,
    model: Model,
    options: SuperResolutionOptions,
    sigma: float,
    widths: Widths,
    reporter: Reporter,
) -> tuple[NDArray[np.float32], Traces]:
    """Refine axis after axis with the network, in steps no larger than it was trained on."""
    assert isinstance(model, Bundle)  # the catalogue holds filters and bundles only
    forward = open_network(model, options, reporter)
    scaling = scaling_named(model.input.normalisation, volume.voxels)
    image = scaling.normalise(volume.voxels)
    steps = _steps(volume.geometry.shape, target.shape, model.ranges.get("factor", (1.0, 4.0))[1])

    def level_of(image: NDArray[np.float32]) -> float:
        # In the volume's unit, since that of CT is looked for in soft tissue.
        voxels = in_units(image.copy(), scaling, model)
        return estimate_noise(voxels, not is_ct(volume)) / scaling.scale

    def run(axes: Axes) -> NDArray[np.float32]:
        seen, noise = mirrored(image, axes), sigma / scaling.scale
        fine = _refine(seen, steps, noise, level_of, widths, forward, options.tile, reporter)
        return mirrored(fine, axes)

    if not options.uncertainty:
        return in_units(run(()), scaling, model), traces_of(forward)
    fine, spread = over_mirrors(run, forward, reporter)
    traces = traces_of(forward)
    notes = (*traces.notes, *told_of_spread(fine, spread))
    fine = in_units(fine, scaling, model)
    spread = in_units(spread, Scaling(0.0, scaling.scale), model)
    unsure = volume.with_voxels(spread, target)
    return fine, replace(traces, notes=notes, uncertainty=unsure)


def _refine(
    image: NDArray[np.float32],
    steps: list[tuple[int, int]],
    noise: float,
    level_of: Callable[[NDArray[np.float32]], float],
    widths: Widths,
    forward: Any,
    tile: int | None,
    reporter: Reporter,
) -> NDArray[np.float32]:
    """The image after all steps, each an axis and the size it is refined to.

    ``noise`` is that of the image, ``level_of`` tells it of what became of it.
    """
    for number, (axis, size) in enumerate(reporter.over(steps)):
        forward.done = 0
        level = level_of(image) if number else noise
        first = all(axis != before for before, _ in steps[:number])
        width = widths[axis] if first else USUAL_WIDTH
        image = _refine_axis(image, axis, size, level, width, forward, tile)
    return image


def _steps(
    shape: tuple[int, int, int], target: tuple[int, int, int], largest: float
) -> list[tuple[int, int]]:
    """(axis, size) of each refinement; a factor beyond the trained range is taken in several."""
    steps = []
    for axis in range(3):
        ratio = target[axis] / shape[axis]
        if ratio == 1:
            continue
        count = max(1, math.ceil(math.log(ratio) / math.log(largest) - 1e-6))
        steps += [(axis, round(shape[axis] * ratio ** (n / count))) for n in range(1, count + 1)]
    return steps


def _refine_axis(
    image: NDArray[np.float32],
    axis: int,
    size: int,
    noise: float,
    width: float,
    forward: Any,
    tile: int | None,
) -> NDArray[np.float32]:
    from MedEnhanceLib.engine.inference import regress, regress_all

    spec = forward.bundle.input
    seen = image if spec.thick_slices else interpolate_axis(image, axis, size)
    values = {
        "image": np.moveaxis(seen, axis, 0),
        "factor": size / image.shape[axis] / FACTOR_UNIT,
        "noise": noise,
        "profile": width,
    }
    channels = [values[name] for name in spec.channels]
    if spec.thick_slices:
        fine = joined_parts(regress_all(forward, channels, tile, PARTS), size)
    else:
        fine = regress(forward, channels, tile)
    return np.moveaxis(fine, 0, axis)
