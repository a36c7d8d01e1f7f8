"""Guided denoising of MR: with a guide, without one, and with one that is misplaced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from MedEnhanceLib import Geometry, Volume, enhance, read_volume
from MedEnhanceLib.acquisition import add_rician_noise
from MedEnhanceLib.intensity import robust_peak
from MedEnhanceLib.noise import estimate_noise
from MedEnhanceLib.registration import rigidly_placed
from training.data import FloatArray, average_neighbours, read_splits
from training.denoising import LEAST_NOISE_OVER_REFERENCE
from training.guides import CONTRAST
from training.phantoms import Phantoms, painted
from training.tables.rows import UNIT, Row, central_block, psnr, row, volume_of

LEVELS = (0.07, 0.09)
PLAIN, ATTENTION = "mr-denoise-residual", "mr-denoise-attention"
MISPLACED_MM = 3.0
IN_PLANE = (1, 2)
GUIDE_NOISE = 0.01
"""Of a phantom's peak."""


@dataclass(frozen=True, eq=False)
class Case:
    """A clean block with its place in the patient, and a whole guide as it was scanned."""

    name: str
    clean: Volume
    guide: Volume

    def guides(self) -> dict[str, tuple[Volume | None, bool]]:
        """What may be wrong with the guide: the guide, and whether it is registered."""
        x, y, z = self.guide.geometry.origin
        away = replace(self.guide.geometry, origin=(x + MISPLACED_MM, y, z))
        moved = self.guide.with_voxels(self.guide.voxels, away)
        return {
            "guided": (self.guide, True),
            "no guide": (None, True),
            f"header {MISPLACED_MM:g} mm off": (moved, True),
            f"{MISPLACED_MM:g} mm off, not registered": (placed_as(moved, self), False),
        }


def placed_as(moved: Volume, case: Case) -> Volume:
    """The guide moved away from where registration to the clean image finds it."""
    found = rigidly_placed(case.guide, case.clean).geometry
    shift = np.array(moved.geometry.origin) - np.array(case.guide.geometry.origin)
    x, y, z = np.array(found.origin) + shift
    return moved.with_voxels(moved.voxels, replace(found, origin=(x, y, z)))


def guided_rows(data: Path, model: str) -> Iterator[Row]:
    """Foreground PSNR beside the models that take no guide.

    Scans are guided by the T1 as it was scanned, on its own grid and where its header says.
    A reference counts only at levels well above its own noise. Phantoms of held-out heads are in
    perfect register: another condition, named as such.
    """
    for case in [*_scans(data), *_phantoms(data)]:
        yield from _rows(case, model)


def _scans(data: Path) -> Iterator[Case]:
    for subject in read_splits()["mr_head"]["validation"]:
        found = {m[1]: data / f for f in subject["files"] if (m := CONTRAST.search(f))}
        for contrast in [name for name in found if name != "T1" and "T1" in found]:
            clean = _quiet_block(read_volume(found[contrast]))
            name = f"{subject['subject']} {contrast} by T1"
            yield Case(name, clean, read_volume(found["T1"]))


def _quiet_block(scan: Volume) -> Volume:
    """The middle of a thick-sliced scan, averaged over pairs of voxels in-plane."""
    peak = np.float32(UNIT / robust_peak(scan.voxels))
    quiet = average_neighbours(scan.voxels.astype(np.float32) * peak, IN_PLANE)
    k, j, i = quiet.shape
    # An odd row or column at the end was left out.
    whole = scan.geometry.cropped((0, 0, 0), (2 * i, 2 * j, k)).resized((i, j, k))
    block = central_block(quiet)
    start = [(n - b) // 2 for n, b in zip(quiet.shape, block.shape, strict=True)][::-1]
    return Volume(block, whole.cropped(start, block.shape[::-1]), "MR")


def _phantoms(data: Path) -> Iterator[Case]:
    for number, labels in enumerate(Phantoms(data, "validation").maps):
        rng = np.random.default_rng(20 + number)
        block = central_block(labels)
        image, guide = (UNIT * painted(block, rng) for _ in range(2))
        noisy = UNIT * add_rician_noise(guide / UNIT, GUIDE_NOISE, rng)
        yield Case(f"phantom {number + 1}", volume_of(image), volume_of(noisy))


def _rows(case: Case, model: str) -> Iterator[Row]:
    clean: FloatArray = case.clean.voxels
    geometry: Geometry = case.clean.geometry
    own_noise = estimate_noise(clean)
    for level in LEVELS:
        if level * UNIT < LEAST_NOISE_OVER_REFERENCE * own_noise:
            continue
        noisy = add_rician_noise(clean, level * UNIT, np.random.default_rng(11))
        volume = Volume(noisy, geometry, "MR")
        plain, attention = (
            psnr(enhance(volume, "denoise", name).volume.voxels, clean)
            for name in (PLAIN, ATTENTION)
        )
        for condition, (guide, register) in case.guides().items():
            options = {"register_guide": register}
            ours = enhance(volume, "denoise", model, options, guide=guide).volume.voxels
            made = row(
                case.name, f"{level:.0%} noise, {condition}", psnr(ours, clean), PLAIN, plain
            )
            yield made | {"second_comparator": ATTENTION, "second_value": round(attention, 3)}
