"""Voxels together with their place in the patient."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.errors import VolumeError
from MedEnhanceLib.geometry import Geometry

Code = tuple[str, str, str]
FURTHER_CODES = ("modifier", "region", "region_modifier")


@dataclass(frozen=True, eq=False)
class Volume:
    """A scalar image in three dimensions.

    Attributes:
        voxels: shape (k, j, i), or (channel, k, j, i); read-only. Any real number type;
            truth values become 0 and 1.
        geometry: where the voxels are.
        modality: DICOM modality ("MR", "CT") or "" when unknown.
        units: unit of the voxel values ("HU") or "".

    Raises:
        VolumeError: when the array is not a grid of numbers of the geometry's size.
    """

    voxels: NDArray[Any]
    geometry: Geometry
    modality: str = ""
    units: str = ""

    def __post_init__(self) -> None:
        voxels = np.asarray(self.voxels)
        if voxels.dtype.kind not in "buif":
            raise VolumeError(
                f"The voxels are of type {voxels.dtype}, not plain numbers; convert the image to a "
                "scalar volume first."
            )
        if voxels.dtype.kind == "b":
            voxels = voxels.astype(np.uint8)
        _check_shape(voxels, self.geometry)
        object.__setattr__(self, "voxels", _read_only(voxels))

    def with_voxels(self, voxels: NDArray[Any], geometry: Geometry | None = None) -> Volume:
        """A volume of the same modality and units with other voxels (and grid)."""
        return replace(self, voxels=voxels, geometry=geometry or self.geometry)


def check_is_volume(given: object, what: str) -> None:
    """Raise `VolumeError` when an array, a path or something else is given for a volume."""
    if not isinstance(given, Volume):
        raise VolumeError(
            f"The {what} is of type {type(given).__name__}, not a Volume; read its file with "
            "read_volume(path), or put voxels in their place with Volume(voxels, geometry)."
        )


@dataclass(frozen=True)
class Label:
    """One structure of a segmentation.

    Attributes:
        value: the voxels' value, 1 or more.
        name: what a user reads.
        color: red, green, blue, 0 to 255.
        category, type: DICOM coded concepts (scheme, value, meaning), SNOMED CT as scheme "SCT".
        union: values of the labels that this one is the whole of (a brain of its tissues); empty
            for a label of its own. A union is given only when it is asked for.
        modifier: coded concept that narrows the type ("Anterior"), or None.
        region, region_modifier: coded concepts of the place in the body, which DICOM keeps beside
            the type, and of what narrows that ("Left"), or None.
    """

    value: int
    name: str
    color: tuple[int, int, int] = (128, 174, 128)
    category: Code = ("SCT", "85756007", "Tissue")
    type: Code = ("SCT", "85756007", "Tissue")
    union: tuple[int, ...] = ()
    modifier: Code | None = None
    region: Code | None = None
    region_modifier: Code | None = None

    def __post_init__(self) -> None:
        if self.value < 1:
            raise VolumeError(
                f"The label '{self.name}' has the value {self.value}, but labels are 1 or more, as "
                "0 is the background; give it another value."
            )

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers, for :meth:`from_json`."""
        further = {name: getattr(self, name) for name in ("union", *FURTHER_CODES)}
        return {
            "value": self.value,
            "name": self.name,
            "color": list(self.color),
            "category": list(self.category),
            "type": list(self.type),
            **{name: list(values) for name, values in further.items() if values},
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Label:
        """From a row of a bundle's label table; only ``value`` and ``name`` are required."""
        default = cls(1, "")
        return cls(
            int(data["value"]),
            str(data["name"]),
            _color(data.get("color", default.color)),
            _code(data.get("category", default.category)),
            _code(data.get("type", default.type)),
            tuple(int(value) for value in data.get("union", ())),
            **{name: _code(data[name]) for name in FURTHER_CODES if name in data},
        )


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A segmentation: whole-number voxels, 0 for background, and what the numbers mean.

    Attributes:
        voxels: shape (k, j, i), integers; read-only.
        geometry: where the voxels are.
        labels: one row per structure that the segmentation can hold.
    """

    voxels: NDArray[Any]
    geometry: Geometry
    labels: tuple[Label, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        voxels = np.asarray(self.voxels)
        if voxels.dtype.kind not in "bui":
            raise VolumeError(
                f"A label map holds whole numbers, but these voxels are {voxels.dtype}."
            )
        if voxels.ndim != 3:
            raise VolumeError(f"A label map has three axes, but this one has shape {voxels.shape}.")
        _check_shape(voxels, self.geometry)
        if voxels.dtype.kind == "i" and voxels.min() < 0:
            raise VolumeError(
                f"A label map holds 0 and more, but its smallest voxel is {voxels.min()}; give "
                "labels other values."
            )
        object.__setattr__(self, "voxels", _read_only(voxels))

    def volumes_ml(self) -> dict[str, float]:
        """Millilitres of each label, by name."""
        voxel_ml = float(np.prod(self.geometry.spacing)) / 1000.0
        return {
            label.name: int(np.count_nonzero(self.voxels == label.value)) * voxel_ml
            for label in self.labels
        }


def _check_shape(voxels: NDArray[Any], geometry: Geometry) -> None:
    if not isinstance(geometry, Geometry):
        raise VolumeError(
            f"The place of the voxels is of type {type(geometry).__name__}, not a Geometry; give "
            "Geometry(size, spacing, origin, direction)."
        )
    if voxels.ndim not in (3, 4):
        raise VolumeError(f"A volume has three axes, but these voxels have shape {voxels.shape}.")
    if voxels.shape[-3:] != geometry.shape:
        raise VolumeError(
            f"The voxels have shape {voxels.shape[-3:]}, but the geometry says {geometry.shape} "
            "(k, j, i)."
        )


def _read_only(voxels: NDArray[Any]) -> NDArray[Any]:
    view = voxels.view()
    view.flags.writeable = False
    return view


def _color(values: Sequence[int]) -> tuple[int, int, int]:
    red, green, blue = (int(v) for v in values)
    if not 0 <= min(red, green, blue) <= max(red, green, blue) <= 255:
        raise ValueError(f"a label's colour is 0 to 255, unlike {red}, {green}, {blue}")
    return (red, green, blue)


def _code(values: Iterable[str]) -> Code:
    scheme, value, meaning = (str(v) for v in values)
    return (scheme, value, meaning)
