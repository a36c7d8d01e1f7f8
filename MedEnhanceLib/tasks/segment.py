"""Segment: label what is there, or first find where it is; tidy up, and measure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.assessment import needs_finding
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.filters import Filter
from MedEnhanceLib.itk import from_itk, unplaced
from MedEnhanceLib.model import Model
from MedEnhanceLib.options import SegmentOptions
from MedEnhanceLib.quality.evidence import segment_evidence
from MedEnhanceLib.reporting import Reporter
from MedEnhanceLib.result import Measure
from MedEnhanceLib.tasks.finding import find_regions
from MedEnhanceLib.tasks.labelling import network_labels
from MedEnhanceLib.tasks.network import FILTER_TRACES, Traces, open_network, traces_of
from MedEnhanceLib.tasks.regions import label_regions, region_measures, wanted_in_regions
from MedEnhanceLib.volume import Label, LabelMap, Volume


def segment(
    volume: Volume, model: Model, options: SegmentOptions, reporter: Reporter
) -> tuple[LabelMap, list[Measure], list[str], Traces]:
    """The label map on the input's own grid, evidence and warnings."""
    if isinstance(model, Bundle) and needs_finding(volume, model):
        return _segment_whole(volume, model, options, reporter)
    wanted = _wanted(model, options)
    if isinstance(model, Filter):
        reporter.phase("Segmenting", 0.8)
        labels, traces = model.run(volume.voxels), FILTER_TRACES
    else:
        assert isinstance(model, Bundle)  # the catalogue holds filters and bundles only
        reporter.phase("Preparing", 0.1)
        forward = open_network(model, options, reporter)
        reporter.phase("Segmenting", 0.8)
        labels = network_labels(volume, forward, options.tile)
        traces = traces_of(forward)
    labelmap = _tidied(volume, labels, wanted, model, options, reporter)
    measures, warnings = segment_evidence(labelmap.volumes_ml())
    return labelmap, measures, warnings, traces


def _segment_whole(
    volume: Volume, model: Bundle, options: SegmentOptions, reporter: Reporter
) -> tuple[LabelMap, list[Measure], list[str], Traces]:
    """Find the regions, label each in a crop around it; every region has labels of its own."""
    assert model.finder is not None  # it needs finding
    wanted = wanted_in_regions(_wanted(model, options), model.labels, model.finder)
    reporter.phase("Finding", 0.3)
    found, doubts = find_regions(volume, model, options, reporter)
    reporter.phase("Segmenting", 0.9)
    forward = open_network(model, options, reporter)
    labels = label_regions(volume, found, forward, options.tile, reporter)
    labelmap = _tidied(volume, labels, wanted, model, options, reporter)
    totals = region_measures(labelmap, found, model)
    measures, missing = segment_evidence(labelmap.volumes_ml())
    facts = {**traces_of(forward).facts, "finder_sha256": model.finder.sha256}
    return labelmap, [*totals, *measures], doubts or missing, Traces(facts, tuple(forward.notes))


def _tidied(
    volume: Volume,
    labels: NDArray[Any],
    wanted: tuple[Label, ...],
    model: Model,
    options: SegmentOptions,
    reporter: Reporter,
) -> LabelMap:
    reporter.phase("Tidying up", 0.95)
    values = [label.value for label in wanted]
    labels = np.where(np.isin(labels, values), labels, 0)
    if options.keep_largest and model.is_trained:
        labels = keep_largest(labels, values)
    if options.fill_holes:
        labels = fill_holes(labels)
    reporter.phase("Measuring", 1.0)
    return LabelMap(labels.astype(np.uint8), volume.geometry, wanted)


def _wanted(model: Model, options: SegmentOptions) -> tuple[Label, ...]:
    if options.labels is None:
        return model.labels
    known = {label.value: label for label in model.labels}
    unknown = [value for value in options.labels if value not in known]
    if unknown:
        table = ", ".join(f"{label.value} {label.name}" for label in model.labels)
        raise OptionsError(f"The model '{model.id}' has no label {unknown[0]}; it has {table}.")
    return tuple(known[value] for value in options.labels)


def keep_largest(labels: NDArray[Any], values: list[int]) -> NDArray[Any]:
    """Only the largest connected piece of each label (k, j, i); the rest becomes background."""
    import SimpleITK as sitk

    kept = np.zeros_like(labels)
    for value in values:
        pieces = sitk.ConnectedComponent(unplaced(labels == value), True)
        largest = sitk.RelabelComponent(pieces, sortByObjectSize=True) == 1
        kept[from_itk(largest).astype(bool)] = value
    return kept


def fill_holes(labels: NDArray[Any]) -> NDArray[Any]:
    """Fill background enclosed by the segmented whole with the nearest label (k, j, i)."""
    import SimpleITK as sitk

    inside = labels > 0
    filled = from_itk(sitk.BinaryFillhole(unplaced(inside))).astype(bool)
    holes = filled & ~inside
    if not holes.any():
        return labels
    seeds = unplaced(labels.astype(np.uint8))
    distance = sitk.DanielssonDistanceMapImageFilter()
    distance.SetInputIsBinary(False)
    distance.Execute(seeds)
    nearest = from_itk(distance.GetVoronoiMap())
    return np.where(holes, nearest, labels).astype(labels.dtype)
