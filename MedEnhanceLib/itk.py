"""Between `Volume` and SimpleITK images; SimpleITK is loaded when first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.geometry import Geometry

if TYPE_CHECKING:
    import SimpleITK


def to_itk(voxels: NDArray[Any], geometry: Geometry) -> SimpleITK.Image:
    """SimpleITK image of (k, j, i) voxels on their grid, of any byte order; bool becomes uint8."""
    import SimpleITK as sitk

    kind = np.dtype(np.uint8) if voxels.dtype == bool else voxels.dtype.newbyteorder("=")
    array = voxels.astype(kind, copy=False)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection([value for row in geometry.direction for value in row])
    return image


def unplaced(voxels: NDArray[Any]) -> SimpleITK.Image:
    """SimpleITK image with unit spacing, for filters that count in voxels."""
    return to_itk(voxels, Geometry((voxels.shape[2], voxels.shape[1], voxels.shape[0])))


def from_itk(image: SimpleITK.Image) -> NDArray[Any]:
    """Copy of the image's voxels, (k, j, i)."""
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(image)
