"""Volume nodes that hold no scalar image are refused as an input, in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import slicer
from MedEnhanceSlicer import bridge

from MedEnhanceLib.errors import VolumeError
from Testing.slicer.grids import add_volume


def unusable_nodes(scene: Any) -> dict[str, Any]:
    voxels = np.zeros((2, 3, 4), np.uint8)
    add = slicer.util.addVolumeFromArray
    colour = add(
        np.zeros((2, 3, 4, 3), np.uint8).transpose(3, 0, 1, 2),
        nodeClassName="vtkMRMLVectorVolumeNode",
    )
    return {
        "No input volume": None,
        "'Head' is no volume": "Head",
        "is a label map": add(voxels, name="Labels", nodeClassName="vtkMRMLLabelMapVolumeNode"),
        "is a colour": colour,
        "is a tensor volume": scene.AddNewNodeByClass("vtkMRMLDiffusionTensorVolumeNode", "Tensor"),
        "is a segmentation": scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation"),
        "holds no voxels": scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty"),
    }


def test_what_is_not_a_scalar_image_is_refused_in_words(scene: Any) -> None:
    for sentence, node in unusable_nodes(scene).items():
        with pytest.raises(VolumeError, match=sentence):
            bridge.volumeFromNode(node)


def test_several_components_are_refused(scene: Any) -> None:
    node = add_volume()
    node.GetImageData().AllocateScalars(3, 3)
    with pytest.raises(VolumeError, match="3 values per voxel"):
        bridge.volumeFromNode(node)
