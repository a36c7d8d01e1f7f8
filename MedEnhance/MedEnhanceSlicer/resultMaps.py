"""Maps that belong to a result: they are kept beside it, follow it, and go with it."""

import slicer
from slicer.i18n import tr as _

from .bridge import displayOf, fillVolumeNode
from .nodes import USE, USE_ATTRIBUTE, VOLUME, copyGrid, placeInStudy, removeNode

REMOVED_REFERENCE_ROLE = "MedEnhance.Removed"
UNCERTAINTY_REFERENCE_ROLE = "MedEnhance.Uncertainty"
TABLE_REFERENCE_ROLE = "MedEnhance.EvidenceTable"
OWNER_REFERENCE_ROLE = "MedEnhance.MapOf"
MAP_ATTRIBUTE = "MedEnhance.Map"
"""Of which role a map is, for a map that has lost its result."""
MAP_ID_ATTRIBUTE = "MedEnhance.MapID"
"""Which node the map is; a clone of it, which is the user's own, has another ID."""


def mapOf(resultNode, role):
    """The map (or table) of a result by its role, or None.

    A clone of a result refers to the maps of the original, which must not change with the clone.
    """
    node = resultNode.GetNodeReference(role)
    owner = None if node is None else node.GetNodeReference(OWNER_REFERENCE_ROLE)
    return node if owner in (None, resultNode) else None


def addMap(resultNode, role, name):
    """A new volume node beside a result, in its study, as its map of this role."""
    scene = resultNode.GetScene()
    node = scene.AddNewNodeByClass(VOLUME, scene.GenerateUniqueName(name))
    placeInStudy(node, resultNode)
    displayOf(node)
    node.SetAttribute(USE_ATTRIBUTE, USE)
    node.SetAttribute(MAP_ATTRIBUTE, role)
    node.SetAttribute(MAP_ID_ATTRIBUTE, node.GetID())
    node.SetNodeReferenceID(OWNER_REFERENCE_ROLE, resultNode.GetID())
    resultNode.SetNodeReferenceID(role, node.GetID())
    return node


def isMap(node):
    """Whether MedEnhance keeps a node beside a result, and changes it with the result."""
    mapID = node.GetAttribute(MAP_ID_ATTRIBUTE)
    return mapID is not None and mapID == node.GetID()


def followResult(mapNode, resultNode):
    """Put a map where its result is by now: transforms may be set, or hardened, afterwards."""
    mapNode.SetAndObserveTransformNodeID(resultNode.GetTransformNodeID())
    if resultNode.IsA("vtkMRMLVolumeNode"):
        copyGrid(mapNode, resultNode)


def storeUncertainty(uncertainty, outputNode):
    """Put the uncertainty of a result beside it, in place of that of an earlier result."""
    node = mapOf(outputNode, UNCERTAINTY_REFERENCE_ROLE)
    if node is None:
        name = _("{name} uncertainty").format(name=outputNode.GetName())
        node = addMap(outputNode, UNCERTAINTY_REFERENCE_ROLE, name)
    placeInStudy(node, outputNode)
    fillVolumeNode(node, uncertainty)
    followResult(node, outputNode)
    return node


def removeMap(resultNode, role):
    """Take the map of an earlier result that filled this node out of the scene."""
    node = mapOf(resultNode, role)
    resultNode.SetNodeReferenceID(role, None)
    if node is not None:
        removeNode(node)


def releaseMap(resultNode, role):
    """Leave the map (or table) of an earlier result in the scene, for itself."""
    node = mapOf(resultNode, role)
    resultNode.SetNodeReferenceID(role, None)
    if node is not None:
        node.SetNodeReferenceID(OWNER_REFERENCE_ROLE, None)


def removeMapsWithoutResult(scene, role):
    """Take maps of a role out of the scene whose results were removed."""
    for node in slicer.util.getNodesByClass(VOLUME, scene):
        hasLostIt = node.GetNodeReference(OWNER_REFERENCE_ROLE) is None
        if isMap(node) and node.GetAttribute(MAP_ATTRIBUTE) == role and hasLostIt:
            removeNode(node)
