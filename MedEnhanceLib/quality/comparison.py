"""A result against a reference, in steps short enough to keep a window alive in between.

Each comparison is a generator: it yields how far it is (0 to 1) and returns the measures.
`finished` runs one to its end.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.assessment import is_ct
from MedEnhanceLib.errors import VolumeError
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.intensity import robust_peak
from MedEnhanceLib.quality.ct_metrics import CT_RANGE_HU, ct_foreground
from MedEnhanceLib.quality.metrics import SSIM_RADIUS, foreground, psnr_of, rmse, ssim_map
from MedEnhanceLib.quality.segmentation_metrics import Mask, dice, hd95, volume_error_percent
from MedEnhanceLib.result import Measure
from MedEnhanceLib.tiles import Box
from MedEnhanceLib.volume import Volume

Steps = Generator[float, None, tuple[Measure, ...]]
TILE = 64
"""Edge in voxels. A tile takes about a quarter of a second."""
SAME_PLACE_MM = 0.01


def finished(steps: Steps) -> tuple[Measure, ...]:
    """The measures, after all steps."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            measures: tuple[Measure, ...] = stop.value
            return measures


def compare_volumes(reference: Volume, before: Volume | None, after: Volume) -> Steps:
    """PSNR, SSIM and RMSE over the reference's foreground, before and after.

    Definitions as in `MedEnhanceLib.quality.metrics`; for CT the range is 2000 HU and the
    foreground all but air.

    Args:
        reference: what the result should look like.
        before: the input, when it is on the reference's grid.
        after: the output.

    Raises:
        VolumeError: when the output is not on the reference's grid, or the reference is empty.
    """
    if not reference.geometry.is_close(after.geometry, SAME_PLACE_MM):
        raise VolumeError(
            "The reference is not on the grid of the result; resample it onto the result first "
            "(module Resample Scalar/Vector/DWI Volume)."
        )
    truth = reference.voxels
    in_hu = is_ct(reference)
    peak = CT_RANGE_HU if in_hu else robust_peak(truth)
    mask = ct_foreground(truth) if in_hu else foreground(truth, peak)
    images = [None if before is None else before.voxels, after.voxels]
    wanted = [image for image in images if image is not None]
    errors, similarities = [], []
    for number, image in enumerate(wanted):
        errors.append(rmse(truth, image, mask))
        similarity = yield from _ssim(truth, image, peak, mask, (number, len(wanted)))
        similarities.append(similarity)
    padding: list[float | None] = [None] * (len(images) - len(wanted))
    return _image_measures(
        [*padding, *errors], [*padding, *similarities], peak, reference.units, in_hu
    )


def _ssim(
    truth: NDArray[Any],
    image: NDArray[Any],
    peak: float,
    mask: NDArray[np.bool_],
    part: tuple[int, int],
) -> Generator[float, None, float]:
    """Mean similarity over the mask, tile by tile; as if done at once, since tiles overlap."""
    tiles = [tile for tile in _tiles(mask.shape) if mask[tile.slices].any()]
    total = 0.0
    number, count = part
    for done, tile in enumerate(tiles, start=1):
        outer = tile.grown(SSIM_RADIUS, mask.shape)
        similarity = ssim_map(truth[outer.slices], image[outer.slices], peak)
        inner = similarity[tile.inside(outer).slices]
        total += float(inner[mask[tile.slices]].sum(dtype=np.float64))
        yield (number + done / len(tiles)) / count
    return total / int(np.count_nonzero(mask))


def _tiles(shape: tuple[int, ...]) -> Iterator[Box]:
    for k, j, i in itertools.product(*(range(0, length, TILE) for length in shape)):
        stop = [min(a + TILE, length) for a, length in zip((k, j, i), shape, strict=True)]
        yield Box((k, j, i), (stop[0], stop[1], stop[2]))


def _image_measures(
    errors: list[float | None],
    similarities: list[float | None],
    peak: float,
    units: str,
    in_hu: bool,
) -> tuple[Measure, ...]:
    where = "everything but air" if in_hu else "the reference's foreground"
    (error_before, error_after), (ssim_before, ssim_after) = errors, similarities
    psnr_before, psnr_after = (None if e is None else psnr_of(e, peak) for e in errors)
    return (
        Measure(
            "PSNR against the reference",
            psnr_before,
            psnr_after,
            "dB",
            f"Peak {peak:.4g} over the error in {where}; more is better.",
        ),
        Measure(
            "SSIM against the reference",
            ssim_before,
            ssim_after,
            "",
            f"Structural similarity in 3D, in {where}; 1 is identical.",
        ),
        Measure(
            "RMSE against the reference",
            error_before,
            error_after,
            units,
            f"Root mean square difference in {where}; less is better.",
        ),
    )


MaskMaker = Callable[[], Mask]


def compare_segments(
    segments: Mapping[str, tuple[MaskMaker, MaskMaker]], geometry: Geometry
) -> Steps:
    """Dice, HD95 and volume error of each segment; one step each.

    Args:
        segments: by name: what gives the mask of the reference, and that of the result.
        geometry: the grid of all masks.
    """
    measures: list[Measure] = []
    for number, (name, (reference, found)) in enumerate(segments.items()):
        truth, mask = reference(), found()
        measures += [
            Measure(f"Dice of {name}", None, dice(truth, mask), "", "Overlap; 1 is identical."),
            Measure(
                f"HD95 of {name}",
                None,
                hd95(truth, mask, geometry),
                "mm",
                "Distance of the surfaces, all but the worst 5 %; less is better.",
            ),
            Measure(
                f"Volume error of {name}",
                None,
                volume_error_percent(truth, mask),
                "%",
                "Above 0 when more was found than is in the reference.",
            ),
        ]
        yield (number + 1) / len(segments)
    return tuple(measures)
