"""A bundle's second network, which finds the regions that its first one labels.

A network that was trained on crops knows nothing of a whole head. A finder looks at the whole
volume on a coarse grid, says where each region is and how sure it is, and the crops are made there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from MedEnhanceLib.volume import Code, Label

Range = tuple[float, float]

SIDES: dict[str, Code] = {
    "Left": ("SCT", "7771000", "Left"),
    "Right": ("SCT", "24028007", "Right"),
}


@dataclass(frozen=True)
class Region:
    """One thing to be found, the network's output channel 1, 2, ... in this order.

    Attributes:
        name: put before the labels' names; of "Left" and "Right" they also carry the code.
        title: in a sentence ("left hippocampus").
        colors: red, green, blue for each of the model's labels in this region.
    """

    name: str
    title: str
    colors: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True)
class Finder:
    """What a bundle says of its finder, under ``finder`` in its metadata.

    Attributes:
        network: its ``network_def``; the outputs are background and then the regions.
        weights: file inside of the bundle.
        sha256: what the weights must hash to.
        spacing_mm: of the isotropic grid it looks at, along the patient's axes (RAS).
        multiple: sizes of that grid must be multiples of this.
        normalisation: name in `MedEnhanceLib.intensity.SCALINGS`.
        regions: what it finds.
        crop_mm: size (right-left, back-front, down-up) of the crop around a region's centre.
        crop_spacing_mm: spacing of the crop, isotropic.
        extent_mm: fields of view it was trained for, along each axis.
        region_ml: sizes of a region on the coarse grid that are believed.
        labelled_ml: volumes of a region's labels that are believed.
        apart_mm: distances between the centres of two regions that are believed.
        confidence: least confidence, 0 to 1, that is believed.
    """

    network: dict[str, Any]
    weights: Path
    sha256: str
    spacing_mm: float
    multiple: int
    normalisation: str
    regions: tuple[Region, ...]
    crop_mm: tuple[float, float, float]
    crop_spacing_mm: float
    extent_mm: Range
    region_ml: Range
    labelled_ml: Range
    apart_mm: Range
    confidence: float

    @property
    def scope(self) -> str:
        """What it takes and finds, in words."""
        least, most = self.extent_mm
        found = " and the ".join(region.title for region in self.regions)
        return (
            f"or a whole volume of {least:g} to {most:g} mm along each axis, in which it finds the "
            f"{found}"
        )

    def looks_at(self, extent: tuple[float, float, float]) -> bool:
        """Whether a field of view, in mm along (i, j, k), is one that it was trained for."""
        return all(self.extent_mm[0] <= e <= self.extent_mm[1] for e in extent)


def read_finder(facts: dict[str, Any], weights: Path) -> Finder:
    """From the JSON of a bundle's metadata; raises `LookupError`, `TypeError` or `ValueError`."""
    right, front, up = (float(v) for v in facts["crop_mm"])
    regions = tuple(_region(row) for row in facts["regions"])
    if not regions:
        raise ValueError("its finder finds nothing")
    if len(str(facts["sha256"])) != 64:
        raise ValueError("its finder has no sha256 of its weights")
    return Finder(
        network=facts["network_def"],
        weights=weights,
        sha256=str(facts["sha256"]),
        spacing_mm=_positive(facts["spacing_mm"]),
        multiple=max(1, int(facts["multiple"])),
        normalisation=str(facts["normalisation"]),
        regions=regions,
        crop_mm=(_positive(right), _positive(front), _positive(up)),
        crop_spacing_mm=_positive(facts["crop_spacing_mm"]),
        extent_mm=_range(facts["extent_mm"]),
        region_ml=_range(facts["region_ml"]),
        labelled_ml=_range(facts["labelled_ml"]),
        apart_mm=_range(facts["apart_mm"]),
        confidence=float(facts["confidence"]),
    )


def labels_of_regions(labels: tuple[Label, ...], regions: tuple[Region, ...]) -> tuple[Label, ...]:
    """The model's labels once for each region: "Left anterior hippocampus" and so on."""
    return tuple(
        replace(
            _sided(label, SIDES.get(region.name)),
            value=value_in_region(label.value, number, labels),
            name=f"{region.name} {label.name[:1].lower()}{label.name[1:]}",
            color=region.colors[row] if row < len(region.colors) else label.color,
            union=(),
        )
        for number, region in enumerate(regions)
        for row, label in enumerate(labels)
    )


def value_in_region(value: int, number: int, labels: tuple[Label, ...]) -> int:
    """The voxels' value of a label in region ``number``, counted from 0."""
    return value + number * max(label.value for label in labels)


def _sided(label: Label, side: Code | None) -> Label:
    """With the code of its side, as the type's modifier, or the region's where that is taken.

    Slicer keeps one modifier of each.
    """
    if side is None:
        return label
    if label.modifier is None:
        return replace(label, modifier=side)
    return replace(label, region=label.type, region_modifier=side)


def _region(row: dict[str, Any]) -> Region:
    colors = tuple((int(r), int(g), int(b)) for r, g, b in row.get("colors", ()))
    return Region(str(row["name"]), str(row["title"]), colors)


def _positive(value: Any) -> float:
    number = float(value)
    if not 0 < number < float("inf"):
        raise ValueError(f"{number:g} is no length")
    return number


def _range(pair: Any) -> Range:
    low, high = pair
    return float(low), float(high)
