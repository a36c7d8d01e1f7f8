"""Fit the estimate of the slice profile: ``python -m training.fit_profile --data FOLDER``.

Training scans are put through random profiles; the weights that tell the profile's width from
`MedEnhanceLib.slice_profile.profile_features` are found by least squares and printed, with the
error on scans that the weights were not fitted on (one scan left out at a time).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.acquisition import add_rician_noise, apply_along
from MedEnhanceLib.slice_profile import profile_features
from training.data import FloatArray, Reference, mr_scans, quiet_references
from training.patches import random_contrast
from training.super_resolution import choose_reference, random_profile

EDGE = 100
RIDGE = 2.0
SAMPLES = 700


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with the scans")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="random volumes to fit to")
    args = parser.parse_args()
    scans = [quiet_references(*scan) for scan in mr_scans(args.data, "training").items()]
    rng = np.random.default_rng(0)
    rows, widths, subjects = [], [], []
    for number in range(args.samples):
        features, width = random_sample(scans[number % len(scans)], rng)
        if features is not None:
            rows.append(features)
            widths.append(width)
            subjects.append(number % len(scans))
    known, wanted, subject = np.array(rows), np.array(widths), np.array(subjects)
    errors = np.zeros(len(wanted))
    for left_out in set(subjects):
        inside = subject != left_out
        weights = fitted(known[inside], wanted[inside])
        errors[~inside] = predicted(known[~inside], weights) - wanted[~inside]
    print("INTERCEPT, *WEIGHTS =", [round(float(w), 4) for w in fitted(known, wanted)])
    print(f"error on scans left out {np.sqrt(np.mean(errors**2)):.3f}, spread {wanted.std():.3f}")


def random_sample(
    scans: list[Reference], rng: np.random.Generator
) -> tuple[list[float] | None, float]:
    """Features of a block of a scan in thick slices, and the width of their profile."""
    reference, axis = choose_reference(scans, rng)
    block = random_contrast(random_block(np.moveaxis(reference.voxels, axis, 0), rng), rng)
    factor = 2.0 if rng.random() < 0.6 else float(rng.uniform(1.5, 4))
    slices = max(8, round(block.shape[0] / factor))
    matrix, width = random_profile(block.shape[0], slices, rng)
    thick = apply_along(matrix, np.maximum(block, 0), 0)
    sigma = 0.0
    if rng.random() < 0.35:
        sigma = float(rng.uniform(0.003, 0.04))
        thick = add_rician_noise(np.maximum(thick, 0), sigma, rng)
    noise = float(np.hypot(sigma, 0.7 * reference.noise))
    return profile_features(thick, block.shape[0] / slices, noise), width


def random_block(voxels: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A block of at most 100 voxels along each axis."""
    starts = [int(rng.integers(0, max(1, n - EDGE))) for n in voxels.shape]
    return voxels[tuple(slice(s, s + EDGE) for s in starts)]


def fitted(features: NDArray[np.float64], widths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intercept and weights with the least square error, slightly drawn to zero."""
    rows = np.column_stack([np.ones(len(features)), features])
    ridge = RIDGE * np.eye(rows.shape[1])
    ridge[0, 0] = 0
    return np.linalg.solve(rows.T @ rows + ridge, rows.T @ widths)


def predicted(features: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The width for each row of features."""
    return weights[0] + features @ weights[1:]


if __name__ == "__main__":
    main()
