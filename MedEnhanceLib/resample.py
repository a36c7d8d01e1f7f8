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
METHODS = {
    "nearest": "sitkNearestNeighbor",
    "linear": "sitkLinear",
    "bspline3": "sitkBSpline3",
    "bspline5": "sitkBSpline5",
    "lanczos": "sitkLanczosWindowedSinc",
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

    image = to_itk(voxels.astype(np.float32), source)
    grid = sitk.Image(list(target.size), sitk.sitkUInt8)
    grid.SetSpacing(target.spacing)
    grid.SetOrigin(target.origin)
    grid.SetDirection([value for row in target.direction for value in row])
    interpolator = getattr(sitk, METHODS[method])
    beyond = float(voxels.min()) if outside is None else outside
    moved = sitk.Resample(image, grid, sitk.Transform(), interpolator, beyond, sitk.sitkFloat32)
    return from_itk(moved)


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
