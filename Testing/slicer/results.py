"""Results of runs that never were, stored as the panel stores them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.result import Measure, Result
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Label, LabelMap, Volume

LABELS = (
    Label(1, "Anterior hippocampus", (230, 159, 0)),
    Label(2, "Posterior hippocampus", (0, 114, 178)),
)


def denoised(
    node: Any, strength: float = 1.0, full: NDArray[Any] | None = None, output: Any = None
) -> Any:
    """A result of denoising: by default half of each voxel is taken away at full strength."""
    from MedEnhanceSlicer import bridge, outputs

    volume = bridge.volumeFromNode(node)
    before = volume.voxels.astype(np.float32)
    clean = before * np.float32(0.5) if full is None else full.astype(np.float32)
    after = before + np.float32(strength) * (clean - before)
    provenance = {"model": "mr-denoise", "options": {"strength": strength}}
    measures = (Measure("Noise", 10.0, 4.0, "", "Standard deviation; less is better."),)
    result = Result(Task.DENOISE, volume.with_voxels(after), measures, provenance)
    return outputs.storeResult(result, node, f"{node.GetName()} denoised", output)


def super_resolved(node: Any, unsure: bool = True, output: Any = None) -> Any:
    """A result of super-resolution: slices doubled, with an uncertainty."""
    from MedEnhanceSlicer import bridge, outputs

    volume = bridge.volumeFromNode(node)
    fine = volume.geometry.refined((1, 1, 2))
    voxels = np.repeat(volume.voxels, 2, axis=0).astype(np.float32)
    spread = np.zeros_like(voxels)
    spread[1, 2, 3] = 5.0
    result = Result(
        Task.SUPER_RESOLUTION,
        volume.with_voxels(voxels, fine),
        (Measure("Spacing z", 2.0, 1.0, "mm"),),
        {"model": "mr-super-resolution", "options": {}},
        uncertainty=Volume(spread, fine) if unsure else None,
    )
    return outputs.storeResult(result, node, f"{node.GetName()} super-resolved", output)


def segmented(node: Any, voxels: NDArray[np.uint8] | None = None) -> Any:
    """A segmentation in two halves, or of these labels."""
    from MedEnhanceSlicer import bridge, outputs

    volume = bridge.volumeFromNode(node)
    if voxels is None:
        voxels = np.zeros(volume.voxels.shape, np.uint8)
        voxels[1:4, 1:4, 1:3] = 1
        voxels[1:4, 1:4, 3:6] = 2
    labels = LabelMap(voxels, volume.geometry, LABELS)
    measures = tuple(
        Measure(f"Volume of {name}", None, ml, "ml") for name, ml in labels.volumes_ml().items()
    )
    result = Result(Task.SEGMENT, labels, measures, {"model": "hippocampus", "options": {}})
    return outputs.storeResult(result, node, f"{node.GetName()} segmentation")


def cloned(node: Any) -> Any:
    """A copy as Slicer's subject hierarchy makes it: references and attributes go along."""
    import slicer
    import vtk

    clone = slicer.mrmlScene.CreateNodeByClass(node.GetClassName())
    clone.UnRegister(None)
    clone.Copy(node)
    clone.SetName("Clone")
    slicer.mrmlScene.AddNode(clone)
    clone.SetAndObserveStorageNodeID(None)
    clone.SetAndObserveDisplayNodeID(None)
    image = vtk.vtkImageData()
    image.DeepCopy(node.GetImageData())
    clone.SetAndObserveImageData(image)
    return clone
