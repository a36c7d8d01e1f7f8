"""How wide the slice profile of a thick-sliced volume is, from the volume alone.

Anatomy looks alike along all axes. Lines within the slices, blurred and thinned out as a scanner
with the right profile would have done it, are therefore as rough as the volume is from slice to
slice; with a profile that is too wide they are smoother, with one too narrow rougher. Roughness is
measured by third differences, in which axes are more alike than in plain ones once their blur is.
That the axes within the slices show what lies between them is the idea of SMORE (Zhao et al. 2021,
doi:10.1109/TMI.2020.3037187), and of ESPRESO (Han et al. 2021, arXiv:2104.00100) that a profile can
be told from it. How alike axes are was measured by ``training.fit_profile``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.acquisition import apply_along, slice_matrix
from MedEnhanceLib.intensity import FOREGROUND, PEAK_PERCENTILE, largest_usual
from MedEnhanceLib.tiles import central_block

BOX_WIDTH = 0.68
"""Width of the Gaussian profile that blurs as much as a box profile of width 1."""
EXPECTED_WIDTH, WIDTH_SPREAD = 0.95, 0.25
"""What profiles are expected to be, before the volume is looked at."""
USUAL_WIDTH = 1.0
"""Of slices that touch; taken where nothing can be told."""
LEAST_RATIO = 1.4
"""Slices that are hardly thicker than the voxels in their plane tell nothing."""
LEAST_SLICES = 8
LEAST_PLACES = 1000
LIMITS = (0.6, 1.3)
"""Slices that seem to overlap by more are soft themselves, which is not the profile's doing."""
CANDIDATES = np.round(np.arange(0.5, 1.55, 0.1), 2)
SPANS = (1, 2)
"""Slices between those of a third difference."""
THIRD_DIFFERENCE = (-1, 3, -3, 1)
BLOCK = (64, 128, 128)
"""The middle of a large volume tells enough."""
BRIGHTEST = 1.5
"""Times the peak; what is brighter, such as an implant's few voxels, would outweigh all edges."""
LEAST_SHARE = 0.02
"""At least this part of a mean square is taken for anatomy, the rest for noise."""

COVARIANCE = ((0.1715, 0.1333), (0.1333, 0.1208))
"""Of how much the axes of anatomy differ, by the spans: of logarithms of roughness."""


def estimate_profile_width(
    voxels: NDArray[Any], axis: int, spacing: Sequence[float], sigma: float
) -> float:
    """Full width at half maximum of a Gaussian slice profile, over the distance of the slices.

    On scans that it was not fitted to, the root mean square error is 0.08 to 0.12 (widths at hand
    spread by 0.22): good enough to sharpen by, no measurement of the scanner.

    Args:
        voxels: (k, j, i).
        axis: the array axis across the slices.
        spacing: mm along (k, j, i).
        sigma: standard deviation of the noise in the volume's unit.

    Returns:
        Between 0.6 and 1.3; 1, which is what slices that touch are said to have, when the
        slices are too few or not thicker than the voxels in their plane.
    """
    order = [axis, *(a for a in range(3) if a != axis)]
    ratios = [spacing[axis] / spacing[a] for a in order[1:]]
    found = unlikeness(voxels.transpose(order), ratios, sigma)
    return USUAL_WIDTH if found is None else likeliest_width(found, np.array(COVARIANCE))


def unlikeness(
    slices: NDArray[Any], ratios: Sequence[float], sigma: float
) -> NDArray[np.float64] | None:
    """How much smoother lines within the slices are than those across, for each candidate.

    Args:
        slices: the volume with the axis across the slices first.
        ratios: distance of the slices over that of the voxels along the two other axes.
        sigma: as in `estimate_profile_width`.

    Returns:
        Logarithms of ratios of roughness, (candidate, axis, span), of the axes with fine enough
        voxels; None when there is none or too little tissue.
    """
    axes = [(a, ratio) for a, ratio in enumerate(ratios, start=1) if ratio >= LEAST_RATIO]
    block = np.ascontiguousarray(central_block(slices, BLOCK), dtype=np.float32)
    if len(block) < LEAST_SLICES or not axes:
        return None
    block = np.minimum(block, np.float32(BRIGHTEST * largest_usual(block)))
    try:
        return np.array(
            [[_difference(block, a, ratio, w, sigma) for a, ratio in axes] for w in CANDIDATES]
        )
    except _TooFewError:
        return None


def likeliest_width(found: NDArray[np.float64], covariance: NDArray[np.float64]) -> float:
    """The width for which the axes are as alike as those of anatomy are, and that is usual.

    Args:
        found: as by :func:`unlikeness`.
        covariance: of how much the axes of anatomy differ, (span, span).
    """
    inverse = np.linalg.inv(covariance)
    costs = np.einsum("was,st,wat->w", found, inverse, found)
    costs += ((CANDIDATES - EXPECTED_WIDTH) / WIDTH_SPREAD) ** 2
    best = int(np.clip(np.argmin(costs), 1, len(costs) - 2))
    # The lowest point of the parabola through the best candidate and its neighbours.
    before, least, after = costs[best - 1 : best + 2]
    bend = before - 2 * least + after
    shift = 0.5 * (before - after) / bend if bend > 0 else 0.0
    step = CANDIDATES[1] - CANDIDATES[0]
    return float(np.clip(CANDIDATES[best] + step * np.clip(shift, -1, 1), *LIMITS))


class _TooFewError(Exception):
    """There are not enough voxels of tissue at the wanted distances."""


def _difference(
    block: NDArray[np.float32], axis: int, ratio: float, width: float, sigma: float
) -> list[float]:
    """Logarithms of roughness across the slices over that along ``axis``, for each span.

    With lines along ``axis`` blurred by the profile, the block is blurred alike along both.
    """
    count = round(block.shape[axis] / ratio)
    if count < LEAST_SLICES:
        raise _TooFewError
    matrix = slice_matrix(block.shape[axis], count, "gaussian", float(width))
    blurred = apply_along(matrix, block, axis)
    tissue = blurred > FOREGROUND * float(np.percentile(blurred, PEAK_PERCENTILE))
    middle = count // 2
    stencil = np.array(THIRD_DIFFERENCE)
    # White noise within the slices is blurred along the lines, but not across.
    across = float(stencil @ stencil) * float(matrix[middle] @ matrix[middle])
    differences = []
    for span in SPANS:
        rows = matrix[middle - 3 * span // 2 :: span][: len(stencil)]
        along = float(np.sum((stencil @ rows) ** 2))
        differences.append(
            _roughness(blurred, tissue, 0, span, across * sigma**2)
            - _roughness(blurred, tissue, axis, span, along * sigma**2)
        )
    return differences


def _roughness(
    image: NDArray[np.float32], tissue: NDArray[np.bool_], axis: int, span: int, noise: float
) -> float:
    """Logarithm of the mean square third difference within tissue, without the noise's."""
    lines, inside = np.moveaxis(image, axis, 0), np.moveaxis(tissue, axis, 0)
    count = len(lines) - 3 * span
    windows = [slice(start, start + count) for start in range(0, 4 * span, span)]
    chosen = np.logical_and.reduce([inside[window] for window in windows])
    if np.count_nonzero(chosen) < LEAST_PLACES:
        raise _TooFewError
    weighted = zip(THIRD_DIFFERENCE, windows, strict=True)
    differences = sum(np.float32(weight) * lines[window] for weight, window in weighted)
    found = np.asarray(differences)[chosen].astype(np.float64)
    square = float(found @ found) / found.size
    return float(np.log(max(square - noise, LEAST_SHARE * square, np.finfo(float).tiny)))
