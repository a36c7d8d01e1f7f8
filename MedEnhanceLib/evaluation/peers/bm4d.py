"""BM4D of Tampere University (PyPI: bm4d). Its licence allows non-commercial use only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.evaluation.peers.denoisers import denoised
from MedEnhanceLib.evaluation.peers.packages import package
from MedEnhanceLib.evaluation.variance_stabilisation import rician_stabiliser
from MedEnhanceLib.options import Options
from MedEnhanceLib.result import Result
from MedEnhanceLib.volume import Volume


def prepare() -> object:
    """Import it; raises `DependencyError` when it is not installed."""
    rician_stabiliser()
    return package("bm4d")


def denoise(volume: Volume, options: Options) -> Result:
    """Block matching and 4D filtering, in its usual profile; for MR on stabilised noise.

    Maggioni, Katkovnik, Egiazarian and Foi 2013, doi:10.1109/TIP.2012.2210725; with the variance
    stabilisation of Foi 2011, doi:10.1109/ISBI.2011.5872758. For CT it takes the noise for white:
    its own way with correlated noise (version 4.2.5) does not run under numpy 2.4.
    """
    return denoised(volume, options, _bm4d)


def _bm4d(voxels: NDArray[np.float32], sigma: float, is_mr: bool) -> NDArray[Any]:
    if not is_mr:
        return _filtered(voxels, sigma)
    stabiliser = rician_stabiliser()
    return stabiliser.inverse(_filtered(stabiliser.forward(voxels, sigma), 1.0), sigma)


def _filtered(voxels: NDArray[np.float32], sigma: float) -> NDArray[Any]:
    """White Gaussian noise of this spread taken out, on one thread."""
    module = package("bm4d")
    profile = module.BM4DProfile()
    profile.num_threads = 1
    result: NDArray[Any] = module.bm4d(voxels, sigma, profile)
    return result
