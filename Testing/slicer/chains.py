"""For tests of runs of several jobs: volumes that filters finish quickly, and a real process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np

MEDIAN = "filter-median"
SHAPE_KJI = (8, 24, 24)
PATIENCE_S = 120.0


def add_noise(name: str = "Head", shape: tuple[int, int, int] = SHAPE_KJI, seed: int = 0) -> Any:
    """A bright block in noise, as a scalar volume node."""
    import slicer

    return slicer.util.addVolumeFromArray(noise(shape, seed), np.diag([1.0, 1.0, 2.0, 1.0]), name)


def noise(shape: tuple[int, int, int] = SHAPE_KJI, seed: int = 0) -> Any:
    """Voxels (k, j, i): a bright block in noise."""
    voxels = np.random.default_rng(seed).normal(50, 5, shape)
    k, j, i = (n // 4 for n in shape)
    voxels[k : 3 * k, j : 3 * j, i : 3 * i] += 200
    return voxels.astype(np.float32)


def volume_names() -> list[str]:
    """Names of the scene's scalar volumes."""
    import slicer

    return [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]


def pump(logic: Any, until: Callable[[], Any]) -> None:
    """Let Slicer's event loop run until something is so."""
    import slicer

    end = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < end, "nothing happens any more"
        slicer.app.processEvents()
        logic.runner.poll()
        time.sleep(0.01)


def kill_process(logic: Any) -> None:
    """End the inference process as a lack of memory would."""
    os.kill(int(logic.runner._worker._process._popen.pid), signal.SIGKILL)


def display_nodes() -> dict[str, int]:
    """How many nodes display volumes and segmentations, also those that belong to none."""
    import slicer

    kinds = {
        "Volume": "vtkMRMLScalarVolumeDisplayNode",
        "Segmentation": "vtkMRMLSegmentationDisplayNode",
    }
    return {name: slicer.mrmlScene.GetNumberOfNodesByClass(kind) for name, kind in kinds.items()}
