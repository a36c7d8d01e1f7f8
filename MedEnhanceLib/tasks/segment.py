"""Segment: turn and resample to what the network knows, label, tidy up, and come back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.bundle import Bundle, InputSpec
from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.filters import Filter
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.intensity import scaling_named
from MedEnhanceLib.itk import from_itk, unplaced
from MedEnhanceLib.model import Model
from MedEnhanceLib.options import SegmentOptions
from MedEnhanceLib.orientation import Turn, turn_towards
from MedEnhanceLib.quality.evidence import segment_evidence
from MedEnhanceLib.reporting import Reporter
from MedEnhanceLib.resample import resample
from MedEnhanceLib.result import Measure
from MedEnhanceLib.tasks.network import FILTER_TRACES, Traces, open_network, traces_of
from MedEnhanceLib.volume import Label, LabelMap, Volume

SAME_SPACING = 0.01
NO_TURN = Turn((0, 1, 2), (False, False, False))


def segment(
    volume: Volume, model: Model, options: SegmentOptions, reporter: Reporter
) -> tuple[LabelMap, list[Measure], list[str], Traces]:
    """The label map on the input's own grid, evidence and warnings."""
    wanted = _wanted(model, options)
    if isinstance(model, Filter):
        reporter.phase("Segmenting", 0.8)
        labels, traces = model.run(volume.voxels), FILTER_TRACES
    else:
        labels, traces = _network_labels(volume, model, options, reporter)
    reporter.phase("Tidying up", 0.95)
    labels = np.where(np.isin(labels, [label.value for label in wanted]), labels, 0)
    if options.keep_largest and model.is_trained:
        labels = keep_largest(labels, [label.value for label in wanted])
    if options.fill_holes:
        labels = fill_holes(labels)
    reporter.phase("Measuring", 1.0)
    labelmap = LabelMap(labels.astype(np.uint8), volume.geometry, wanted)
    measures, warnings = segment_evidence(labelmap.volumes_ml())
    return labelmap, measures, warnings, traces


def _wanted(model: Model, options: SegmentOptions) -> tuple[Label, ...]:
    if options.labels is None:
        return model.labels
    known = {label.value: label for label in model.labels}
    unknown = [value for value in options.labels if value not in known]
    if unknown:
        table = ", ".join(f"{label.value} {label.name}" for label in model.labels)
        raise OptionsError(f"The model '{model.id}' has no label {unknown[0]}; it has {table}.")
    return tuple(known[value] for value in options.labels)


def _network_labels(
    volume: Volume, model: Model, options: SegmentOptions, reporter: Reporter
) -> tuple[NDArray[Any], Traces]:
    assert isinstance(model, Bundle)  # the catalogue holds filters and bundles only
    from MedEnhanceLib.engine.inference import classify

    reporter.phase("Preparing", 0.1)
    turn, grid = _network_grid(volume.geometry, model.input)
    turned = turn.apply_to(volume.geometry)
    voxels = turn.apply(volume.voxels)
    if grid is not turned:
        voxels = resample(voxels, turned, grid, "linear")
    image = scaling_named(model.input.normalisation, voxels).normalise(voxels)
    forward = open_network(model, options, reporter)
    reporter.phase("Segmenting", 0.8)
    # Reversing the axes is its own inverse.
    turned_axes = image.T if model.input.axis_order == "ijk" else image
    labels = classify(forward, [turned_axes], options.tile)
    labels = labels.T if model.input.axis_order == "ijk" else labels
    if grid is not turned:
        labels = resample(labels, grid, turned, "nearest").astype(np.uint8)
    return turn.undo(labels), traces_of(forward)


def _network_grid(geometry: Geometry, spec: InputSpec) -> tuple[Turn, Geometry]:
    """The turn to the network's orientation, and the grid at its spacing."""
    turn = turn_towards(geometry, spec.orientation) if spec.orientation else NO_TURN
    turned = turn.apply_to(geometry)
    if spec.spacing_mm is None:
        return turn, turned
    factors = [s / w for s, w in zip(turned.spacing, spec.spacing_mm, strict=True)]
    if all(abs(f - 1) < SAME_SPACING for f in factors):
        return turn, turned
    return turn, turned.refined(factors)


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
