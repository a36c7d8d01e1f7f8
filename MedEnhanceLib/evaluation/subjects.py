"""The volumes to measure on, made quieter where they are noisy themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.assessment import check_volume
from MedEnhanceLib.errors import VolumeError
from MedEnhanceLib.io import read_volume
from MedEnhanceLib.volume import Volume

BLOCK = 2
FEWEST_VOXELS = 16


@dataclass(frozen=True)
class Subject:
    """A volume that counts as clean, and what to call it."""

    name: str
    volume: Volume


def read_subjects(
    paths: Iterable[Path], quieted: Callable[[Volume], Volume] | None = None
) -> Iterator[Subject]:
    """The volumes, one after the other, each named by its file."""
    for path in paths:
        volume = read_volume(path)
        check_volume(volume)
        yield Subject(path.name, quieted(volume) if quieted else volume)


def averaged(volume: Volume) -> Volume:
    """The mean of blocks of 2 x 2 x 2 voxels: an eighth as many voxels, at twice the spacing.

    A real scan is a noisy reference, and its own noise caps what any method can reach. The mean
    of eight voxels has about a third (1 / sqrt 8) of the noise. Axes of fewer than 16 voxels
    are left as they are.
    """
    voxels: NDArray[Any] = volume.voxels.astype(np.float32)
    for axis in range(3):
        if voxels.shape[axis] < FEWEST_VOXELS:
            continue
        even = voxels.shape[axis] // BLOCK * BLOCK
        lines = np.moveaxis(voxels, axis, 0)[:even]
        voxels = np.moveaxis((lines[0::BLOCK] + lines[1::BLOCK]) * np.float32(0.5), 0, axis)
    if voxels.shape == volume.voxels.shape:
        raise VolumeError(
            f"The volume's size {volume.geometry.size} is too small to be averaged; give one of "
            f"at least {FEWEST_VOXELS} voxels along an axis."
        )
    used = [
        n // BLOCK * BLOCK if m != n else n
        for n, m in zip(volume.voxels.shape, voxels.shape, strict=True)
    ]
    whole = volume.geometry.cropped((0, 0, 0), used[::-1])
    return volume.with_voxels(np.ascontiguousarray(voxels), whole.resized(voxels.shape[::-1]))
