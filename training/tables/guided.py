"""Guided denoising of MR: with a guide, without one, and with one that is misplaced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from MedEnhanceLib import Volume, enhance, read_volume
from MedEnhanceLib.acquisition import add_rician_noise
from MedEnhanceLib.evaluation.subjects import LEAST_NOISE_OVER_REFERENCE
from MedEnhanceLib.intensity import robust_peak
from MedEnhanceLib.noise import estimate_noise
from MedEnhanceLib.registration import rigidly_placed
from MedEnhanceLib.tiles import Box
from training.data import FloatArray, average_neighbours, read_splits, scan_file
from training.guides import CONTRAST
from training.phantoms import Phantoms, painted
from training.tables.rows import UNIT, Row, block_box, block_of, psnr, row, volume_of

LEVELS = (0.07, 0.09)
PLAIN, ATTENTION = "mr-denoise-residual", "mr-denoise-attention"
MISPLACED_MM = 3.0
IN_PLANE = (1, 2)
GUIDE_NOISE = 0.01
"""Of a phantom's peak."""


@dataclass(frozen=True, eq=False)
class Case:
    """A clean scan, the block of it that is denoised, and a whole guide as it was scanned.

    ``kind`` tells phantoms from scans in the conditions, so that their means are kept apart.
    """

    name: str
    scan: Volume
    block: Box
    guide: Volume
    kind: str = ""

    def cut(self, volume: Volume) -> Volume:
        """The block of a volume on the scan's grid."""
        start, size = self.block.start[::-1], self.block.shape[::-1]
        voxels = np.ascontiguousarray(volume.voxels[self.block.slices])
        return volume.with_voxels(voxels, volume.geometry.cropped(start, size))

    def guides(self, noisy: Volume) -> dict[str, Volume | None]:
        """The guide registered to the whole noisy scan as at use, and all that may go wrong."""
        return {
            "guided": registered(self.guide, noisy),
            "no guide": None,
            f"header {MISPLACED_MM:g} mm off": registered(shifted(self.guide), noisy),
            f"{MISPLACED_MM:g} mm off, not registered": shifted(registered(self.guide, self.scan)),
        }


def registered(guide: Volume, volume: Volume) -> Volume:
    """The guide where registration finds it."""
    return guide.with_voxels(guide.voxels, rigidly_placed(guide, volume).geometry)


def shifted(guide: Volume) -> Volume:
    """The guide moved to the patient's left."""
    x, y, z = guide.geometry.origin
    away = replace(guide.geometry, origin=(x + MISPLACED_MM, y, z))
    return guide.with_voxels(guide.voxels, away)


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
        found = {m[1]: scan_file(data, f) for f in subject["files"] if (m := CONTRAST.search(f))}
        for contrast in [name for name in found if name != "T1" and "T1" in found]:
            quiet = _quieted(read_volume(found[contrast]))
            name = f"{subject['subject']} {contrast} by T1"
            yield Case(name, quiet, block_box(quiet.voxels.shape), read_volume(found["T1"]))


def _quieted(scan: Volume) -> Volume:
    """A thick-sliced scan averaged over pairs of voxels in-plane, over its peak."""
    peak = np.float32(UNIT / robust_peak(scan.voxels))
    quiet = average_neighbours(scan.voxels.astype(np.float32) * peak, IN_PLANE)
    k, j, i = quiet.shape
    # An odd row or column at the end was left out.
    grid = scan.geometry.cropped((0, 0, 0), (2 * i, 2 * j, k)).resized((i, j, k))
    return Volume(quiet, grid, "MR")


def _phantoms(data: Path) -> Iterator[Case]:
    for number, labels in enumerate(Phantoms(data, "validation").maps):
        rng = np.random.default_rng(20 + number)
        block = block_of(labels)
        image, guide = (UNIT * painted(block, rng) for _ in range(2))
        noisy = UNIT * add_rician_noise(guide / UNIT, GUIDE_NOISE, rng)
        whole = volume_of(image)
        yield Case(
            f"phantom {number + 1}", whole, block_box(image.shape), volume_of(noisy), " (phantom)"
        )


def _rows(case: Case, model: str) -> Iterator[Row]:
    clean: FloatArray = case.cut(case.scan).voxels
    own_noise = estimate_noise(clean)
    for level in LEVELS:
        if level * UNIT < LEAST_NOISE_OVER_REFERENCE * own_noise:
            continue
        rng = np.random.default_rng(11)
        scan = case.scan.with_voxels(add_rician_noise(case.scan.voxels, level * UNIT, rng))
        volume = case.cut(scan)
        plain, attention = (
            psnr(enhance(volume, "denoise", name).volume.voxels, clean)
            for name in (PLAIN, ATTENTION)
        )
        for condition, guide in case.guides(scan).items():
            options = {"register_guide": False}
            ours = enhance(volume, "denoise", model, options, guide=guide).volume.voxels
            name = f"{level:.0%} noise, {condition}{case.kind}"
            made = row(case.name, name, psnr(ours, clean), PLAIN, plain)
            yield made | {"second_comparator": ATTENTION, "second_value": round(attention, 3)}
