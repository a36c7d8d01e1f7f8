"""Where voxels are in the patient.

World coordinates are LPS in millimetres (x to the patient's left, y to the back, z to the head),
as in SimpleITK and DICOM. Indices and sizes are in the order (i, j, k), i fastest, while arrays of
voxels are indexed ``(k, j, i)``.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.errors import VolumeError

Vector = tuple[float, float, float]
Matrix3 = tuple[Vector, Vector, Vector]

IDENTITY: Matrix3 = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Turns the first two axes round; the same way back."""
ORTHONORMAL_TOLERANCE = 1e-3
LARGEST_AXIS = 65_535
LEAST_SPACING_MM, LARGEST_SPACING_MM = 1e-4, 1_000.0


@dataclass(frozen=True)
class Geometry:
    """Size, spacing, origin and direction of a regular grid of voxels.

    Attributes:
        size: voxels along (i, j, k).
        spacing: millimetres between voxel centres along (i, j, k).
        origin: LPS position in mm of the centre of voxel (0, 0, 0).
        direction: 3x3, rows are world axes; column a is the unit vector along which index a grows.
            May be left-handed, but must be orthonormal.

    Raises:
        VolumeError: when a value is not finite, a size not whole, a size or spacing not positive,
            or the direction is sheared.
    """

    size: tuple[int, int, int]
    spacing: Vector = (1.0, 1.0, 1.0)
    origin: Vector = (0.0, 0.0, 0.0)
    direction: Matrix3 = IDENTITY

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", _whole(self.size))
        object.__setattr__(self, "spacing", _vector(self.spacing, "spacing"))
        object.__setattr__(self, "origin", _vector(self.origin, "origin"))
        rows = tuple(_vector(row, "direction") for row in self.direction)
        object.__setattr__(self, "direction", rows)
        self._check()

    def _check(self) -> None:
        if any(not LEAST_SPACING_MM <= s <= LARGEST_SPACING_MM for s in self.spacing):
            raise VolumeError(
                f"The voxel spacing {_mm(self.spacing)} is not between "
                f"{LEAST_SPACING_MM:g} and {LARGEST_SPACING_MM:g} mm; correct the header (in "
                "Slicer: Volumes > Volume Information > Image Spacing)."
            )
        columns = np.array(self.direction)
        error = float(np.abs(columns.T @ columns - np.eye(3)).max())
        if error > ORTHONORMAL_TOLERANCE:
            raise VolumeError(
                f"The volume's axes are not perpendicular unit vectors (off by {error:.3g}, e.g. "
                "from a tilted gantry); resample it onto a straight grid first."
            )

    @classmethod
    def from_matrix(cls, matrix: NDArray[np.floating], size: Sequence[int]) -> Geometry:
        """From a 4x4 index-to-world (LPS) matrix and the size (i, j, k).

        Raises:
            VolumeError: when an axis has no length, or as for :class:`Geometry`.
        """
        columns = np.asarray(matrix, dtype=float)[:3, :3]
        spacing = np.linalg.norm(columns, axis=0)
        if not np.isfinite(spacing).all() or (spacing <= 0).any():
            raise VolumeError(
                f"The voxel spacing {_mm(spacing)} is not positive; correct the volume's header."
            )
        origin = np.asarray(matrix, dtype=float)[:3, 3]
        return cls(_whole(size), tuple(spacing), tuple(origin), _rows(columns / spacing))

    @property
    def matrix(self) -> NDArray[np.float64]:
        """4x4 matrix that takes index (i, j, k, 1) to LPS millimetres."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.array(self.direction) * np.array(self.spacing)
        matrix[:3, 3] = self.origin
        return matrix

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (k, j, i) of an array of voxels on this grid."""
        return self.size[::-1]

    @property
    def extent(self) -> Vector:
        """Millimetres from the first voxel's outer edge to the last's, along (i, j, k)."""
        i, j, k = (n * s for n, s in zip(self.size, self.spacing, strict=True))
        return (i, j, k)

    def to_world(self, index: NDArray[np.floating] | Sequence[float]) -> NDArray[np.float64]:
        """LPS points, shape (..., 3), of continuous indices (i, j, k), shape (..., 3)."""
        matrix = self.matrix
        return np.asarray(index, dtype=float) @ matrix[:3, :3].T + matrix[:3, 3]

    def to_index(self, point: NDArray[np.floating] | Sequence[float]) -> NDArray[np.float64]:
        """Continuous indices (i, j, k), shape (..., 3), of LPS points, shape (..., 3)."""
        inverse = np.linalg.inv(self.matrix)
        return np.asarray(point, dtype=float) @ inverse[:3, :3].T + inverse[:3, 3]

    def refined(self, factors: Sequence[float]) -> Geometry:
        """The grid with ``factors`` (i, j, k) times as many voxels over the same field of view.

        Voxel edges stay where they are; the origin moves because the first voxel's centre does.
        Sizes are rounded to whole voxels, and the spacing absorbs the rounding.

        Raises:
            VolumeError: when a factor is not a positive number, or as for :class:`Geometry`.
        """
        if len(factors) != 3 or any(not math.isfinite(f) or f <= 0 for f in factors):
            raise VolumeError(f"The factors {tuple(factors)} must be three positive numbers.")
        size = [max(1, round(n * f)) for n, f in zip(self.size, factors, strict=True)]
        return self.resized(size)

    def resized(self, size: Sequence[int]) -> Geometry:
        """The grid of ``size`` (i, j, k) voxels that spans the same field of view."""
        old = np.array(self.size, dtype=float)
        whole = _whole(size)
        new = np.array(whole, dtype=float)
        first_centre = 0.5 * old / new - 0.5
        spacing = np.array(self.spacing) * old / new
        return Geometry(whole, tuple(spacing), tuple(self.to_world(first_centre)), self.direction)

    def cropped(self, start: Sequence[int], size: Sequence[int]) -> Geometry:
        """The grid of ``size`` voxels whose first voxel is this grid's ``start`` (i, j, k).

        ``start`` may be negative: that pads.
        """
        return Geometry(
            _whole(size), self.spacing, tuple(self.to_world(np.array(start))), self.direction
        )

    def is_close(self, other: Geometry, tolerance_mm: float = 1e-3) -> bool:
        """Whether both grids have the same size and all corners agree within the tolerance."""
        if self.size != other.size:
            return False
        corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in self.size])).reshape(3, -1).T
        return bool(np.abs(self.to_world(corners) - other.to_world(corners)).max() <= tolerance_mm)

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers, for :meth:`from_json`."""
        return {
            "size": list(self.size),
            "spacing": list(self.spacing),
            "origin": list(self.origin),
            "direction": [list(row) for row in self.direction],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Geometry:
        """The inverse of :meth:`to_json`."""
        return cls(data["size"], data["spacing"], data["origin"], data["direction"])


def _whole(size: Sequence[int]) -> tuple[int, int, int]:
    i, j, k = _vector(size, "size")
    if not all(n.is_integer() and 1 <= n <= LARGEST_AXIS for n in (i, j, k)):
        raise VolumeError(
            f"The volume's size {i:g} x {j:g} x {k:g} is empty, not whole or beyond {LARGEST_AXIS} "
            "voxels per axis; load a volume with voxels in it."
        )
    return (int(i), int(j), int(k))


def _vector(values: Sequence[float], what: str) -> Vector:
    given: Any = values
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        given = tuple(float(v) for v in values)
        x, y, z = given
        if all(math.isfinite(v) for v in given):
            return (x, y, z)
    raise VolumeError(
        f"The volume's {what} {given} is not three finite numbers; correct the header."
    )


def _rows(matrix: NDArray[np.floating]) -> Matrix3:
    first, second, third = (_vector(row, "direction") for row in matrix)
    return (first, second, third)


def _mm(values: Sequence[float] | NDArray[np.floating]) -> str:
    return " x ".join(f"{v:g}" for v in values) + " mm"
