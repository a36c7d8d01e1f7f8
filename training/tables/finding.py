"""Finding: how far from a region's true centre a finder ends up, on painted heads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from MedEnhanceLib import Catalog
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.errors import UnsuitableError
from MedEnhanceLib.options import SegmentOptions
from MedEnhanceLib.progress import Reporter
from MedEnhanceLib.tasks.finding import find_regions
from MedEnhanceLib.volume import Volume
from training.hippocampus_finder import SIDES
from training.synthetic_contrast import Painter
from training.tables.rows import UNIT, Row, row, volume_of
from training.tissue_maps import TissueMap, TissueTable, read_table, tissue_maps

CONTRASTS = 4


def finder_rows(data: Path, model: str) -> Iterator[Row]:
    """How many hippocampi are found on validation heads painted like T1, and how far off they are.

    Beside it: the same place within the head's box as in the mean of the training heads.
    """
    bundle = Catalog.default().find(model)
    assert isinstance(bundle, Bundle)
    table = read_table()
    known = tissue_maps(data, "training", table)
    places = {
        name: np.mean([centre(head, table, name) / head.rows.shape for head in known], axis=0)
        for name in SIDES
    }
    for head in tissue_maps(data, "validation", table):
        errors = np.array([distances(head, table, bundle, seed) for seed in range(CONTRASTS)])
        for name, off in zip(SIDES, errors.T, strict=True):
            what = f"{name} hippocampus, drawn contrasts"
            found = off[np.isfinite(off)]
            guess = float(
                np.linalg.norm(places[name] * head.rows.shape - centre(head, table, name))
            )
            yield row(head.name, what, len(found) / len(off), metric="share found")
            if len(found):
                ours = float(found.mean())
                theirs = float(np.linalg.norm(guess))
                yield row(head.name, what, ours, "mean place", theirs, "distance of centre (mm)")


def centre(head: TissueMap, table: TissueTable, side: str) -> NDArray[np.float64]:
    """Centre of mass (k, j, i) of one hippocampus in a head at 1 mm."""
    inside = head.rows == table.row_of_label[SIDES[side]]
    voxels: NDArray[np.float64] = np.argwhere(inside).mean(axis=0)
    return voxels


def distances(head: TissueMap, table: TissueTable, bundle: Bundle, seed: int) -> list[float]:
    """Millimetres from each side's true centre to the one found, in one contrast; or infinity."""
    volume = painted(head, table, seed)
    try:
        found, _, _ = find_regions(volume, bundle, SegmentOptions(), Reporter())
    except UnsuitableError:
        found = []
    centres = {region.number: region.centre for region in found}
    errors = []
    for number, side in enumerate(SIDES):
        true = volume.geometry.to_world(centre(head, table, side)[::-1])
        known = number in centres
        errors.append(float(np.linalg.norm(true - centres[number])) if known else np.inf)
    return errors


def painted(head: TissueMap, table: TissueTable, seed: int) -> Volume:
    """A whole head at 1 mm in RAS orientation, painted as T1-weighted scans are."""
    rows = torch.from_numpy(head.rows.astype(np.int64))
    image, _ = Painter(table)(rows, np.random.default_rng([17, seed]), "T1")
    return volume_of(image.numpy() * np.float32(UNIT), ras=True)
