"""Label maps of heads, and which of their labels are cerebrospinal fluid, grey and white matter.

The table is ``tissue_labels.json``. A map is kept as the number of each voxel's row in it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from MedEnhanceLib.quality.segmentation_metrics import dice
from training.data import Part, read_image, read_splits, scan_file

TABLE = Path(__file__).with_name("tissue_labels.json")
TISSUES = {1: "csf", 2: "gm", 3: "wm"}
"""Values of the network's classes; 0 is everything else."""
MARGIN = 8
"""Voxels of air that are kept around a head."""


@dataclass(frozen=True)
class TissueTable:
    """Rows of the table, air first: the tissue (0 to 3) and the look of each; row of a label."""

    tissues: NDArray[np.uint8]
    looks: tuple[str, ...]
    row_of_label: NDArray[np.uint8]


@dataclass(frozen=True)
class TissueMap:
    """One head: rows of the table (k, j, i) at 1 mm in RAS orientation."""

    name: str
    rows: NDArray[np.uint8]


def tissue_dice(found: NDArray[np.integer], truth: NDArray[np.integer]) -> dict[int, float]:
    """Dice of each tissue."""
    return {value: dice(truth == value, found == value) for value in TISSUES}


def read_table() -> TissueTable:
    """The committed table; labels that it does not name count as air."""
    rows = json.loads(TABLE.read_text(encoding="utf-8"))["rows"]
    values = {name: value for value, name in TISSUES.items()} | {"none": 0}
    row_of_label = np.zeros(1024, np.uint8)
    for number, row in enumerate(rows):
        row_of_label[row["labels"]] = number
    return TissueTable(
        np.array([values[row["tissue"]] for row in rows], np.uint8),
        tuple(row["look"] for row in rows),
        row_of_label,
    )


def tissue_maps(data: Path, part: Part, table: TissueTable) -> list[TissueMap]:
    """All label maps of one part of the split."""
    return [
        TissueMap(subject["subject"], read_map(scan_file(data, file), table))
        for subject in read_splits()["brain_tissue"][part]
        for file in subject["files"]
    ]


def read_map(path: Path, table: TissueTable) -> NDArray[np.uint8]:
    """Rows of the table (k, j, i) in RAS orientation, cut to the head."""
    turned = sitk.DICOMOrient(read_image(path), "RAS")
    rows = table.row_of_label[np.rint(sitk.GetArrayFromImage(turned)).astype(np.int64)]
    (box,) = ndimage.find_objects((rows > 0).astype(np.int8))
    return np.pad(rows[box], MARGIN)
