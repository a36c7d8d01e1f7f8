"""Hears when nodes of the scene are changed, by whomever."""

import slicer
import vtk


class NodeWatch:
    """Tells when nodes were modified, the voxels of volumes included.

    :param told: called without arguments.
    """

    def __init__(self, told):
        self._told = told
        self._observed = []

    def follow(self, *nodes):
        """Watch these nodes, None among them is nothing, and no others any more."""
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        events = (vtk.vtkCommand.ModifiedEvent, slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent)
        self._observed = [
            (node, node.AddObserver(event, lambda caller, event: self._told()))
            for node in nodes
            if node is not None
            for event in events
        ]
