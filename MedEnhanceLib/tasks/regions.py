"""Label, in a whole volume, each region that was found, as if the user had cropped around it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.finder import Finder, labels_of_regions, value_in_region
from MedEnhanceLib.geometry import Geometry, Vector
from MedEnhanceLib.options import SegmentOptions
from MedEnhanceLib.progress import Reporter
from MedEnhanceLib.resample import resample
from MedEnhanceLib.result import Measure
from MedEnhanceLib.tasks.finding import Found, grid_around
from MedEnhanceLib.tasks.labelling import labels_with_doubt, network_labels
from MedEnhanceLib.tasks.tidying import (
    becoming,
    doubt_when_changed,
    keep_largest,
    wanted_labels,
)
from MedEnhanceLib.volume import Label, LabelMap, Volume

if TYPE_CHECKING:
    from MedEnhanceLib.engine.forward import Forward

MOST_CROPS = 4
SETTLED_MM = 2.0


def label_regions(
    volume: Volume,
    found: list[Found],
    forward: Forward,
    options: SegmentOptions,
    reporter: Reporter,
    doubt: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8]:
    """Labels (k, j, i) of all regions on the volume's grid, numbered by `labels_of_regions`.

    Of each region only the largest connected structure, if the options keep the largest only.
    Into ``doubt``, if given, goes the probability that another label is right; it is left as it is
    beyond the regions.
    """
    model = forward.bundle
    assert model.finder is not None  # who found something had one
    labels = np.zeros(volume.geometry.shape, np.uint8)
    becomes = None if doubt is None else becoming(wanted_labels(model, options))
    for region in reporter.over(found):
        seen, unsure, grid = _crop_labels(volume, region.centre, forward, options.tile, becomes)
        crop = _largest_structure(seen) if options.keep_largest else seen
        first = value_in_region(0, region.number, model.labels)
        _paste(np.where(crop > 0, crop + first, 0), grid, labels, volume.geometry)
        if doubt is not None and becomes is not None:
            unsure = doubt_when_changed(unsure, becomes[seen], becomes[crop])
            _paste(unsure, grid, doubt, volume.geometry, "linear")
    return labels


def _crop_labels(
    volume: Volume,
    centre: Vector,
    forward: Forward,
    tile: int | None,
    becomes: NDArray[np.uint8] | None,
) -> tuple[NDArray[Any], NDArray[np.float32], Geometry]:
    """Labels of the crop around a centre, their doubt if it is told what they become, and its grid.

    The coarse centre may be some millimetres off. So the crop is made again around the middle of
    what was labelled, which is where it lay in the crops trained on, until it stays there.
    """
    finder = forward.bundle.finder
    assert finder is not None
    for _ in range(MOST_CROPS):
        grid = _crop_grid(centre, finder, volume.geometry)
        labels, doubt = _one_pass(volume, grid, forward, tile, becomes)
        middle = _middle(_largest_structure(labels), grid)
        if middle is None or np.linalg.norm(np.subtract(middle, centre)) < SETTLED_MM:
            break
        centre = middle
    return labels, doubt, grid


def _middle(labels: NDArray[Any], grid: Geometry) -> Vector | None:
    """LPS middle of the box around all labels; None where there are none."""
    occupied = np.argwhere(labels)
    if not len(occupied):
        return None
    middle = (occupied.min(axis=0) + occupied.max(axis=0)) / 2
    x, y, z = (float(v) for v in grid.to_world(middle[::-1]))
    return x, y, z


def _crop_grid(centre: Vector, finder: Finder, volume: Geometry) -> Geometry:
    """The grid of the crop around a centre; it begins on a voxel of the volume.

    Between the voxels a volume of the crop's spacing would be blurred, and its labels moved by
    half a voxel on the way back.
    """
    size = np.round(np.array(finder.crop_mm) / finder.crop_spacing_mm)
    grid = grid_around(centre, size, finder.crop_spacing_mm)
    x, y, z = (float(v) for v in volume.to_world(np.round(volume.to_index(grid.origin))))
    return replace(grid, origin=(x, y, z))


def _one_pass(
    volume: Volume,
    grid: Geometry,
    forward: Forward,
    tile: int | None,
    becomes: NDArray[np.uint8] | None,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """What the network labels in a crop, and its doubt if it is told what the labels become."""
    forward.done = 0
    crop = Volume(resample(volume.voxels, volume.geometry, grid), grid, volume.modality)
    if crop.voxels.min() == crop.voxels.max():
        return np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.float32)
    if becomes is not None:
        return labels_with_doubt(crop, forward, tile, becomes)
    return network_labels(crop, forward, tile), np.zeros(grid.shape, np.float32)


def _largest_structure(labels: NDArray[Any]) -> NDArray[np.uint8]:
    """The labels (k, j, i) of the largest connected piece of all that is labelled."""
    values = np.unique(labels[labels > 0]).tolist()
    return keep_largest(labels, [values])


def _paste(
    crop: NDArray[Any],
    source: Geometry,
    whole: NDArray[Any],
    target: Geometry,
    method: str = "nearest",
) -> None:
    """Write the values of a crop into ``whole`` on the grid ``target``, where they are above 0."""
    ends = [(-0.5, n - 0.5) for n in source.size]
    corners = source.to_world(np.array(np.meshgrid(*ends)).reshape(3, -1).T)
    reach = target.to_index(corners)
    start = np.clip(np.floor(reach.min(axis=0)).astype(int), 0, target.size)
    stop = np.clip(np.ceil(reach.max(axis=0)).astype(int) + 1, 0, target.size)
    if (stop <= start).any():
        return
    part = target.cropped(start.tolist(), (stop - start).tolist())
    moved = resample(crop, source, part, method, outside=0.0).astype(whole.dtype)
    k, j, i = (slice(int(a), int(b)) for a, b in zip(start[::-1], stop[::-1], strict=True))
    whole[k, j, i] = np.where(moved > 0, moved, whole[k, j, i])


def wanted_in_regions(
    wanted: tuple[Label, ...], model_labels: tuple[Label, ...], finder: Finder
) -> tuple[Label, ...]:
    """The labels of all regions whose label in a crop is wanted."""
    values = {
        value_in_region(label.value, number, model_labels)
        for label in wanted
        for number in range(len(finder.regions))
    }
    return tuple(
        label for label in labels_of_regions(model_labels, finder.regions) if label.value in values
    )


def region_evidence(
    labelmap: LabelMap, found: list[Found], model: Bundle
) -> tuple[list[Measure], list[str]]:
    """For each region the volume of all its labels, and how surely it was found; warnings."""
    assert model.finder is not None  # who found something had one
    volumes = labelmap.volumes_ml()
    names = {label.value: label.name for label in labelmap.labels}
    least, most = model.finder.labelled_ml
    measures, warnings = [], []
    for region in found:
        title = model.finder.regions[region.number].title
        values = [value_in_region(x.value, region.number, model.labels) for x in model.labels]
        total = sum(volumes[names[value]] for value in values if value in names)
        measures += [
            Measure(f"Volume of {title}", None, total, "ml", "Its labels together."),
            Measure(
                f"Confidence in {title}", None, region.confidence, "", "Of the finder; 1 is sure."
            ),
        ]
        if all(value in names for value in values) and not least <= total <= most:
            warnings.append(
                f"The {title} was labelled with {total:.1f} ml, not within the {least:g} to "
                f"{most:g} ml of those known; look at it, and do not rely on its volume."
            )
    return measures, warnings
