"""Segment: label what is there, or first find where it is; tidy up, and measure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.assessment import needs_finding
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.filters import Filter
from MedEnhanceLib.model import Model
from MedEnhanceLib.options import SegmentOptions
from MedEnhanceLib.progress import Reporter
from MedEnhanceLib.quality.evidence import segment_evidence
from MedEnhanceLib.result import Measure
from MedEnhanceLib.tasks.ensemble import uncertainty_evidence
from MedEnhanceLib.tasks.finding import find_regions
from MedEnhanceLib.tasks.labelling import labels_with_doubt, network_labels
from MedEnhanceLib.tasks.network import FILTER_TRACES, Traces, open_network, traces_of, with_helper
from MedEnhanceLib.tasks.regions import label_regions, region_evidence, wanted_in_regions
from MedEnhanceLib.tasks.tidying import (
    becoming,
    doubt_when_changed,
    left_out_warnings,
    tidied,
    wanted_labels,
)
from MedEnhanceLib.volume import Label, LabelMap, Volume

if TYPE_CHECKING:
    from MedEnhanceLib.engine.forward import Forward

NEARLY_LABELLED = 0.25
LABELLED_ML = "labelled_ml"
DOUBT_MEANING = "Probability, as the network sees it, that another label is right; mean."


def segment(
    volume: Volume, model: Model, options: SegmentOptions, reporter: Reporter
) -> tuple[LabelMap, list[Measure], list[str], Traces]:
    """The label map on the input's own grid, evidence and warnings."""
    if isinstance(model, Bundle) and needs_finding(volume, model):
        return _segment_whole(volume, model, options, reporter)
    wanted = wanted_labels(model, options)
    if isinstance(model, Filter):
        reporter.phase("Segmenting", 0.8)
        labels, traces = model.run(volume.voxels), FILTER_TRACES
    else:
        assert isinstance(model, Bundle)  # the catalogue holds filters and bundles only
        reporter.phase("Preparing", 0.1)
        forward = open_network(model, options, reporter)
        reporter.phase("Segmenting", 0.8)
        labels, traces = _labelled(volume, forward, options, wanted)
    labelmap, left_out = _tidied(volume, labels, wanted, model, options, reporter)
    if traces.uncertainty is not None:
        doubt = _doubt_of(labelmap, labels, traces.uncertainty.voxels)
        traces = replace(traces, uncertainty=doubt)
    measures, warnings = segment_evidence(labelmap.volumes_ml())
    warnings += left_out
    warnings += _unlikely_volume(volume, labels, model)
    return labelmap, [*measures, *_doubt_measures(labelmap, traces)], warnings, traces


def _unlikely_volume(volume: Volume, labels: NDArray[Any], model: Model) -> list[str]:
    """A sentence when all labels together are smaller or larger than the model's maker knows."""
    if not isinstance(model, Bundle) or LABELLED_ML not in model.ranges:
        return []
    least, most = model.ranges[LABELLED_ML]
    total = float(np.count_nonzero(labels) * np.prod(volume.geometry.spacing)) / 1000
    if least <= total <= most:
        return []
    return [
        f"{total:.0f} ml were labelled, not within the {least:g} to {most:g} ml of those known; "
        "look at it, and do not rely on it."
    ]


def _labelled(
    volume: Volume, forward: Forward, options: SegmentOptions, wanted: tuple[Label, ...]
) -> tuple[NDArray[Any], Traces]:
    if not options.uncertainty:
        return network_labels(volume, forward, options.tile), traces_of(forward)
    labels, doubt = labels_with_doubt(volume, forward, options.tile, becoming(wanted))
    return labels, replace(traces_of(forward), uncertainty=Volume(doubt, volume.geometry))


def _doubt_of(labelmap: LabelMap, found: NDArray[Any], doubt: NDArray[Any]) -> Volume:
    """The doubt of the labels that were kept, on their grid."""
    changed = doubt_when_changed(doubt, becoming(labelmap.labels)[found], labelmap.voxels)
    return Volume(changed, labelmap.geometry)


def _doubt_measures(labelmap: LabelMap, traces: Traces) -> list[Measure]:
    """How much the labels, and what was nearly labelled, are to be doubted; if that is known."""
    if traces.uncertainty is None:
        return []
    doubt = traces.uncertainty.voxels
    inside = (labelmap.voxels > 0) | (doubt > NEARLY_LABELLED)
    return uncertainty_evidence(doubt, inside, "", DOUBT_MEANING)


def _segment_whole(
    volume: Volume, model: Bundle, options: SegmentOptions, reporter: Reporter
) -> tuple[LabelMap, list[Measure], list[str], Traces]:
    """Find the regions, label each in a crop around it; every region has labels of its own."""
    assert model.finder is not None  # it needs finding
    wanted = wanted_in_regions(wanted_labels(model, options), model.labels, model.finder)
    reporter.phase("Finding", 0.3)
    found, doubts, finding = find_regions(volume, model, options, reporter)
    reporter.phase("Segmenting", 0.9)
    forward = open_network(model, options, reporter)
    doubt = np.zeros(volume.geometry.shape, np.float32) if options.uncertainty else None
    labels = label_regions(volume, found, forward, options, reporter, doubt)
    labelmap, left_out = _tidied(volume, labels, wanted, model, options, reporter)
    totals, doubtful = region_evidence(labelmap, found, model)
    measures, missing = segment_evidence(labelmap.volumes_ml())
    made = with_helper(traces_of(forward), finding)
    facts = {**made.facts, "finder_sha256": model.finder.sha256}
    unsure = None if doubt is None else _doubt_of(labelmap, labels, doubt)
    traces = replace(made, facts=facts, uncertainty=unsure)
    measures = [*totals, *measures, *_doubt_measures(labelmap, traces)]
    return labelmap, measures, [*(doubts or missing), *left_out, *doubtful], traces


def _tidied(
    volume: Volume,
    labels: NDArray[Any],
    wanted: tuple[Label, ...],
    model: Model,
    options: SegmentOptions,
    reporter: Reporter,
) -> tuple[LabelMap, list[str]]:
    """The labels asked for, and what was left out of them."""
    reporter.phase("Tidying up", 0.95)
    kept = tidied(labels, model, wanted, options)
    reporter.phase("Measuring", 1.0)
    labelmap = LabelMap(kept, volume.geometry, wanted)
    return labelmap, left_out_warnings(labels, labelmap)
