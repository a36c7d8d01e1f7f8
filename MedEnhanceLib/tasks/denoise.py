"""Denoise: estimate the noise, remove it, keep air and units, and show what was removed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.assessment import check_estimate, is_ct, modality_of
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.filters import Filter
from MedEnhanceLib.guide import Guide, guide_on_grid
from MedEnhanceLib.intensity import ROBUST_PEAK, Scaling, scaling_named
from MedEnhanceLib.mirrors import Axes
from MedEnhanceLib.model import Model
from MedEnhanceLib.noise import estimate_noise, prudent_level
from MedEnhanceLib.options import DenoiseOptions, RunOptions
from MedEnhanceLib.orientation import NO_TURN, axial_turn
from MedEnhanceLib.progress import Reporter
from MedEnhanceLib.provenance import voxel_hash
from MedEnhanceLib.quality.evidence import (
    denoise_evidence,
    object_mask,
    told_noise_evidence,
    uneven_noise_warning,
)
from MedEnhanceLib.result import Measure
from MedEnhanceLib.tasks.ensemble import (
    SPREAD_MEANING,
    mirrored,
    over_mirrors,
    told_of_spread,
    uncertainty_evidence,
)
from MedEnhanceLib.tasks.masked import keep_sign_and_air, padding_as_air
from MedEnhanceLib.tasks.network import FILTER_TRACES, Traces, in_units, open_network, traces_of
from MedEnhanceLib.tiles import Box, bounding_box
from MedEnhanceLib.volume import Volume

# Voxels around the content that are worked on too, so that its rim sees air as it should.
CONTENT_MARGIN = 4


def denoise(
    volume: Volume,
    model: Model,
    options: DenoiseOptions,
    reporter: Reporter,
    guide: Volume | None = None,
) -> tuple[Volume, list[Measure], list[str], Traces]:
    """The denoised volume (float32, in the input's units and place), evidence and warnings.

    A CT's padding comes back as it is, and is air to all that looks at it.
    """
    seen, padding = padding_as_air(volume)
    turn = axial_turn(seen.geometry) if is_ct(seen) else NO_TURN
    turned = seen.with_voxels(turn.apply(seen.voxels), turn.apply_to(seen.geometry))
    clean, measures, warnings, traces = _denoised(turned, model, options, reporter, guide)
    voxels = turn.undo(clean.voxels)
    if traces.uncertainty is not None and "unchanged" not in traces.facts:
        spread = np.array(turn.undo(traces.uncertainty.voxels))
        measures += _spread_measures(seen, spread, options.strength)
        traces = replace(traces, uncertainty=volume.with_voxels(spread))
    if padding is not None:
        voxels = np.where(padding, volume.voxels, voxels).astype(np.float32, copy=False)
    return volume.with_voxels(voxels), measures, warnings, traces


def _spread_measures(volume: Volume, spread: NDArray[np.float32], strength: float) -> list[Measure]:
    """What is told of the spread at full strength, as of all that is measured; it is scaled."""
    inside = object_mask(volume.voxels)
    measures = uncertainty_evidence(spread, inside, volume.units, SPREAD_MEANING)
    spread *= np.float32(strength)
    keep_sign_and_air(volume.voxels, spread)
    return measures


def _denoised(
    volume: Volume,
    model: Model,
    options: DenoiseOptions,
    reporter: Reporter,
    guide: Volume | None,
) -> tuple[Volume, list[Measure], list[str], Traces]:
    if options.strength == 0:
        return _unchanged(volume, options, "The strength is 0")
    is_mr = not is_ct(volume)
    reporter.phase("Estimating the noise", 0.05)
    is_measured = options.evidence or options.noise is None
    measured = estimate_noise(volume.voxels, is_mr) if is_measured else 0.0
    if options.noise is None:
        check_estimate(volume, measured)
    sigma = options.noise or measured
    if sigma == 0:
        return _unchanged(volume, options, "No noise was found")
    aligned = None
    if guide is not None and model.takes_guide:
        reporter.phase("Registering the guide", 0.1)
        aligned = guide_on_grid(guide, volume, options.register_guide)
    reporter.phase("Removing noise", 0.9)
    clean, traces = _clean(volume, aligned, model, sigma, is_mr, options, reporter)
    keep_sign_and_air(volume.voxels, clean)
    reporter.phase("Measuring what changed", 1.0)
    measures: list[Measure] = []
    warnings: list[str] = []
    if options.evidence:
        goes_by_noise = not isinstance(model, Filter) or model.uses_noise
        told = options.noise if goes_by_noise else None
        measures, warnings = _evidence(volume, clean, measured, is_mr, told)
    blended = _blend(volume.voxels, clean, options.strength)
    warnings += _guide_notes(guide, aligned, model)
    if guide is not None and aligned is not None:
        measures += aligned.measures
        traces = replace(traces, facts={**traces.facts, "guide_sha256": voxel_hash(guide)})
    return volume.with_voxels(blended), measures, warnings, traces


def _evidence(
    volume: Volume, clean: NDArray[np.float32], sigma: float, is_mr: bool, told: float | None
) -> tuple[list[Measure], list[str]]:
    """By the noise that was measured, ``sigma``, whatever level was told."""
    measures, warnings = denoise_evidence(
        volume.voxels, clean, sigma, is_mr, volume.geometry, volume.units
    )
    if is_mr:
        warnings += uneven_noise_warning(volume.voxels)
    if told is None:
        return measures, warnings
    level, hints = told_noise_evidence(told, sigma, volume.units)
    return [*measures, *level], [*warnings, *hints]


def _unchanged(
    volume: Volume, options: DenoiseOptions, why: str
) -> tuple[Volume, list[Measure], list[str], Traces]:
    """The result where nothing is to be removed: sure of it, if that was asked for too."""
    traces = replace(FILTER_TRACES, facts={**FILTER_TRACES.facts, "unchanged": True})
    if options.uncertainty:
        sure = volume.with_voxels(np.zeros(volume.voxels.shape, np.float32))
        traces = replace(traces, uncertainty=sure)
    same = volume.with_voxels(volume.voxels.astype(np.float32))
    return same, [], [f"{why}, so nothing was changed."], traces


def without_noise(
    volume: Volume, model: Model, sigma: float, options: RunOptions, reporter: Reporter
) -> tuple[Volume, Traces]:
    """The volume denoised for another task to go on with, in the phase that is being reported."""
    how = DenoiseOptions(device=options.device, precision=options.precision, tile=options.tile)
    is_mr = not is_ct(volume)
    clean, traces = _clean(volume, None, model, sigma, is_mr, how, reporter)
    keep_sign_and_air(volume.voxels, clean)
    return volume.with_voxels(clean), traces


def _guide_notes(guide: Volume | None, aligned: Guide | None, model: Model) -> list[str]:
    """What the user should know of how the guide was, or was not, used."""
    if aligned is not None:
        return aligned.warnings
    if model.takes_guide:
        return [
            f"The model '{model.id}' was given no guide, so it did no more than it can do without; "
            "give a second contrast of the patient as guide."
        ]
    if guide is not None:
        return [f"The model '{model.id}' takes no guide, so the guide was not used."]
    return []


def _clean(
    volume: Volume,
    guide: Guide | None,
    model: Model,
    sigma: float,
    is_mr: bool,
    options: DenoiseOptions,
    reporter: Reporter,
) -> tuple[NDArray[np.float32], Traces]:
    if isinstance(model, Filter):
        # The noise of PET and ultrasound has no Rician bias that could be taken off.
        is_rician = modality_of(volume) in ("", "MR")
        return model.run(volume.voxels, sigma, is_rician, reporter.step), FILTER_TRACES
    assert isinstance(model, Bundle)  # the catalogue holds filters and bundles only
    return _by_network(volume, guide, model, sigma, is_mr, options, reporter)


def _by_network(
    volume: Volume,
    guide: Guide | None,
    model: Bundle,
    sigma: float,
    is_mr: bool,
    options: DenoiseOptions,
    reporter: Reporter,
) -> tuple[NDArray[np.float32], Traces]:
    from MedEnhanceLib.engine.inference import regress

    voxels = volume.voxels
    forward = open_network(model, options, reporter)
    scaling = scaling_named(model.input.normalisation, voxels)
    box = _content(voxels)
    image = scaling.normalise(voxels[box.slices])
    # What the user says is taken as it is.
    told = sigma if options.noise else told_level(sigma, scaling.scale, model, is_mr)
    values: dict[str, NDArray[np.float32] | float] = {
        "image": image,
        "noise": told / scaling.scale,
        **_guide_channels(guide, box, model.input.normalisation),
    }
    channels = [values[name] for name in model.input.channels]

    def run(axes: Axes) -> NDArray[np.float32]:
        seen = [mirrored(c, axes) if isinstance(c, np.ndarray) else c for c in channels]
        return mirrored(regress(forward, seen, options.tile), axes)

    if not options.uncertainty:
        clean = in_units(run(()), scaling, model)
        return _within(box, voxels.shape, clean), traces_of(forward)
    output, spread = over_mirrors(run, forward, reporter)
    traces = traces_of(forward)
    notes = (*traces.notes, *told_of_spread(output, spread))
    clean = _within(box, voxels.shape, in_units(output, scaling, model))
    spread = in_units(spread, Scaling(0.0, scaling.scale), model)
    unsure = volume.with_voxels(_within(box, voxels.shape, spread))
    return clean, replace(traces, notes=notes, uncertainty=unsure)


def told_level(sigma: float, scale: float, model: Bundle, is_mr: bool) -> float:
    """The noise level that a network is told of an estimated one.

    Args:
        sigma: the estimate, in the volume's unit.
        scale: what the model's normalisation divides the volume by.
        is_mr: whether the noise is that of MR.
    """
    if not is_mr or model.input.normalisation != ROBUST_PEAK:
        return sigma
    return prudent_level(sigma, scale)


def _within(box: Box, shape: tuple[int, ...], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values of a box in a volume that is zero outside of it."""
    if values.shape == shape:
        return values
    whole = np.zeros(shape, np.float32)
    whole[box.slices] = values
    return whole


def _guide_channels(
    guide: Guide | None, box: Box, normalisation: str
) -> dict[str, NDArray[np.float32] | float]:
    """The guide and its noise on the network's scale; both zero where there is no guide."""
    if guide is None:
        return {"guide": 0.0, "guide_noise": 0.0}
    scaling = scaling_named(normalisation, guide.voxels)
    reached = guide.reached[box.slices].astype(np.float32)
    noise = np.float32(estimate_noise(guide.voxels) / scaling.scale)
    return {
        "guide": scaling.normalise(guide.voxels[box.slices]) * reached,
        "guide_noise": noise * reached,
    }


def _content(voxels: NDArray[Any]) -> Box:
    """The box outside of which there is only masked-out air, exactly zero."""
    shape = (voxels.shape[0], voxels.shape[1], voxels.shape[2])
    box = bounding_box(voxels)
    return Box((0, 0, 0), shape) if box is None else box.grown(CONTENT_MARGIN, shape)


def _blend(
    before: NDArray[Any], after: NDArray[np.float32], strength: float
) -> NDArray[np.float32]:
    if strength == 1:
        return after
    weight = np.float32(strength)
    return before.astype(np.float32) * (1 - weight) + after * weight
