"""How far a patient moved between two scans of one session, from the scans themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.itk import to_itk
from MedEnhanceLib.resample import resample_averaged
from MedEnhanceLib.volume import Volume

if TYPE_CHECKING:
    import SimpleITK

LEVELS_MM = (6.0, 3.0, 2.0)
"""Voxels are made this coarse, one after the other: it is quick, and noise averages out."""
SAMPLES = (15_000, 30_000, 60_000)
"""About how many voxels are compared at each level."""
STEPS_MM = ((2.0, 0.05), (0.5, 0.02), (0.25, 0.01))
"""The first and the smallest step at each level."""
MOST_STEPS = 60
BINS = 32
FURTHEST_MM, FURTHEST_DEGREES = 15.0, 10.0
"""Patients who stay in the scanner move less; more is a registration gone wrong."""
LEAST_EXTENT_MM = 30.0
"""Thinner slabs cannot tell how the head was turned."""
LEAST_GAIN = 1.01
"""How much larger the mutual information must become for a move to be believed."""


@dataclass(frozen=True)
class Placement:
    """Where the moving volume belongs.

    Attributes:
        geometry: the moving volume's grid at that place.
        moved_mm: how far the middle of the fixed volume was moved.
        turned_degrees: by what angle.
        failure: why it could not be told, or ""; then ``geometry`` is the volume's own, as it also
            is where no place was better than that of the header.
    """

    geometry: Geometry
    moved_mm: float = 0.0
    turned_degrees: float = 0.0
    failure: str = ""


def rigidly_placed(moving: Volume, fixed: Volume) -> Placement:
    """Bring two contrasts of one head into register, starting from where their headers say.

    Rigid; the mutual information of Mattes et al. 2003 (doi:10.1109/TMI.2003.809072) is
    maximised on three grids, each finer than the one before.
    """
    if min(*moving.geometry.extent, *fixed.geometry.extent) < LEAST_EXTENT_MM:
        thin = f"scans of less than {LEAST_EXTENT_MM:.0f} mm along an axis cannot be matched"
        return Placement(moving.geometry, failure=thin)
    try:
        transform, gain = _best_move(moving, fixed)
    except RuntimeError:
        little = "it overlaps too little with the volume to be compared"
        return Placement(moving.geometry, failure=little)
    move = np.eye(4)
    move[:3, :3] = np.reshape(transform.GetMatrix(), (3, 3))
    move[:3, 3] = transform.TransformPoint((0.0, 0.0, 0.0))
    moved_mm = float(np.linalg.norm(transform.GetTranslation()))
    degrees = float(np.degrees(np.arccos(np.clip((np.trace(move[:3, :3]) - 1) / 2, -1, 1))))
    if gain < LEAST_GAIN:
        return Placement(moving.geometry)
    if moved_mm > FURTHEST_MM or degrees > FURTHEST_DEGREES:
        far = (
            f"it fits best when it is shifted by {moved_mm:.0f} mm and turned by {degrees:.0f} "
            "degrees, further than patients move in the scanner"
        )
        return Placement(moving.geometry, failure=far)
    geometry = Geometry.from_matrix(
        np.linalg.inv(move) @ moving.geometry.matrix, moving.geometry.size
    )
    return Placement(geometry, moved_mm, degrees)


def _best_move(moving: Volume, fixed: Volume) -> tuple[Any, float]:
    """From points of the fixed volume to points of the moving one, and the factor gained."""
    import SimpleITK as sitk

    transform = sitk.Euler3DTransform()
    middle = (np.array(fixed.geometry.size) - 1) / 2
    transform.SetCenter(fixed.geometry.to_world(middle).tolist())
    for spacing, samples, (step, least) in zip(LEVELS_MM, SAMPLES, STEPS_MM, strict=True):
        coarse, other = (_coarse(volume, spacing) for volume in (fixed, moving))
        method = sitk.ImageRegistrationMethod()
        method.SetNumberOfThreads(1)
        method.SetMetricAsMattesMutualInformation(BINS)
        method.SetMetricSamplingStrategy(method.REGULAR)
        share = min(1.0, samples / coarse.GetNumberOfPixels())
        method.SetMetricSamplingPercentage(share, 1)
        method.SetInterpolator(sitk.sitkLinear)
        method.SetInitialTransform(transform, True)
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetOptimizerAsRegularStepGradientDescent(step, least, MOST_STEPS, 0.6)
        method.Execute(coarse, other)
    found = method.GetMetricValue()
    unmoved = sitk.Euler3DTransform(transform)
    unmoved.SetIdentity()
    method.SetInitialTransform(unmoved)
    return transform, found / method.MetricEvaluate(coarse, other)


def _coarse(volume: Volume, spacing: float) -> SimpleITK.Image:
    """The volume averaged over voxels of at least ``spacing`` mm."""
    geometry = volume.geometry
    size = [
        max(1, min(n, round(e / spacing)))
        for n, e in zip(geometry.size, geometry.extent, strict=True)
    ]
    grid = geometry.resized(size)
    voxels: NDArray[np.float32] = resample_averaged(volume.voxels, geometry, grid)
    return to_itk(voxels, grid)
