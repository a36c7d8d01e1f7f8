"""From a network's raw labels to the ones that were asked for: no islands, no holes, unions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.itk import from_itk, unplaced
from MedEnhanceLib.model import Model
from MedEnhanceLib.options import SegmentOptions
from MedEnhanceLib.volume import Label, LabelMap

MOST_CRUMBS = 0.05
"""Share of a structure that may be left out without a word."""
NEIGHBOURS = ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))


def wanted_labels(model: Model, options: SegmentOptions) -> tuple[Label, ...]:
    """The labels asked for; by default all that are no unions of others.

    Raises:
        OptionsError: when the model lacks one, or when a union and a part of it are asked for,
            since a voxel of a label map has one label.
    """
    if options.labels is None:
        return tuple(label for label in model.labels if not label.union)
    known = {label.value: label for label in model.labels}
    unknown = [value for value in options.labels if value not in known]
    if unknown:
        table = ", ".join(f"{label.value} {label.name}" for label in model.labels)
        raise OptionsError(f"The model '{model.id}' has no label {unknown[0]}; it has {table}.")
    wanted = tuple(known[value] for value in options.labels)
    for whole in wanted:
        for part in wanted:
            if part.value in whole.union:
                raise OptionsError(
                    f"{whole.name} holds {part.name}, and a voxel can have only one label; ask "
                    "for one of them now and for the other in a second run."
                )
    return wanted


def tidied(
    labels: NDArray[Any], model: Model, wanted: Sequence[Label], options: SegmentOptions
) -> NDArray[np.uint8]:
    """Raw labels (k, j, i) without islands and holes, of them only the wanted ones.

    Tissues that form a whole lose what is not connected to the whole; other labels what is not
    connected to their own largest piece.
    """
    wholes = [label.union for label in model.labels if label.union]
    if options.keep_largest:
        found = np.unique(labels[labels > 0]).tolist()
        alone = [(value,) for value in found if not any(value in whole for whole in wholes)]
        labels = keep_largest(labels, [*wholes, *alone])
    if options.fill_holes:
        labels = fill_holes(labels)
    return becoming(wanted)[labels]


def becoming(wanted: Sequence[Label]) -> NDArray[np.uint8]:
    """A table that says for each value which of the wanted labels it becomes, or 0."""
    becomes = np.zeros(256, np.uint8)
    for label in wanted:
        becomes[list(label.union or (label.value,))] = label.value
    return becomes


def doubt_when_changed(
    doubt: NDArray[np.float32], found: NDArray[Any], kept: NDArray[Any]
) -> NDArray[np.float32]:
    """The doubt (k, j, i) of the labels kept, from that of those found.

    Where another label was kept than was found, the one found is as likely as it was, which is the
    least that the one kept is to be doubted.
    """
    return np.where(found == kept, doubt, 1 - doubt)


def keep_largest(labels: NDArray[Any], wholes: Sequence[Sequence[int]]) -> NDArray[np.uint8]:
    """Only the largest connected piece of each group of labels (k, j, i); the rest becomes 0."""
    import SimpleITK as sitk

    kept = np.zeros(labels.shape, np.uint8)
    for values in wholes:
        inside = np.isin(labels, values)
        pieces = sitk.ConnectedComponent(unplaced(inside), True)
        largest = from_itk(sitk.RelabelComponent(pieces, sortByObjectSize=True)) == 1
        kept[largest] = labels[largest]
    return kept


def left_out_warnings(labels: NDArray[Any], kept: LabelMap) -> list[str]:
    """A sentence for each structure of which more than crumbs were left out.

    Args:
        labels: raw ones (k, j, i).
        kept: what :func:`tidied` made of them.
    """
    asked = becoming(kept.labels)[labels]
    voxel_ml = float(np.prod(kept.geometry.spacing)) / 1000
    warnings = []
    for label in kept.labels:
        found = asked == label.value
        lost = found & (kept.voxels == 0)
        share = int(np.count_nonzero(lost)) / max(1, int(np.count_nonzero(found)))
        if share > MOST_CRUMBS:
            warnings.append(
                f"{np.count_nonzero(lost) * voxel_ml:.2g} ml of '{label.name}' "
                f"({100 * share:.0f} % of it) in pieces that lie apart ({_count_of_pieces(lost)}) "
                "were left out; to have them, do not keep the largest piece only."
            )
    return warnings


def _count_of_pieces(inside: NDArray[np.bool_]) -> int:
    import SimpleITK as sitk

    return int(from_itk(sitk.ConnectedComponent(unplaced(inside), True)).max())


def fill_holes(labels: NDArray[Any]) -> NDArray[Any]:
    """Fill background enclosed by the segmented whole (k, j, i), from its rim inwards.

    A voxel of a hole gets the label of a neighbour that has one already, so that it ends up with
    the label of a nearest voxel in steps along the axes.
    """
    import SimpleITK as sitk

    padded = np.pad(labels, 1)
    closed = padded > 0
    for axis, length in enumerate(labels.shape):
        if length == 1:
            # A single slice has no above and below through which its holes would be open.
            np.moveaxis(closed, axis, 0)[[0, -1]] = True
    filled = from_itk(sitk.BinaryFillhole(unplaced(closed))).astype(bool)
    holes = np.argwhere(filled & ~closed)
    while len(holes):
        rim = np.zeros(len(holes), padded.dtype)
        for step in NEIGHBOURS:
            beside = padded[tuple((holes + step).T)]
            rim = np.where(rim > 0, rim, beside)
        padded[tuple(holes.T)] = rim
        holes = holes[rim == 0]
    return padded[1:-1, 1:-1, 1:-1]
