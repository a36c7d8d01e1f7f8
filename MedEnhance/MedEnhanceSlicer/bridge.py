"""Between MRML nodes, which live in RAS, and the library's volumes, which live in LPS.

Both sides describe the same grid with a 4x4 matrix from index to millimetres; the signs of the
first two rows differ, and nothing else does. The parent transform of a node is not part of its
grid: results are put under the same parent, so that they move with the input.
"""

import numpy as np
import slicer
import vtk

from MedEnhanceLib.errors import VolumeError
from MedEnhanceLib.geometry import RAS_TO_LPS, Geometry
from MedEnhanceLib.volume import LabelMap, Volume

HOUNSFIELD_CODES = ("[hnsf'U]", "HU")
# A class stands before its parents.
NODE_KINDS = {
    "vtkMRMLLabelMapVolumeNode": "a label map",
    "vtkMRMLVectorVolumeNode": "a colour (RGB) or vector volume",
    "vtkMRMLDiffusionWeightedVolumeNode": "a diffusion-weighted series",
    "vtkMRMLTensorVolumeNode": "a tensor volume",
    "vtkMRMLSegmentationNode": "a segmentation",
}


def volumeFromNode(node):
    """The voxels and the place of a scalar volume node; shares memory with the node, read-only.

    :param node: vtkMRMLScalarVolumeNode. It is not changed.
    :raises VolumeError: when there is no node or it is not an image that can be worked on.
    """
    volume = volumeAsStored(node)
    checkLinear(node)
    return volume


def volumeAsStored(node):
    """As `volumeFromNode`, under any parent transform: for results, which follow their input.

    :raises VolumeError: when there is no node or it is no scalar image.
    """
    checkScalarImage(node)
    geometry = geometryFromNode(node)
    modality, units = modalityOfNode(node)
    return Volume(slicer.util.arrayFromVolume(node), geometry, modality=modality, units=units)


def guideFromNode(node, inputNode):
    """A volume node as a guide, placed in the coordinates of the input's own grid.

    The parent transforms of both nodes, which say how they were registered, are taken into account.

    :raises VolumeError: when it is not an image that can be worked on, or cannot be placed.
    """
    volume = volumeFromNode(node)
    return volume.with_voxels(volume.voxels, geometryBeside(node, inputNode))


def geometryBeside(node, inputNode):
    """The grid of a volume node in the coordinates of another one's own grid, as the scene shows.

    :raises VolumeError: when either is under a non-linear transform, or what lies between the two
        shears.
    """
    checkLinear(node)
    checkLinear(inputNode)
    geometry = geometryFromNode(node)
    try:
        return Geometry.from_matrix(lpsBetween(node, inputNode) @ geometry.matrix, geometry.size)
    except VolumeError:
        raise VolumeError(
            f"The transforms between '{node.GetName()}' and '{inputNode.GetName()}' shear; "
            f"register '{node.GetName()}' rigidly, or resample it onto the other's grid (module "
            "Resample Scalar/Vector/DWI Volume)."
        ) from None


def lpsBetween(node, other=None):
    """4x4 array from a node's own LPS millimetres to those of another one, or of the world.

    The parent transforms of both must be linear.
    """
    source, target = (each and each.GetParentTransformNode() for each in (node, other))
    ras = vtk.vtkMatrix4x4()
    slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(source, target, ras)
    return RAS_TO_LPS @ slicer.util.arrayFromVTKMatrix(ras) @ RAS_TO_LPS


def checkVolumeNode(node):
    """Raise VolumeError, in words for a user, when the node cannot be an input."""
    checkScalarImage(node)
    checkLinear(node)


def checkScalarImage(node):
    """Raise VolumeError, in words for a user, when the node holds no scalar image."""
    if node is None:
        raise VolumeError("No input volume is chosen; load or select one.")
    checkNode(node, "volume")
    name = node.GetName()
    kind = next((NODE_KINDS[name] for name in NODE_KINDS if node.IsA(name)), None)
    if kind is None and not node.IsA("vtkMRMLScalarVolumeNode"):
        kind = f"a {node.GetClassName()}"
    if kind is not None:
        raise VolumeError(f"'{name}' is {kind}, not a scalar image; choose a grey-value volume.")
    components = imageOf(node).GetNumberOfScalarComponents()
    if components != 1:
        raise VolumeError(
            f"'{name}' has {components} values per voxel (colour or vector); convert it to a "
            "scalar volume with the module Vector to Scalar Volume."
        )


def checkNode(node, kind):
    """Raise VolumeError when scripts give something else than a node, such as its name.

    :param kind: what is wanted, for the user.
    """
    if not isinstance(node, slicer.vtkMRMLNode):
        raise VolumeError(f"{node!r} is no {kind}; give a node, such as getNode('Head').")


def imageOf(node):
    """The image of a volume node.

    :raises VolumeError: when it has none, as after its file was not found.
    """
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        raise VolumeError(f"'{node.GetName()}' holds no voxels; load its image first.")
    return image


def checkLinear(node):
    """Raise VolumeError when a node's place cannot be told by a matrix."""
    parent = node.GetParentTransformNode()
    if parent is not None and not parent.IsTransformToWorldLinear():
        raise VolumeError(
            f"'{node.GetName()}' is under the non-linear transform '{parent.GetName()}'; harden "
            "the transform first (Data module, right-click in the Transform column, Harden "
            "transform)."
        )


def geometryFromNode(node):
    """The node's grid, without its parent transform; index 0 is the first voxel that is stored.

    :raises VolumeError: when there are no voxels, or it is sheared.
    """
    image = imageOf(node)
    ijkToRas = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(ijkToRas)
    matrix = RAS_TO_LPS @ slicer.util.arrayFromVTKMatrix(ijkToRas)
    firstVoxel = np.array([*image.GetExtent()[0::2], 1.0])
    matrix[:, 3] = matrix @ firstVoxel
    return Geometry.from_matrix(matrix, image.GetDimensions())


def modalityOfNode(node):
    """DICOM modality and unit of the values, each "" when the scene does not know."""
    units = node.GetVoxelValueUnits()
    code = units.GetCodeValue() if units else None
    if code in HOUNSFIELD_CODES:
        return "CT", "HU"
    return seriesModality(node), ""


def seriesModality(node):
    """DICOM modality of a node's item in the subject hierarchy, "" when there is none."""
    hierarchy, item, attribute = modalityPlace(node)
    return (hierarchy.GetItemAttribute(item, attribute) or "") if item else ""


def copyModality(node, source):
    """Let a node, which has an item in the subject hierarchy, be of the modality of another one."""
    modality = seriesModality(source)
    hierarchy, item, attribute = modalityPlace(node)
    if modality:
        hierarchy.SetItemAttribute(item, attribute, modality)
    else:
        hierarchy.RemoveItemAttribute(item, attribute)


def modalityPlace(node):
    """Where the scene keeps a node's modality: subject hierarchy, item (0 for none), attribute."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    attribute = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    return hierarchy, hierarchy.GetItemByDataNode(node), attribute


def ijkToRasMatrix(geometry):
    """4x4 array from voxel index to RAS millimetres, as volume nodes want it."""
    return RAS_TO_LPS @ geometry.matrix


def fillVolumeNode(node, image):
    """Give a volume node voxels of its own, and the grid, of a Volume or LabelMap."""
    if image.voxels.ndim != 3:
        raise VolumeError(
            f"A volume node takes one value per voxel, but the result has shape "
            f"{image.voxels.shape}."
        )
    # What the node holds may be shared with another one, which must stay as it is.
    node.SetAndObserveImageData(None)
    slicer.util.updateVolumeFromArray(node, nodeVoxels(image.voxels))
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(ijkToRasMatrix(image.geometry)))


def nodeVoxels(voxels):
    """The voxels in a type that Slicer displays; not 64-bit integers, half floats, booleans."""
    if voxels.dtype.kind == "b":
        return voxels.astype(np.uint8)
    if voxels.dtype.kind in "iu" and voxels.dtype.itemsize == 8:
        limits = np.iinfo(np.int32)
        fits = voxels.size == 0 or (limits.min <= voxels.min() and voxels.max() <= limits.max)
        return voxels.astype(np.int32 if fits else np.float64)
    if voxels.dtype == np.float16:
        return voxels.astype(np.float32)
    return voxels


def displayOf(node):
    """The node's display node; users may have removed it, and a usual one is made then."""
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    return node.GetDisplayNode()


def isLabelMap(image):
    """Whether a result's output is a segmentation rather than an image."""
    return isinstance(image, LabelMap)
