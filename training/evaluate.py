"""Measure a published model on the validation subjects against classical methods.

``python -m training.evaluate --model ID --data FOLDER`` prints the table and leaves it in the
run's folder, where ``training.publish`` puts it into the bundle's card. The models run as a user
runs them, through ``MedEnhanceLib.enhance`` with their noise level estimated blindly; denoising
filters are told the true one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from MedEnhanceLib import Geometry, Volume, enhance
from MedEnhanceLib.acquisition import add_rician_noise, interpolate_axis, thick_slices
from MedEnhanceLib.noise import estimate_noise
from training.data import (
    FOREGROUND,
    FloatArray,
    average_neighbours,
    is_thick_sliced,
    mr_scans,
    read_splits,
)
from training.denoising import LEAST_NOISE_OVER_REFERENCE
from training.segmentation import LABELS, dice, hippocampus_files

Row = dict[str, Any]
LEVELS = (0.01, 0.03, 0.05, 0.07, 0.09)
DENOISING_FILTERS = {
    "median": "filter-median",
    "anisotropic diffusion": "filter-anisotropic-diffusion",
    "non-local means": "filter-non-local-means",
}
ACQUISITIONS: dict[str, tuple[int, Any, float]] = {
    "2x, Gaussian profile": (2, "gaussian", 0.0),
    "2x, box profile": (2, "box", 0.0),
    "2x, box profile, 3% noise": (2, "box", 0.03),
    "4x, Gaussian profile": (4, "gaussian", 0.0),
}
BLOCK = 64
UNIT = 1000.0
"""Peak of the volumes that are measured; any will do, scanners use numbers of this size."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="id of a model in Resources/Models")
    parser.add_argument("--data", type=Path, required=True, help="the folder with the scans")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs are kept")
    args = parser.parse_args()
    measure = {
        "mr-denoise-residual": denoising_rows,
        "mr-super-resolution-residual": super_resolution_rows,
        "mr-hippocampus-unet": hippocampus_rows,
    }[args.model]
    rows = []
    for row in with_means(list(measure(args.data, args.model))):
        row["command"] = f"python -m training.evaluate --model {args.model} --data FOLDER"
        rows.append(row)
        print(
            f"{row['subject']:32} {row['condition']:28} {row['metric']:24} {row['value']:7.3f}"
            f"  {row['comparator']:24} {row['comparator_value']:7.3f}"
        )
    folder = args.runs / args.model
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def with_means(rows: list[Row]) -> list[Row]:
    """The rows, and after them the mean of each condition and metric over the subjects."""
    kinds = dict.fromkeys((row["condition"], row["metric"]) for row in rows)
    means = []
    for condition, metric in kinds:
        alike = [r for r in rows if (r["condition"], r["metric"]) == (condition, metric)]
        names = dict.fromkeys(r["comparator"] for r in alike)
        means.append(
            {
                "subject": f"mean of {len(alike)}",
                "condition": condition,
                "metric": metric,
                "value": round(float(np.mean([r["value"] for r in alike])), 3),
                "comparator": " / ".join(names),
                "comparator_value": round(
                    float(np.mean([r["comparator_value"] for r in alike])), 3
                ),
            }
        )
    return means if len(rows) > 60 else [*rows, *means]


def denoising_rows(data: Path, model: str) -> Iterator[Row]:
    """Foreground PSNR at each noise level, beside the best filter for that very image.

    A reference counts only at levels well above its own noise: what a denoiser takes away of
    that would be held against it.
    """
    for name, scan in mr_scans(data, "validation").items():
        axes = (1, 2) if is_thick_sliced(scan) else (0, 1, 2)
        clean = UNIT * central_block(average_neighbours(scan, axes))
        own_noise = estimate_noise(clean)
        for level in LEVELS:
            sigma = level * UNIT
            if sigma < LEAST_NOISE_OVER_REFERENCE * own_noise:
                continue
            noisy = volume_of(add_rician_noise(clean, sigma, np.random.default_rng(11)))
            ours = enhance(noisy, "denoise", model).output.voxels
            scores = {"noisy input": psnr(noisy.voxels, clean)}
            for title, filter_id in DENOISING_FILTERS.items():
                filtered = enhance(noisy, "denoise", filter_id, {"noise": sigma}).output
                scores[title] = psnr(filtered.voxels, clean)
            best = max(scores, key=lambda title: scores[title])
            yield row(name, f"{level:.0%} noise", psnr(ours, clean), best, scores[best])


def super_resolution_rows(data: Path, model: str) -> Iterator[Row]:
    """Foreground PSNR for each way of acquiring slices, beside a 5th-order B-spline."""
    for name, scan in mr_scans(data, "validation").items():
        sharp = UNIT * sharp_block(scan)
        for condition, (factor, profile, level) in ACQUISITIONS.items():
            thick = thick_slices(sharp, 0, factor, profile)
            if level > 0:
                thick = add_rician_noise(thick, level * UNIT, np.random.default_rng(11))
            volume = volume_of(thick, (1.0, 1.0, float(factor)))
            options = {"factor": (1, 1, factor)}
            ours = enhance(volume, "super-resolution", model, options).output.voxels
            spline = interpolate_axis(thick, 0, sharp.shape[0], order=5)
            yield row(name, condition, psnr(ours, sharp), "B-spline, order 5", psnr(spline, sharp))


def hippocampus_rows(data: Path, model: str) -> Iterator[Row]:
    """Dice of each label on the grid of the crop, beside nnU-Net's published mean."""
    published = {1: 0.90, 2: 0.89}
    for name in read_splits()["hippocampus"]["validation"]:
        image, labels = hippocampus_files(data, name)
        found = enhance(volume_of(image, ras=True), "segment", model).output.voxels
        for value, score in dice(found, labels).items():
            yield row(
                name,
                f"{LABELS[value]} hippocampus",
                score,
                "nnU-Net as published (other split)",
                published[value],
                "Dice",
            )


def row(
    subject: str,
    condition: str,
    value: float,
    comparator: str,
    comparator_value: float,
    metric: str = "foreground PSNR (dB)",
) -> Row:
    """One line of a bundle's table of results, without the command."""
    return {
        "subject": subject,
        "condition": condition,
        "metric": metric,
        "value": round(value, 3),
        "comparator": comparator,
        "comparator_value": round(comparator_value, 3),
    }


def psnr(output: FloatArray, clean: FloatArray) -> float:
    """PSNR in dB over the foreground of ``clean``, whose peak is ``UNIT``."""
    tissue = clean > FOREGROUND * UNIT
    return float(10 * np.log10(UNIT**2 / np.mean((output - clean)[tissue] ** 2)))


def central_block(voxels: FloatArray) -> FloatArray:
    """The middle of a scan, at most 64 voxels and a multiple of 4 along each axis."""
    size = [min(n // 4 * 4, BLOCK) for n in voxels.shape]
    starts = [(n - s) // 2 for n, s in zip(voxels.shape, size, strict=True)]
    window = tuple(slice(s, s + n) for s, n in zip(starts, size, strict=True))
    return np.ascontiguousarray(voxels[window])


def sharp_block(scan: FloatArray) -> FloatArray:
    """A block with small voxels along its first axis, quieted by averaging across that axis."""
    if is_thick_sliced(scan):
        return central_block(average_neighbours(np.moveaxis(scan, 1, 0), (2,)))
    return central_block(average_neighbours(scan, (1, 2)))


def volume_of(
    voxels: FloatArray, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0), ras: bool = False
) -> Volume:
    """An MR volume with these voxels (k, j, i); its axes point to RAS or to LPS."""
    k, j, i = voxels.shape
    turned = -1.0 if ras else 1.0
    direction = ((turned, 0.0, 0.0), (0.0, turned, 0.0), (0.0, 0.0, 1.0))
    return Volume(voxels, Geometry((i, j, k), spacing, direction=direction), modality="MR")


if __name__ == "__main__":
    main()
