"""The letters at the edges of pictures of Slicer's views."""

import pytest

from Testing.slicer_scene import start_scene
from Testing.views.slice_view import edges_of


@pytest.mark.parametrize(
    ("orientation", "edges"),
    [("Axial", ("R", "A")), ("Coronal", ("R", "S")), ("Sagittal", ("A", "S"))],
)
def test_edges_are_those_of_slicer(orientation, edges):
    import slicer

    scene = start_scene()
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    node = scene.AddNewNodeByClass("vtkMRMLSliceNode")
    assert node.SetOrientation(orientation)
    assert edges_of(node) == edges


def test_a_slightly_tilted_plane_keeps_its_letters():
    import slicer

    scene = start_scene()
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    node = scene.AddNewNodeByClass("vtkMRMLSliceNode")
    node.SetOrientation("Axial")
    node.GetSliceToRAS().SetElement(1, 1, 0.99)
    node.GetSliceToRAS().SetElement(2, 1, 0.13)
    assert edges_of(node) == ("R", "A")
