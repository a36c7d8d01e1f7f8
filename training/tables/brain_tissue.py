"""Brain tissue: Dice on phantoms painted on label maps, and of brains in scans with that of HD-BET.

None of them was trained on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import permutations
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from MedEnhanceLib import SegmentOptions, Volume, enhance, read_volume
from MedEnhanceLib.acquisition import add_rician_noise
from MedEnhanceLib.quality.segmentation_metrics import dice
from MedEnhanceLib.result import Result
from training.brain_scans import MASKS, files_with_skull
from training.data import FloatArray
from training.tables.rows import UNIT, VOXEL_COST, Row, row, volume_of
from training.tissue_maps import TISSUES, TissueTable, read_table, tissue_dice, tissue_maps

CONTRASTS = {"T1": (0.18, 0.55, 0.8), "T2": (1.0, 0.55, 0.38)}
"""Brightness of fluid, grey and white matter over the peak."""
OUTSIDE = {
    "T1": {"fat": 1.0, "muscle": 0.4, "marrow": 0.6, "mucosa": 0.45, "vessel": 0.3, "bone": 0.05},
    "T2": {"fat": 0.6, "muscle": 0.2, "marrow": 0.4, "mucosa": 0.7, "vessel": 0.1, "bone": 0.05},
}
"""Brightness of what surrounds the brain in phantoms of whole heads."""
NOISE = (0.03, 0.09)
FILTERS = {"filter-otsu": "Otsu", "filter-gaussian-mixture": "Gaussian mixture"}
Filtered = tuple[str, dict[int, float]]
"""What a filter is called, and its Dice of each tissue."""
NO_FILTER: Filtered = ("", dict.fromkeys(TISSUES, 0.0))
UNTIDIED = SegmentOptions(keep_largest=False, fill_holes=False)


def brain_tissue_rows(data: Path, model: str) -> Iterator[Row]:
    """Dice of each tissue in brains cut out, brains in noise, and heads with a skull.

    Beside classes of brightness, which are shown the brains cut out and nothing else: around
    these, noise and skulls are no tissue that they could tell. Each of their classes is taken for
    the tissue that fits best, which favours them.
    """
    yield from scan_rows(data, model)
    table = read_table()
    cases = list(enumerate((c, n) for c in CONTRASTS for n in NOISE))
    hardest_first = sorted(cases, key=lambda case: -case[1][1])
    for source in tissue_maps(data, "validation", table):
        truth = table.tissues[source.rows]
        for number, (contrast, noise) in hardest_first:
            rng = np.random.default_rng([number, len(source.name)])
            brain, head = (
                scan_of(phantom(source.rows, table, contrast, with_head), noise, rng)
                for with_head in (False, True)
            )
            masked = brain.with_voxels(np.where(truth > 0, brain.voxels, 0))
            filtered = best_filter(masked, truth)
            shown = {
                "masked brain": (masked, filtered),
                "head": (head, NO_FILTER),
                "brain in noise": (brain, NO_FILTER),
            }
            for what, (scan, theirs) in shown.items():
                condition = f"{contrast}, {what}, noise {noise:.0%}"
                yield from tissue_rows(scan, truth, model, source.name, condition, theirs)


def scan_rows(data: Path, model: str) -> Iterator[Row]:
    """Dice of the brain as a whole in scans, with HD-BET's mask; nothing where that is not made."""
    for name, path in files_with_skull(data, "validation"):
        mask = MASKS / path.name
        if not mask.exists():
            print(f"{name} is left out; python -m training.brain_scans makes its mask.")
            continue
        contrast = next((c for c in ("FLAIR", "T2") if c in name), "T1")
        labels = enhance(read_volume(path), "segment", model).output.voxels
        theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(mask)))
        whole = dice(theirs > 0, labels > 0)
        yield row(name, f"{contrast} scans, brain as HD-BET's", whole, metric="Dice")


def scan_of(clean: FloatArray, noise: float, rng: np.random.Generator) -> Volume:
    """A phantom (k, j, i) as scanned, with Rician noise everywhere."""
    noisy = add_rician_noise(clean, noise, rng)
    return volume_of((noisy * UNIT).astype(np.float32), ras=True)


def phantom(rows: NDArray[np.uint8], table: TissueTable, contrast: str, head: bool) -> FloatArray:
    """One brightness for each tissue (k, j, i), around the brain nothing or a head; peak 1."""
    around = OUTSIDE[contrast] if head else {}
    tissues = {value: CONTRASTS[contrast][value - 1] for value in TISSUES}
    looks = {"fluid": tissues[1], "white": tissues[3]} | around if head else {}
    values = [
        tissues[tissue] if tissue else looks.get(look, 0.0)
        for tissue, look in zip(table.tissues.tolist(), table.looks, strict=True)
    ]
    return np.array(values, np.float32)[rows]


def tissue_rows(
    scan: Volume,
    truth: NDArray[np.uint8],
    model: str,
    subject: str,
    condition: str,
    filtered: Filtered,
) -> Iterator[Row]:
    """Rows of one phantom: three tissues, and the brain as a whole."""
    found, cost = timed(partial(enhance, scan, "segment", model))
    ours = tissue_dice(found, truth)
    comparator, theirs = filtered
    for value, name in TISSUES.items():
        yield row(subject, f"{condition}, {name}", ours[value], comparator, theirs[value], "Dice")
    whole = dice(truth > 0, found > 0)
    yield row(subject, f"{condition}, brain", whole, metric="Dice")
    yield row(subject, condition, cost, metric=VOXEL_COST)


def timed(run: Callable[[], Result]) -> tuple[NDArray[np.integer], float]:
    """The labels, and how many core-microseconds a voxel took."""
    started = time.process_time()
    labels = run().output.voxels
    return labels, (time.process_time() - started) * 1e6 / labels.size


def best_filter(brain: Volume, truth: NDArray[np.uint8]) -> Filtered:
    """The classical filter with the higher mean Dice, its classes named by what fits best."""
    results = {}
    for name, title in FILTERS.items():
        classes = enhance(brain, "segment", name, UNTIDIED).output.voxels
        results[title] = best_naming(classes, truth)
    best = max(results, key=lambda title: sum(results[title].values()))
    return best, results[best]


def best_naming(classes: NDArray[np.integer], truth: NDArray[np.uint8]) -> dict[int, float]:
    """Dice of each tissue, with the classes assigned to tissues in the best way."""
    values = [int(v) for v in np.unique(classes) if v > 0]
    shares = {
        (tissue, value): dice(truth == tissue, classes == value)
        for tissue in TISSUES
        for value in values
    }
    namings = (
        {tissue: shares[tissue, value] for tissue, value in zip(TISSUES, order, strict=True)}
        for order in permutations(values, len(TISSUES))
    )
    return max(
        namings, key=lambda naming: sum(naming.values()), default=dict.fromkeys(TISSUES, 0.0)
    )
