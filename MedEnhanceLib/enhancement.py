"""The one call that does everything: a volume in, a `Result` out."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

from MedEnhanceLib.assessment import check_noise_level, check_volume, known_modality, suitability
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.catalog import Catalog
from MedEnhanceLib.costs import Cost, measured
from MedEnhanceLib.errors import OptionsError, UnsuitableError
from MedEnhanceLib.model import Model
from MedEnhanceLib.options import (
    OPTIONS_OF_TASK,
    DenoiseOptions,
    Options,
    SegmentOptions,
    SuperResolutionOptions,
    options_from_json,
)
from MedEnhanceLib.progress import Reporter
from MedEnhanceLib.provenance import provenance
from MedEnhanceLib.result import CancelCallback, Measure, ProgressCallback, Result
from MedEnhanceLib.task import Task
from MedEnhanceLib.tasks.denoise import denoise
from MedEnhanceLib.tasks.ensemble import check_uncertainty
from MedEnhanceLib.tasks.network import Traces
from MedEnhanceLib.tasks.segment import segment
from MedEnhanceLib.tasks.super_resolution import super_resolve
from MedEnhanceLib.volume import LabelMap, Volume, check_is_volume


def enhance(
    volume: Volume,
    task: Task | str,
    model: str = "auto",
    options: Options | dict[str, Any] | None = None,
    *,
    guide: Volume | None = None,
    catalog: Catalog | None = None,
    progress: ProgressCallback | None = None,
    cancel: CancelCallback | None = None,
) -> Result:
    """Denoise, super-resolve or segment a volume. The input is not changed.

    Args:
        volume: scalar 3D volume.
        task: a `Task` or its name.
        model: id of a model, or "auto" for the one that suits the volume.
        options: of the task's type, or a dictionary of its fields.
        guide: for denoising, a second contrast of the same patient whose header says about
            where it lies; it is registered, and only a model that takes a guide uses it.
        catalog: where models are looked up; by default `Catalog.default()`.
        progress: called with `Progress` as the run goes on.
        cancel: asked often; the run ends with `CancelledError` when it says yes.

    Raises:
        MedEnhanceError: each of its kinds says in one sentence what happened and what to do.
    """
    started = time.monotonic()
    task = Task.named(str(task))
    checked = _checked_options(task, options)
    check_is_volume(volume, "volume")
    check_volume(volume)
    _check_guide(task, guide)
    catalog = catalog or Catalog.default()
    guided = guide is not None
    chosen = catalog.best(task, volume, guided) if model == "auto" else catalog.find(model)
    noise = checked.noise if isinstance(checked, DenoiseOptions) else None
    if noise is not None:
        check_noise_level(volume, noise)
    warnings = _fit(volume, task, chosen, noise)
    checked = _as_used(checked, chosen)
    if checked.uncertainty:
        check_uncertainty(chosen)
    reporter = Reporter(progress, cancel)
    reporter.phase("Preparing", 0.01)
    modality, how = known_modality(volume, chosen)
    units = volume.units or ("HU" if modality == "CT" else "")
    seen = replace(volume, modality=modality, units=units)
    made, cost = measured(partial(_run, seen, guide, chosen, catalog, checked, reporter))
    reporter.finish()
    output, measures, found, traces = made
    if isinstance(output, Volume):
        # What was only guessed is not stated.
        output = replace(output, modality=volume.modality, units=volume.units)
    told = {"input_modality": f"{modality}, {how}" if modality else ""}
    facts = {**told, **traces.facts, **_cost_facts(cost)}
    return Result(
        task,
        output,
        tuple(measures),
        provenance(volume, chosen, checked, time.monotonic() - started, **facts),
        (*warnings, *found, *traces.notes),
        traces.uncertainty,
    )


def _denoiser_of(model: Model, catalog: Catalog) -> Model | None:
    """The model that removes noise before this one runs, if it names one that is there."""
    name = model.denoiser if isinstance(model, Bundle) else ""
    return next((m for m in catalog.models(Task.DENOISE) if m.id == name), None)


def _cost_facts(cost: Cost) -> dict[str, float]:
    facts = {"core_seconds": round(cost.core_seconds, 2)}
    if cost.peak_mb is not None:
        facts["peak_memory_mb"] = round(cost.peak_mb)
    return facts


def _checked_options(task: Task, options: Options | dict[str, Any] | None) -> Options:
    if options is None or isinstance(options, dict):
        return options_from_json(task, options or {})
    if not isinstance(options, OPTIONS_OF_TASK[task]):
        raise OptionsError(
            f"{type(options).__name__} are not the options of {task}; give "
            f"{OPTIONS_OF_TASK[task].__name__}."
        )
    return options


def _as_used(options: Options, model: Model) -> Options:
    """The options as they are followed: a filter's classes lie in many pieces, and all are kept."""
    if isinstance(options, SegmentOptions) and not model.is_trained:
        return replace(options, keep_largest=False)
    return options


def _check_guide(task: Task, guide: Volume | None) -> None:
    if guide is None:
        return
    check_is_volume(guide, "guide")
    if task is not Task.DENOISE:
        raise OptionsError(f"A guide helps in denoising only, not in {task}; leave it out.")


def _fit(volume: Volume, task: Task, model: Model, noise: float | None) -> tuple[str, ...]:
    """Warnings of a model that may run; raises when it may not."""
    if model.task is not task:
        raise OptionsError(
            f"The model '{model.id}' is for {model.task}, not for {task}; choose another."
        )
    verdict = suitability(volume, model, noise)
    if verdict.verdict == "refused":
        raise UnsuitableError(verdict.reasons[0])
    return verdict.reasons


def _run(
    volume: Volume,
    guide: Volume | None,
    model: Model,
    catalog: Catalog,
    options: Options,
    reporter: Reporter,
) -> tuple[Volume | LabelMap, list[Measure], list[str], Traces]:
    if isinstance(options, DenoiseOptions):
        return denoise(volume, model, options, reporter, guide)
    if isinstance(options, SuperResolutionOptions):
        return super_resolve(volume, model, options, reporter, _denoiser_of(model, catalog))
    assert isinstance(options, SegmentOptions)  # the three are all there are
    return segment(volume, model, options, reporter)
