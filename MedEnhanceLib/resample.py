"""Putting voxels onto another grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.itk import from_itk, to_itk

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
    """
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
