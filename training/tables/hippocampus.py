"""Hippocampus: Dice of each label in crops, and the finder's distances in whole heads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from MedEnhanceLib import enhance
from training.data import read_splits
from training.segmentation import LABELS, hippocampus_files, label_dice
from training.tables.finding import finder_rows
from training.tables.rows import Row, row, volume_of


def hippocampus_rows(data: Path, model: str) -> Iterator[Row]:
    """Dice of each label on the grid of the crop, beside nnU-Net's published mean; the finder."""
    published = {1: 0.90, 2: 0.89}
    for name in read_splits()["hippocampus"]["validation"]:
        image, labels = hippocampus_files(data, name)
        found = enhance(volume_of(image, ras=True), "segment", model).output.voxels
        for value, score in label_dice(found, labels).items():
            yield row(
                name,
                f"{LABELS[value]} hippocampus",
                score,
                "nnU-Net as published (other split)",
                published[value],
                "Dice",
            )
    yield from finder_rows(data, model)
