"""Classical interpolation onto a finer grid. Each returns float32 voxels (k, j, i)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.acquisition import apply_to_shape, lanczos_matrix
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.resample import resample


def bspline(voxels: NDArray[Any], source: Geometry, target: Geometry) -> NDArray[np.float32]:
    """5th-order B-spline interpolation (Unser 1999, doi:10.1109/79.799930)."""
    return resample(voxels, source, target, "bspline5")


def lanczos(voxels: NDArray[Any], _source: Geometry, target: Geometry) -> NDArray[np.float32]:
    """Sinc interpolation with a Lanczos window (Duchon 1979); both grids share their edges."""
    return apply_to_shape(lanczos_matrix, voxels, target.shape)
