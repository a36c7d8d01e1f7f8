"""How close a result is to its reference: the same numbers for every method and task."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.assessment import is_ct
from MedEnhanceLib.evaluation.methods import Row
from MedEnhanceLib.intensity import robust_peak
from MedEnhanceLib.quality.ct_metrics import CT_RANGE_HU, ct_foreground, ct_values
from MedEnhanceLib.quality.metrics import foreground, psnr, rmse, ssim
from MedEnhanceLib.quality.sharpness import edge_mask, gradient_magnitude
from MedEnhanceLib.volume import Volume

Values = dict[str, float | None]


def peak_of(volume: Volume) -> float:
    """P of PSNR and SSIM: the 99.9th percentile, for CT the fixed range of 2000 HU."""
    return CT_RANGE_HU if is_ct(volume) else robust_peak(volume.voxels)


class Scorer:
    """Compares with one reference.

    Foreground: brighter than P * 10 / 255, in CT everything but air. Sharpness is the gradient at
    the reference's strongest edges, in percent of the reference's own.
    """

    def __init__(self, reference: Volume, peak: float) -> None:
        self.reference = reference.voxels.astype(np.float32)
        self.geometry, self.peak, self.is_ct = reference.geometry, peak, is_ct(reference)
        self.inside = (
            ct_foreground(self.reference) if self.is_ct else foreground(self.reference, peak)
        )
        gradient = gradient_magnitude(self.reference, self.geometry)
        self.edges = edge_mask(gradient)
        self.gradient = float(gradient[self.edges].mean()) if self.edges.any() else 0.0

    def values(self, voxels: NDArray[Any]) -> Values:
        """PSNR, SSIM, sharpness and RMSE; for CT also the errors in HU by tissue."""
        general: Values = {
            "psnr_db": psnr(self.reference, voxels, self.peak, self.inside),
            "ssim": ssim(self.reference, voxels, self.peak, self.inside),
            "sharpness_percent": self._sharpness(voxels),
            "rmse": rmse(self.reference, voxels, self.inside),
        }
        return general | ct_values(self.reference, voxels) if self.is_ct else general

    def _sharpness(self, voxels: NDArray[Any]) -> float | None:
        """On the reference's scale: a peak of the image's own would move with its noise."""
        if not self.gradient:
            return None
        gradient = gradient_magnitude(voxels, self.geometry)
        return 100 * float(gradient[self.edges].mean()) / self.gradient


def cheaper(row: Row, core_seconds: float, peak_mb: float | None, voxels: int) -> Row:
    """The row with these costs, unless it has lower ones already; ``voxels`` of the output."""
    before = row.values.get("core_seconds")
    if before is not None and before <= core_seconds:
        return row
    each = 1e6 * core_seconds / voxels
    return row.plus(core_seconds=core_seconds, core_us_per_voxel=each, peak_mb=peak_mb)
