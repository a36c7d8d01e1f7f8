"""What voxels must be, or look like, before anything is done with them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.errors import VolumeError
from MedEnhanceLib.slabs import SAMPLE_STRIDE, thinned

MOST_LABELS = 64
LARGEST_LABEL = 65_535
LEAST_AGREEMENT = 0.4


class ImageWarning(UserWarning):
    """Something about an image that the user should know, though it can be read."""


def check_finite(voxels: NDArray[Any], name: str) -> None:
    """Raise `VolumeError` when voxels are NaN or infinite, saying how many."""
    if voxels.dtype.kind != "f":
        return
    # A finite sum proves all voxels finite in one cheap pass; only overflow needs a second look.
    with np.errstate(over="ignore", invalid="ignore"):
        total = voxels.sum(dtype=np.float64)
    if np.isfinite(total):
        return
    not_numbers = int(np.isnan(voxels).sum())
    infinite = int(np.isinf(voxels).sum())
    if not_numbers + infinite > 0:
        raise VolumeError(not_finite_sentence(name, not_numbers, infinite, voxels.size))


def not_finite_sentence(name: str, nans: int, infinite: int, total: int) -> str:
    """The sentence for an image with voxels that are no numbers."""
    kinds = [f"{n:,} {what}" for n, what in ((nans, "NaN"), (infinite, "infinite")) if n]
    return (
        f"'{name}' has {' and '.join(kinds)} of {total:,} voxels; replace them by numbers first, "
        "for example 0 outside the body."
    )


def looks_like_labels(voxels: NDArray[Any]) -> bool:
    """Whether an image is rather a segmentation: few whole numbers, in patches, mostly 0.

    The test is meant for warning a user who picked the wrong file. A drawing without noise, made
    of a few flat regions, cannot be told from a segmentation and counts as one.
    """
    voxels = np.asarray(voxels)
    if voxels.dtype.kind not in "buif" or voxels.size == 0:
        return False
    # Nearly every scan is told by a sample, long before the whole is looked at.
    if len(np.unique(thinned(voxels, SAMPLE_STRIDE))) > MOST_LABELS:
        return False
    least, most = voxels.min(), voxels.max()
    if least != 0 or not 0 < most <= LARGEST_LABEL or not _whole(voxels):
        return False
    counts = np.bincount(voxels.ravel().astype(np.int64))
    if np.count_nonzero(counts) > MOST_LABELS or counts.argmax() != 0:
        return False
    return _agreement(voxels) >= LEAST_AGREEMENT


def _whole(voxels: NDArray[Any]) -> bool:
    if voxels.dtype.kind != "f":
        return True
    with np.errstate(invalid="ignore"):
        return bool((voxels == np.rint(voxels)).all())


def _agreement(voxels: NDArray[Any]) -> float:
    """Share of neighbours with the same value, among pairs that touch a label."""
    equal = touching = 0
    for axis in range(voxels.ndim):
        first = np.moveaxis(voxels, axis, 0)[:-1]
        second = np.moveaxis(voxels, axis, 0)[1:]
        labelled = (first != 0) | (second != 0)
        touching += int(labelled.sum())
        equal += int((labelled & (first == second)).sum())
    return equal / touching if touching else 0.0
