"""Segmentation, measured against reference labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.costs import measured
from MedEnhanceLib.errors import VolumeError
from MedEnhanceLib.evaluation.methods import Method, Row
from MedEnhanceLib.evaluation.scoring import cheaper
from MedEnhanceLib.evaluation.subjects import Subject
from MedEnhanceLib.options import SegmentOptions
from MedEnhanceLib.quality.segmentation_metrics import dice, hd95, iou, volume_error_percent
from MedEnhanceLib.result import Result
from MedEnhanceLib.volume import Label, LabelMap

MEAN, WHOLE = "mean", "whole"
MOST_LABELS = 1_000
"""The finest parcellations of the brain have some hundreds."""
MOST_LISTED = 10
Told = Callable[[str], None]
Values = dict[str, float | None]


def on_grid(subject: Subject, reference: LabelMap) -> LabelMap:
    """The reference on the image's grid, of which it may have only a part, or more.

    3D Slicer saves a segmentation cut to what it shows, on the voxels of its image.

    Raises:
        VolumeError: when its voxels are not those of the image.
    """
    image, own = subject.volume.geometry, reference.geometry
    i, j, k = (round(float(n)) for n in image.to_index(own.origin))
    if not image.cropped((i, j, k), own.size).is_close(own):
        raise VolumeError(
            f"The reference labels of '{subject.name}' ({own.size} voxels) are not on the image's "
            f"grid ({image.size} voxels); resample them onto it first."
        )
    if own.size == image.size and not any((i, j, k)):
        return reference
    voxels = np.zeros(image.shape, reference.voxels.dtype)
    ends = zip((k, j, i), image.shape, own.shape, strict=True)
    common = [(max(0, first), min(most, first + n), first) for first, most, n in ends]
    there = tuple(slice(start, max(start, stop)) for start, stop, _ in common)
    here = tuple(slice(start - first, max(start, stop) - first) for start, stop, first in common)
    voxels[there] = reference.voxels[here]
    return LabelMap(voxels, image, reference.labels)


def brain_of(subject: Subject, mask: LabelMap) -> NDArray[np.bool_]:
    """Where the mask has any label; raises `VolumeError` on another grid."""
    inside: NDArray[np.bool_] = on_grid(subject, mask).voxels > 0
    return inside


def only(reference: LabelMap, values: Sequence[int] | None) -> LabelMap:
    """The reference with these labels alone; as it is when none are named.

    Raises:
        VolumeError: when none of them is there, or, where none are named, there are more than any
            segmentation has.
    """
    present = np.unique(reference.voxels[reference.voxels > 0]).tolist()
    if not (present if values is None else set(values) & set(present)):
        asked = "any label" if values is None else f"the labels {', '.join(map(str, values))}"
        listed = ", ".join(map(str, present[:MOST_LISTED])) or "0 only"
        raise VolumeError(
            f"The reference has no voxel of {asked}, so there is nothing to compare with; it has "
            f"{listed}."
        )
    if values is None:
        if len(present) > MOST_LABELS:
            raise VolumeError(
                f"The reference has {len(present):,} different values, as an image has; give the "
                "labels drawn on the image instead, or name those to compare with --labels."
            )
        return reference
    kept = np.where(np.isin(reference.voxels, values), reference.voxels, 0)
    return LabelMap(kept, reference.geometry, reference.labels)


def evaluate_case(
    subject: Subject,
    reference: LabelMap,
    methods: Sequence[Method],
    options: SegmentOptions,
    told: Told = lambda text: None,
) -> tuple[list[Row], dict[str, Result]]:
    """Rows for each structure, their mean and the structures taken together; and the results."""
    reference = on_grid(subject, reference)
    rows: list[Row] = []
    results: dict[str, Result] = {}
    for method in methods:
        told(f"{subject.name}, {method.id}")
        # Classes of brightness are no labels that could be asked for.
        asked = options if method.is_trained else replace(options, labels=None)
        result, cost = measured(partial(method.run, subject.volume, asked))
        results[method.id] = result
        found = score(subject.name, method.id, reference, result.labelmap, method.is_trained)
        found[-1] = cheaper(found[-1], cost.core_seconds, cost.peak_mb, reference.voxels.size)
        rows += found
    return rows, results


def score(
    subject: str, method: str, reference: LabelMap, found: LabelMap, named: bool
) -> list[Row]:
    """A row for each structure, one for their mean, one for all of them as a whole.

    A structure that was found where the reference has none counts too. The mean of volume errors
    is that of their magnitudes.

    Args:
        named: whether the values found mean the reference's structures. When not (classes of
            brightness), each structure is compared with the class that fits it best, which is
            more than such a method could know.
    """
    truth = reference.voxels
    values = set(_labels_in(truth)) | set(_labels_in(found.voxels) if named else ())
    rows = []
    for value in sorted(values):
        mask = truth == value
        match = found.voxels == (value if named else _best_class(mask, found.voxels))
        name = _name(value, found.labels, named)
        rows.append(Row(subject, name, method, _of(mask, match, found)))
    names = rows[0].values if rows else {}
    mean: Values = {n: _mean(row.values[n] for row in rows) for n in names}
    inside = truth > 0
    match = found.voxels > 0 if named else found.voxels == _best_class(inside, found.voxels)
    return [
        *rows,
        Row(subject, MEAN, method, mean),
        Row(subject, WHOLE, method, _of(inside, match, found)),
    ]


def _of(mask: NDArray[np.bool_], match: NDArray[np.bool_], found: LabelMap) -> Values:
    return {
        "dice": dice(mask, match),
        "iou": iou(mask, match),
        "hd95_mm": hd95(mask, match, found.geometry),
        "volume_error_percent": volume_error_percent(mask, match),
    }


def _labels_in(voxels: NDArray[np.integer]) -> list[int]:
    return [int(value) for value in np.unique(voxels) if value > 0]


def _mean(values: Iterable[float | None]) -> float:
    return float(np.mean([abs(value) for value in values if value is not None]))


def _best_class(mask: NDArray[np.bool_], classes: NDArray[np.integer]) -> int:
    values = [int(v) for v in np.unique(classes)]
    return max(values, key=lambda value: dice(mask, classes == value))


def _name(value: int, labels: Sequence[Label], named: bool) -> str:
    known = {label.value: label.name for label in labels} if named else {}
    return f"{value} {known[value]}" if value in known else f"label {value}"
