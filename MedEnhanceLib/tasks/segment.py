"""Segment: label what is there, or first find where it is; tidy up, and measure."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from MedEnhanceLib.assessment import needs_finding
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.filters import Filter
from MedEnhanceLib.model import Model
from MedEnhanceLib.options import SegmentOptions
from MedEnhanceLib.quality.evidence import segment_evidence
from MedEnhanceLib.reporting import Reporter
from MedEnhanceLib.result import Measure
from MedEnhanceLib.tasks.finding import find_regions
from MedEnhanceLib.tasks.labelling import network_labels
from MedEnhanceLib.tasks.network import FILTER_TRACES, Traces, open_network, traces_of
from MedEnhanceLib.tasks.regions import label_regions, region_measures, wanted_in_regions
from MedEnhanceLib.tasks.tidying import tidied, wanted_labels
from MedEnhanceLib.volume import Label, LabelMap, Volume


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
    wanted = wanted_in_regions(wanted_labels(model, options), model.labels, model.finder)
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
    labels = tidied(labels, model, wanted, options)
    reporter.phase("Measuring", 1.0)
    return LabelMap(labels, volume.geometry, wanted)
