"""What the denoising peers share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.assessment import is_ct
from MedEnhanceLib.noise import estimate_noise
from MedEnhanceLib.options import DenoiseOptions, Options
from MedEnhanceLib.result import Result
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Volume

Denoiser = Callable[[NDArray[np.float32], float, bool], NDArray[Any]]


def denoised(volume: Volume, options: Options, run: Denoiser) -> Result:
    """The volume put through ``run(voxels, sigma, is_mr)``; voxels are float32, (k, j, i)."""
    assert isinstance(options, DenoiseOptions)
    is_mr = not is_ct(volume)
    sigma = options.noise or estimate_noise(volume.voxels, is_mr)
    output = run(volume.voxels.astype(np.float32), sigma, is_mr)
    return Result(Task.DENOISE, volume.with_voxels(np.asarray(output, np.float32)))
