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
    voxels: NDArray[Any], source: Geometry, target: Geometry, method: str = "linear"
) -> NDArray[np.float32]:
    """Voxels (k, j, i) of ``source`` interpolated at the centres of ``target``'s voxels, float32.

    Outside of the source's outermost voxel edges the value is that of the darkest voxel.
    ``method`` is a key of `METHODS`; "nearest" keeps label values whole.
    """
    import SimpleITK as sitk

    image = to_itk(voxels.astype(np.float32), source)
    grid = sitk.Image(list(target.size), sitk.sitkUInt8)
    grid.SetSpacing(target.spacing)
    grid.SetOrigin(target.origin)
    grid.SetDirection([value for row in target.direction for value in row])
    interpolator = getattr(sitk, METHODS[method])
    darkest = float(voxels.min())
    moved = sitk.Resample(image, grid, sitk.Transform(), interpolator, darkest, sitk.sitkFloat32)
    return from_itk(moved)
