"""Non-local means of DIPY (https://dipy.org, BSD-3-Clause)."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.evaluation.peers.denoisers import denoised
from MedEnhanceLib.evaluation.peers.packages import package
from MedEnhanceLib.options import Options
from MedEnhanceLib.result import Result
from MedEnhanceLib.volume import Volume

PATCH_RADIUS, BLOCK_RADIUS = 1, 2
PACKAGE = "dipy.denoise.nlmeans"


def denoise(volume: Volume, options: Options) -> Result:
    """Voxelwise non-local means, patches of 3 x 3 x 3 voxels, searched 5 x 5 x 5.

    Descoteaux et al. 2008, doi:10.1007/978-3-540-85990-1_21. Its Rician option takes the bias
    off, so nothing else may.
    """
    return denoised(volume, options, _non_local_means)


def _non_local_means(voxels: NDArray[np.float32], sigma: float, is_mr: bool) -> NDArray[Any]:
    nlmeans = package(PACKAGE).nlmeans
    # Since 1.12 another variant is the default, which is several dB worse at these levels.
    chosen = {"method": "classic"} if "method" in inspect.signature(nlmeans).parameters else {}
    # Negative HU would be cut off.
    least = min(np.float32(0), voxels.min())
    result: NDArray[Any] = nlmeans(
        voxels - least,
        sigma,
        patch_radius=PATCH_RADIUS,
        block_radius=BLOCK_RADIUS,
        rician=is_mr,
        num_threads=1,
        **chosen,
    )
    return result + least
