"""Classical segmentation by brightness into background and three classes, values 0 to 3."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.itk import from_itk, unplaced

CLASSES = 4
BINS = 256
EM_STEPS = 200


def otsu(voxels: NDArray[Any]) -> NDArray[np.uint8]:
    """Three thresholds that best part the histogram (Otsu 1979, doi:10.1109/TSMC.1979.4310076)."""
    import SimpleITK as sitk

    image = unplaced(voxels.astype(np.float32))
    classes = sitk.OtsuMultipleThresholds(image, CLASSES - 1, 0, 128)
    return from_itk(classes).astype(np.uint8)


def gaussian_mixture(voxels: NDArray[Any]) -> NDArray[np.uint8]:
    """Likeliest of four Gaussians fitted to the histogram by expectation maximisation.

    Dempster et al. 1977, doi:10.1111/j.2517-6161.1977.tb01600.x. Starts from Otsu's classes.
    """
    # In floats of 16 bits the sums below would overflow.
    voxels = voxels.astype(np.float32)
    # Between values that are large and close together there may be no numbers for edges.
    voxels -= voxels.min()
    counts, edges = np.histogram(voxels, bins=BINS)
    centres = (edges[:-1] + edges[1:]) / 2
    start = otsu(voxels)
    means = np.array(
        [voxels[start == c].mean() if (start == c).any() else 0 for c in range(CLASSES)]
    )
    deviation = np.full(CLASSES, max(float(voxels.std()) / CLASSES, float(edges[1] - edges[0])))
    share = np.full(CLASSES, 1 / CLASSES)
    for _ in range(EM_STEPS):
        belonging = _belonging(centres, means, deviation, share)
        mass = (belonging * counts).sum(axis=1) + 1e-9
        means = (belonging * counts * centres).sum(axis=1) / mass
        spread = (centres[None] - means[:, None]) ** 2
        deviation = np.sqrt((belonging * counts * spread).sum(axis=1) / mass)
        deviation = np.maximum(deviation, edges[1] - edges[0])
        share = mass / mass.sum()
    rank = np.argsort(np.argsort(means))
    table = rank[_belonging(centres, means, deviation, share).argmax(axis=0)].astype(np.uint8)
    bins = np.clip(np.searchsorted(edges, voxels, side="right") - 1, 0, BINS - 1)
    return table[bins]


def _belonging(
    values: NDArray[Any], means: NDArray[Any], deviation: NDArray[Any], share: NDArray[Any]
) -> NDArray[np.float64]:
    """Posterior of each class (rows) for each value (columns)."""
    distance = (values[None] - means[:, None]) / deviation[:, None]
    log = np.log(share / deviation)[:, None] - distance**2 / 2
    likelihood = np.exp(log - log.max(axis=0))
    return likelihood / likelihood.sum(axis=0)
