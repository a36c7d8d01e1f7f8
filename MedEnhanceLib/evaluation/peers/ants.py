"""Denoising and tissue segmentation of ANTs (PyPI: antspyx; Apache-2.0)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.evaluation.peers.denoisers import denoised
from MedEnhanceLib.evaluation.peers.packages import package
from MedEnhanceLib.filters import BRIGHTNESS_CLASSES
from MedEnhanceLib.options import Options
from MedEnhanceLib.result import Result
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import LabelMap, Volume

RIM = 5
"""Voxels that are mirrored beyond the border: `DenoiseImage` takes what lies there for zero, which
darkens the rim of a block cut out of a head. They cost time too."""
ATROPOS_START = "KMeans[3]"
ATROPOS_NEIGHBOURS = "[0.1,1x1x1]"
ATROPOS_STEPS = "[10,0.001]"


def denoise(volume: Volume, options: Options) -> Result:
    """``DenoiseImage``: spatially adaptive non-local means; it finds the noise level itself.

    Manjon et al. 2010, doi:10.1002/jmri.22003.
    """
    return denoised(volume, options, _denoise_image)


def _denoise_image(voxels: NDArray[np.float32], sigma: float, is_mr: bool) -> NDArray[Any]:
    ants = package("ants")
    # It compares patches by the ratio of their means, which negative HU would spoil.
    least = min(np.float32(0), voxels.min())
    image = ants.from_numpy(np.pad(voxels - least, RIM, mode="symmetric"))
    model = "Rician" if is_mr else "Gaussian"
    result: NDArray[Any] = ants.denoise_image(image, noise_model=model).numpy()
    return result[RIM:-RIM, RIM:-RIM, RIM:-RIM] + least


def segment(volume: Volume, options: Options, mask: NDArray[np.bool_] | None = None) -> Result:
    """N4 bias correction, then Atropos with three classes of brightness inside the brain.

    Tustison et al. 2010, doi:10.1109/TMI.2010.2046908; Avants et al. 2011,
    doi:10.1007/s12021-011-9109-y. Started by k-means, with a Markov random field. On T1 the classes
    are cerebrospinal fluid, grey and white matter.

    Args:
        mask: the brain, (k, j, i).
    """
    if mask is None or not mask.any():
        raise OptionsError("'peer-atropos' needs a brain mask; give one with --brain-mask.")
    ants = package("ants")
    image = _placed(volume.voxels.astype(np.float32), volume)
    brain = _placed(mask.astype(np.float32), volume)
    even = ants.n4_bias_field_correction(image, mask=brain)
    found = ants.atropos(even, x=brain, i=ATROPOS_START, m=ATROPOS_NEIGHBOURS, c=ATROPOS_STEPS)[
        "segmentation"
    ]
    labels = np.ascontiguousarray(found.numpy().transpose()).astype(np.uint8)
    return Result(Task.SEGMENT, LabelMap(labels, volume.geometry, BRIGHTNESS_CLASSES))


def _placed(voxels: NDArray[np.float32], volume: Volume) -> Any:
    """An ANTs image, whose arrays are (i, j, k), with the volume's spacing."""
    image = package("ants").from_numpy(np.ascontiguousarray(voxels.transpose()))
    image.set_spacing(tuple(volume.geometry.spacing))
    return image
