"""Single slices as a radiologist looks at them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.orientation import turn_towards

Plane = Literal["axial", "coronal", "sagittal"]

# What lies at the left and at the top edge. The patient's right is on the left of the picture.
EDGES: dict[Plane, tuple[str, str]] = {
    "axial": ("R", "A"),
    "coronal": ("R", "S"),
    "sagittal": ("A", "S"),
}
# The plane that shows how thick slices are along the patient's x, y or z.
PLANES: tuple[Plane, ...] = ("axial", "sagittal", "coronal")
WIDE = 1.6


@dataclass(frozen=True, eq=False)
class Slice:
    """One slice.

    Attributes:
        pixels: (row, column), from the top left.
        spacing: mm between rows and between columns.
        edges: letters of what lies at the left and at the top.
    """

    pixels: NDArray[Any]
    spacing: tuple[float, float]
    edges: tuple[str, str]

    @property
    def is_wide(self) -> bool:
        """Whether it is a strip, better shown above others than beside them."""
        rows, columns = self.pixels.shape[:2]
        return columns * self.spacing[1] > WIDE * rows * self.spacing[0]

    def with_pixels(self, pixels: NDArray[Any]) -> Slice:
        """Other pixels at the same place."""
        return replace(self, pixels=pixels)

    def cropped(self, top: float, bottom: float, left: float, right: float) -> Slice:
        """The part between these fractions of the height and of the width."""
        rows, columns = self.pixels.shape[:2]
        part = self.pixels[
            round(top * rows) : max(round(top * rows) + 1, round(bottom * rows)),
            round(left * columns) : max(round(left * columns) + 1, round(right * columns)),
        ]
        return self.with_pixels(part)


def slice_of(
    voxels: NDArray[Any], geometry: Geometry, plane: Plane = "axial", share: float = 0.5
) -> Slice:
    """The slice at ``share`` (0 to 1) of the way through the volume.

    The volume's axes are turned to the nearest of the patient's; an oblique volume is shown
    along its own axes, not resampled.
    """
    turn = turn_towards(geometry, "LPS")
    turned = turn.apply(voxels)
    i_mm, j_mm, k_mm = turn.apply_to(geometry).spacing
    if plane == "axial":
        return Slice(turned[_index(share, turned.shape[0])], (j_mm, i_mm), EDGES[plane])
    if plane == "coronal":
        return Slice(turned[::-1, _index(share, turned.shape[1])], (k_mm, i_mm), EDGES[plane])
    return Slice(turned[::-1, :, _index(share, turned.shape[2])], (k_mm, j_mm), EDGES[plane])


def fullest_share(mask: NDArray[np.bool_], geometry: Geometry, plane: Plane = "axial") -> float:
    """Where to cut to see most of the mask: a ``share`` for `slice_of`."""
    turned = turn_towards(geometry, "LPS").apply(mask)
    axis = {"axial": 0, "coronal": 1, "sagittal": 2}[plane]
    others = tuple(a for a in range(3) if a != axis)
    return (int(turned.sum(axis=others).argmax()) + 0.5) / turned.shape[axis]


def plane_across(thick: Geometry, thin: Geometry) -> Plane:
    """A plane that holds the axis along which one volume's slices are thicker than another's."""
    thicker, thinner = (turn_towards(g, "LPS").apply_to(g).spacing for g in (thick, thin))
    return PLANES[int(np.argmax(np.divide(thicker, thinner)))]


def _index(share: float, count: int) -> int:
    return min(count - 1, max(0, int(share * count)))
