"""Reads files with Slicer's own storage nodes and prints where it puts them, as JSON.

In a process of its own, since Slicer brings an ITK that is not SimpleITK's.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import slicer
import slicer_scene
import vtk
from vtk.util.numpy_support import vtk_to_numpy


def volume(scene: Any, path: str) -> dict[str, Any]:
    """Matrix from index to RAS, and the sum of all voxels weighted by their place in memory."""
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    storage = scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(path)
    storage.SetSingleFile(True)
    storage.SetCenterImage(False)
    assert storage.ReadData(node), path
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    voxels = vtk_to_numpy(node.GetImageData().GetPointData().GetScalars())
    return {"matrix": rows(matrix), "voxels": voxels.ravel().tolist()}


def segmentation(scene: Any, path: str) -> dict[str, Any]:
    """Matrix from index to RAS, and the segments."""
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(path)
    assert storage.ReadData(node), path
    segments, found = node.GetSegmentation(), []
    for number in range(segments.GetNumberOfSegments()):
        segment = segments.GetNthSegment(number)
        image = slicer.vtkOrientedImageData()
        node.GetBinaryLabelmapRepresentation(segments.GetNthSegmentID(number), image)
        matrix, tag = vtk.vtkMatrix4x4(), vtk.reference("")
        image.GetImageToWorldMatrix(matrix)
        segment.GetTag("TerminologyEntry", tag)
        found.append(
            {
                "name": segment.GetName(),
                "color": [round(part * 255) for part in segment.GetColor()],
                "terminology": str(tag),
                "voxels": int((vtk_to_numpy(image.GetPointData().GetScalars()) > 0).sum()),
                "matrix": rows(matrix),
            }
        )
    return {"segments": found}


def rows(matrix: Any) -> list[list[float]]:
    return [[matrix.GetElement(row, column) for column in range(4)] for row in range(4)]


if __name__ == "__main__":
    scene = slicer_scene.start_scene()
    answers = {
        path: (segmentation if path.endswith(".seg.nrrd") else volume)(scene, path)
        for path in sys.argv[1:]
    }
    print("ANSWERS" + json.dumps(answers))
