"""The grid that super-resolution makes of a volume's, and what cannot be asked of it."""

from __future__ import annotations

import math

import numpy as np

from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.options import LARGEST_FACTOR, SuperResolutionOptions
from MedEnhanceLib.resample import MOST_VOXELS

# Refining by less than this is left to the viewer's own interpolation.
LEAST_FACTOR = 1.05
AXIS_NAMES = "xyz"


def target_geometry(source: Geometry, options: SuperResolutionOptions) -> Geometry:
    """The grid asked for; by default the finest spacing of the volume along every axis.

    Raises:
        OptionsError: when nothing would be refined, an axis would become coarser, or the result
            would be too large.
    """
    factors = _factors(source, options)
    if any(f < 1 / LEAST_FACTOR for f in factors):
        axis = int(np.argmin(factors))
        raise OptionsError(
            f"The {source.spacing[axis] / factors[axis]:.3g} mm wanted along {AXIS_NAMES[axis]} "
            f"are coarser than the volume's {_mm(source.spacing)}, but super-resolution only "
            "refines; give a smaller spacing there."
        )
    kept = [f if f >= LEAST_FACTOR else 1.0 for f in factors]
    # A few slices times a small factor may round to as many slices.
    if all(round(n * f) == n for n, f in zip(source.size, kept, strict=True)):
        raise OptionsError(
            f"With a spacing of {_mm(source.spacing)} there is nothing to refine; ask for a "
            "factor (such as 2 2 2) or for a smaller spacing."
        )
    for axis, factor in enumerate(kept):
        if factor > LARGEST_FACTOR:
            raise OptionsError(
                f"Refining {AXIS_NAMES[axis]} {factor:.1f} times is more than {LARGEST_FACTOR:g} "
                "times; ask for a larger spacing."
            )
        if factor > 1 and source.size[axis] < 2:
            raise OptionsError(
                f"The volume has one voxel along {AXIS_NAMES[axis]} (size {source.size}), so there "
                "is nothing between slices to find; ask for a factor of 1 along that axis."
            )
    if math.prod(n * f for n, f in zip(source.size, kept, strict=True)) > MOST_VOXELS:
        raise OptionsError(
            f"Refining {source.size} voxels {tuple(kept)} times gives more than {MOST_VOXELS:.0e} "
            "voxels; crop the volume, or ask for a larger spacing."
        )
    return source.refined(kept)


def _factors(source: Geometry, options: SuperResolutionOptions) -> tuple[float, ...]:
    if options.factor is not None:
        return options.factor
    wanted = options.spacing or (min(source.spacing),) * 3
    return tuple(s / w for s, w in zip(source.spacing, wanted, strict=True))


def _mm(values: tuple[float, ...]) -> str:
    return " x ".join(f"{v:.3g}" for v in values) + " mm"
