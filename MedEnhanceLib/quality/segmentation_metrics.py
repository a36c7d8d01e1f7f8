"""How close a segmentation is to reference labels.

Each function takes two masks (k, j, i) of one structure, true inside it. Definitions as in Taha
and Hanbury 2015, "Metrics for evaluating 3D medical image segmentation",
doi:10.1186/s12880-015-0068-x.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.errors import VolumeError
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.itk import from_itk, to_itk, unplaced
from MedEnhanceLib.tiles import bounding_box

Mask = NDArray[np.bool_]


def dice(reference: Mask, found: Mask) -> float:
    """Dice 1945, doi:10.2307/1932409: twice the common part over the sum; 1 when both are empty."""
    reference, found = _masks(reference, found)
    total = int(reference.sum()) + int(found.sum())
    return 2 * int((reference & found).sum()) / total if total else 1.0


def iou(reference: Mask, found: Mask) -> float:
    """Intersection over union (Jaccard 1912); 1 when both are empty."""
    reference, found = _masks(reference, found)
    union = int((reference | found).sum())
    return int((reference & found).sum()) / union if union else 1.0


def hd95(reference: Mask, found: Mask, geometry: Geometry) -> float:
    """95th percentile of the Hausdorff distance between the two surfaces, in mm.

    Huttenlocher et al. 1993, doi:10.1109/34.232073. The surface is made of the mask's voxels
    that touch the outside with a face; the percentile is taken each way, and the larger of the
    two counts, as MONAI does. 0 when both are empty, infinite when one is.
    """
    reference, found = _masks(reference, found)
    if not reference.any() or not found.any():
        return 0.0 if not reference.any() and not found.any() else math.inf
    box = bounding_box(reference | found)
    assert box is not None  # neither is empty
    # A rim of one voxel outside of them, as far as there is any.
    near = box.grown(1, reference.shape).slices
    first, second = _surface(reference[near]), _surface(found[near])
    there = _distance_mm(second, geometry)[first]
    back = _distance_mm(first, geometry)[second]
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))


def volume_error_percent(reference: Mask, found: Mask) -> float:
    """How much larger (or smaller, negative) the found volume is, in percent of the reference."""
    reference, found = _masks(reference, found)
    truth = int(reference.sum())
    if truth == 0:
        return 0.0 if not found.any() else math.inf
    return 100 * (int(found.sum()) - truth) / truth


def _masks(reference: NDArray[Any], found: NDArray[Any]) -> tuple[Mask, Mask]:
    if reference.shape != found.shape:
        raise VolumeError(
            f"The segmentation has {found.shape[::-1]} voxels, but the reference has "
            f"{reference.shape[::-1]}; compare segmentations on the same grid."
        )
    return reference.astype(bool, copy=False), found.astype(bool, copy=False)


def _surface(mask: Mask) -> Mask:
    import SimpleITK as sitk

    # The border counts as outside, so that a structure cut by it has a surface there too; but a
    # single slice has its surface within.
    padded = np.pad(mask, [(int(n > 1),) * 2 for n in mask.shape])
    eroded = sitk.BinaryErode(unplaced(padded), [1, 1, 1], sitk.sitkCross)
    core = tuple(slice(1, -1) if n > 1 else slice(None) for n in mask.shape)
    return mask & ~from_itk(eroded).astype(bool)[core]


def _distance_mm(surface: Mask, geometry: Geometry) -> NDArray[np.float32]:
    """Millimetres from each voxel's centre to the nearest voxel of the surface."""
    import SimpleITK as sitk

    k, j, i = surface.shape
    image = to_itk(surface, Geometry((i, j, k), geometry.spacing))
    distance = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
    # Inside the surface, a layer of voxels, the signed distance is zero or below.
    return np.maximum(from_itk(distance), 0)
