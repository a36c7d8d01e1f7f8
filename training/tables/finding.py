"""Finding: how far from a region's true centre a finder ends up, on drawn heads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib import Catalog
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.errors import UnsuitableError
from MedEnhanceLib.options import SegmentOptions
from MedEnhanceLib.reporting import Reporter
from MedEnhanceLib.tasks.finding import find_regions
from MedEnhanceLib.volume import Volume
from training.finding import SIDES, Head, heads, painted
from training.tables.rows import UNIT, Row, row, volume_of

CONTRASTS = 4
NOT_FOUND_MM = 100.0


def finder_rows(data: Path, model: str) -> Iterator[Row]:
    """Distance of the centres in mm on validation heads, the mean over random contrasts.

    Beside it: the same place within the head's box as in the mean of the training heads.
    """
    bundle = Catalog.default().find(model)
    assert isinstance(bundle, Bundle)
    places = {
        side: np.mean([centre(h, side) / h.tissues.shape for h in heads(data, "training")], axis=0)
        for side in SIDES
    }
    for head in heads(data, "validation"):
        errors = np.mean([distances(head, bundle, seed) for seed in range(CONTRASTS)], axis=0)
        for (side, name), error in zip(SIDES.items(), errors, strict=True):
            guess = places[side] * head.tissues.shape
            yield row(
                head.name,
                f"{name} hippocampus, drawn contrasts",
                float(error),
                "mean place in the training heads",
                float(np.linalg.norm(guess - centre(head, side))),
                "distance of centre (mm)",
            )


def centre(head: Head, side: int) -> NDArray[np.float64]:
    """Centre of mass (k, j, i) of one hippocampus in a head at 1 mm."""
    voxels: NDArray[np.float64] = np.argwhere(head.tissues.numpy() == side).mean(axis=0)
    return voxels


def distances(head: Head, bundle: Bundle, seed: int) -> list[float]:
    """Millimetres from each side's true centre to the one found, in one random contrast."""
    volume = drawn(head, seed)
    try:
        found, _ = find_regions(volume, bundle, SegmentOptions(), Reporter())
    except UnsuitableError:
        found = []
    centres = {region.number + 1: region.centre for region in found}
    errors = []
    for side in SIDES:
        true = volume.geometry.to_world(centre(head, side)[::-1])
        known = side in centres
        errors.append(float(np.linalg.norm(true - centres[side])) if known else NOT_FOUND_MM)
    return errors


def drawn(head: Head, seed: int) -> Volume:
    """A whole head at 1 mm in RAS orientation, in a random contrast."""
    rng = np.random.default_rng([17, seed])
    voxels = painted(head.tissues.numpy().astype(np.int64), rng) * np.float32(UNIT)
    return volume_of(voxels, ras=True)
