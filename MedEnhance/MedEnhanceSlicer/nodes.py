"""Nodes of the scene: whose they are, where they belong, and how they leave it."""

import slicer
import vtk

VOLUME = "vtkMRMLScalarVolumeNode"
LABEL_MAP = "vtkMRMLLabelMapVolumeNode"
USE_ATTRIBUTE, USE = "MedEnhance.Use", "Research use only"


def isOwn(node):
    """Whether MedEnhance made a node: a result, or a map or a table beside one."""
    return node.GetAttribute(USE_ATTRIBUTE) is not None


def showsFrames(node):
    """Whether a sequence browser shows one frame after the other in this node."""
    browsers = slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode", node.GetScene())
    return any(browser.IsProxyNodeID(node.GetID()) for browser in browsers)


def removeNode(node):
    """Take a node out of its scene, with what shows it and where it would be saved.

    MRML leaves these behind, and they would be saved with the scene.
    """
    displays = [node.GetNthDisplayNode(n) for n in range(node.GetNumberOfDisplayNodes())]
    removeAll(node.GetScene(), [node, *displays, *storagesOf(node)])


def forgetFiles(node):
    """Let a node that was loaded be saved elsewhere: a result is no new version of its files."""
    removeAll(node.GetScene(), storagesOf(node))


def forgetSeries(node):
    """Let a node that was loaded be no longer of its DICOM series, which others look up by."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    item = hierarchy.GetItemByDataNode(node)
    if not item:
        return
    hierarchy.RemoveItemUID(item, "DICOM")
    for name in hierarchy.GetItemAttributeNames(item):
        if name.startswith("DICOM."):
            hierarchy.RemoveItemAttribute(item, name)


def storagesOf(node):
    return [node.GetNthStorageNode(n) for n in range(node.GetNumberOfStorageNodes())]


def removeAll(scene, nodes):
    for node in nodes:
        if node is not None and scene.IsNodePresent(node):
            scene.RemoveNode(node)


def placeInStudy(node, inputNode):
    """Give the node the same parent as the input in the subject hierarchy (its study)."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    inputItem = hierarchy.GetItemByDataNode(inputNode)
    parent = hierarchy.GetItemParent(inputItem) if inputItem else hierarchy.GetSceneItemID()
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.SetItemParent(item, parent)
    else:
        hierarchy.CreateItem(parent, node)


def copyGrid(node, source):
    """Put a volume node's voxels where those of another one are."""
    ijkToRas = vtk.vtkMatrix4x4()
    source.GetIJKToRASMatrix(ijkToRas)
    node.SetIJKToRASMatrix(ijkToRas)
