"""Putting voxels onto another grid."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.errors import VolumeError
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.itk import from_itk, to_itk

MOST_SAMPLES_PER_AXIS = 4
MOST_VOXELS = 2_000_000_000
LEAST_OF_SPLINE = 4
"""Voxels along an axis; of fewer, ITK's B-splines take values from outside of the image."""
METHODS = {
    "nearest": "sitkNearestNeighbor",
    "linear": "sitkLinear",
    "bspline5": "sitkBSpline5",
}


def resample(
    voxels: NDArray[Any],
    source: Geometry,
    target: Geometry,
    method: str = "linear",
    outside: float | None = None,
) -> NDArray[np.float32]:
    """Voxels (k, j, i) of ``source`` interpolated at the centres of ``target``'s voxels, float32.

    Outside of the source's outermost voxel edges the value is ``outside``, by default that of
    the darkest voxel.
    ``method`` is a key of `METHODS`; "nearest" keeps label values whole.

    Raises:
        VolumeError: when the target has more voxels than any computer holds.
    """
    _check_size(target)
    import SimpleITK as sitk

    beyond = float(voxels.min()) if outside is None else outside
    values, held = voxels.astype(np.float32), source
    is_short = method.startswith("bspline") and min(values.shape) < LEAST_OF_SPLINE
    if is_short:
        values, held = _mirrored_on(values, source)
    image = to_itk(values, held)
    grid = sitk.Image(list(target.size), sitk.sitkUInt8)
    grid.SetSpacing(target.spacing)
    grid.SetOrigin(target.origin)
    grid.SetDirection([value for row in target.direction for value in row])
    interpolator = getattr(sitk, METHODS[method])
    moved = sitk.Resample(image, grid, sitk.Transform(), interpolator, beyond, sitk.sitkFloat32)
    found: NDArray[np.float32] = from_itk(moved)
    if is_short:
        found = np.where(reached_by(source, target), found, np.float32(beyond))
    return found


def reached_by(source: Geometry, target: Geometry) -> NDArray[np.bool_]:
    """Which of the target's voxels (k, j, i) lie inside of the source's grid."""
    inside = np.ones(source.shape, np.float32)
    reached: NDArray[np.bool_] = resample(inside, source, target, "nearest", outside=0.0) > 0
    return reached


def _mirrored_on(
    voxels: NDArray[np.float32], geometry: Geometry
) -> tuple[NDArray[np.float32], Geometry]:
    """Short axes continued by their mirror image, which ITK's B-splines read beyond the end of."""
    more = [LEAST_OF_SPLINE if n < LEAST_OF_SPLINE else 0 for n in voxels.shape]
    longer = np.pad(voxels, [(n, n) for n in more], mode="reflect")
    start = [-n for n in more[::-1]]
    return longer, geometry.cropped(start, longer.shape[::-1])


def _check_size(target: Geometry) -> None:
    if math.prod(target.size) > MOST_VOXELS:
        spacing = " x ".join(f"{s:.3g}" for s in target.spacing)
        raise VolumeError(
            f"At {spacing} mm, as the model wants it, the volume has more than {MOST_VOXELS:.0e} "
            "voxels; crop it or choose another model."
        )


def resample_averaged(
    voxels: NDArray[Any], source: Geometry, target: Geometry
) -> NDArray[np.float32]:
    """Linear interpolation, averaged over the target's voxels where the source's are finer."""
    passed = _voxels_passed(source, target)
    i, j, k = (int(np.clip(round(n), 1, MOST_SAMPLES_PER_AXIS)) for n in passed)
    fine = resample(voxels, source, target.refined((i, j, k)))
    depth, rows, columns = target.shape
    cells = fine.reshape(depth, k, rows, j, columns, i)
    return cells.mean(axis=(1, 3, 5), dtype=np.float32)


def _voxels_passed(source: Geometry, target: Geometry) -> NDArray[np.float64]:
    """How many of the source's voxels one step along each of the target's axes (i, j, k) passes."""
    cosines = np.abs(np.array(source.direction).T @ np.array(target.direction))
    per_mm = cosines / np.array(source.spacing)[:, None]
    steps: NDArray[np.float64] = per_mm.max(axis=0) * np.array(target.spacing)
    return steps
