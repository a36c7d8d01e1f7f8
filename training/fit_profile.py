"""Fit the estimate of the slice profile: ``python -m training.fit_profile --data FOLDER``.

Training scans, as they are, quieted or blurred, are put through profiles along each axis. How much
the axes then differ when the right profile is assumed (`MedEnhanceLib.slice_profile.unlikeness`)
gives the covariance that is printed, with the error of the estimate on scans that it was not
fitted to (training scans, one left out at a time, and validation scans).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.acquisition import Profile, add_rician_noise, apply_along, slice_matrix
from MedEnhanceLib.noise import estimate_noise
from MedEnhanceLib.slice_profile import BOX_WIDTH, CANDIDATES, likeliest_width, unlikeness
from MedEnhanceLib.tiles import central_block
from training.data import FloatArray, Part, average_neighbours, is_thick_sliced, mr_scans
from training.failing import failing_in_a_sentence
from training.patches import softened

EDGE = 100
SOFTNESS = (0.5, 0.8)
PROFILES: tuple[tuple[Profile, float], ...] = (
    ("gaussian", 0.75),
    ("gaussian", 1.0),
    ("gaussian", 1.25),
    ("box", 1.0),
)
FACTORS, NOISE = (2, 4), (0.0, 0.02)
RIDGE = 1e-4


@dataclass(frozen=True)
class Case:
    """Thick slices of a scan: what is seen of each candidate, and the true width."""

    scan: str
    found: NDArray[np.float64]
    width: float


@failing_in_a_sentence()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with the scans")
    args = parser.parse_args()
    cases = all_cases(args.data, "training")
    errors = []
    for left_out in {case.scan for case in cases}:
        covariance = covariance_of([case for case in cases if case.scan != left_out])
        errors += errors_of([case for case in cases if case.scan == left_out], covariance)
    print("COVARIANCE =", np.round(covariance_of(cases), 4).tolist())
    print(f"error on scans left out {rms(errors):.3f}, {len(cases)} cases")
    others = all_cases(args.data, "validation")
    found = errors_of(others, covariance_of(cases))
    spread = np.std([case.width for case in others])
    print(f"error on validation scans {rms(found):.3f}, spread {spread:.3f}, {len(others)} cases")


def all_cases(data: Path, part: Part) -> list[Case]:
    """Of thick-sliced scans none, as no two of their axes can be compared."""
    rng = np.random.default_rng(0)
    scans = mr_scans(data, part).items()
    thin = [(name, scan) for name, scan in scans if not is_thick_sliced(scan)]
    return [case for name, scan in thin for case in cases_of(name, scan, rng)]


def errors_of(cases: list[Case], covariance: NDArray[np.float64]) -> list[float]:
    """Of the widths that are estimated."""
    return [likeliest_width(case.found, covariance) - case.width for case in cases]


def rms(values: list[float]) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def cases_of(name: str, scan: FloatArray, rng: np.random.Generator) -> Iterator[Case]:
    """A scan and softer ones of it, in thick slices along every axis."""
    references = [scan, average_neighbours(scan, (0, 1, 2))]
    references += [softened(scan, softness) for softness in SOFTNESS]
    for reference in references:
        for axis in range(3):
            block = central(np.moveaxis(reference, axis, 0))
            for factor in FACTORS:
                for profile, width in PROFILES:
                    for noise in NOISE:
                        yield from _case(name, block, factor, profile, width, noise, rng)


def _case(
    name: str,
    block: FloatArray,
    factor: int,
    profile: Profile,
    width: float,
    noise: float,
    rng: np.random.Generator,
) -> Iterator[Case]:
    """One case, if there is enough to see."""
    thick = apply_along(slice_matrix(len(block), len(block) // factor, profile, width), block, 0)
    if noise:
        thick = add_rician_noise(np.maximum(thick, 0), noise, rng)
    found = unlikeness(thick, (factor, factor), estimate_noise(thick))
    if found is not None:
        yield Case(name, found, BOX_WIDTH if profile == "box" else width)


def central(voxels: FloatArray) -> FloatArray:
    """The middle, of at most 100 voxels along each axis and a multiple of 4 along the first."""
    block = central_block(voxels, EDGE)
    return np.ascontiguousarray(block[: len(block) // 4 * 4])


def covariance_of(cases: list[Case]) -> NDArray[np.float64]:
    """Of how much axes differ at the true width, whose mean is zero by symmetry: (span, span)."""
    rows = np.concatenate([at_width(case.found, case.width) for case in cases])
    return rows.T @ rows / len(rows) + RIDGE * np.eye(rows.shape[1])


def at_width(found: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """What is seen at a width between the candidates, (axis, span)."""
    _, axes, spans = found.shape
    return np.array(
        [
            [np.interp(width, CANDIDATES, found[:, axis, span]) for span in range(spans)]
            for axis in range(axes)
        ]
    )


if __name__ == "__main__":
    main()
