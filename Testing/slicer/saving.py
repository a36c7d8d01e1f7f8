"""A scene as a file and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SAVED = (
    "vtkMRMLScalarVolumeNode",
    "vtkMRMLSegmentationNode",
    "vtkMRMLColorTableNode",
    "vtkMRMLTableNode",
    "vtkMRMLLinearTransformNode",
)


def through_bundle(scene: Any, folder: Path) -> None:
    """Save the scene as an .mrb, close it, and load it again."""
    for i in range(scene.GetNumberOfNodesByClass("vtkMRMLStorableNode")):
        node = scene.GetNthNodeByClass(i, "vtkMRMLStorableNode")
        if node.GetClassName() in SAVED and node.GetSaveWithScene():
            node.AddDefaultStorageNode()
    bundle = folder / "scene.mrb"
    assert scene.WriteToMRB(str(bundle))
    scene.Clear(0)
    assert scene.ReadFromMRB(str(bundle))


def turned(scene: Any, node: Any) -> Any:
    """Put a node under a transform that turns and shifts it."""
    import numpy as np
    import slicer

    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Registration")
    matrix = np.array([[0, -1, 0, 7], [1, 0, 0, 8], [0, 0, 1, 9], [0, 0, 0, 1.0]])
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def sheared(scene: Any, node: Any) -> Any:
    """Put a node under an affine transform that shears."""
    import numpy as np
    import slicer

    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Affine")
    matrix = np.eye(4)
    matrix[0, 1] = 0.05
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform
