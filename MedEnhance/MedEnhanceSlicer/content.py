"""What a node holds, told by a hash: whether it is still what was made, or measured.

Only voxels count, and only the segments that MedEnhance made: a node may be moved, and the user
may draw other segments beside them.
"""

import hashlib

import numpy as np
import slicer

from .segments import madeSegments
from .segmentTable import labelmapOf, sliceCounts

MOST_KEPT = 100
_kept = {}


def contentHash(node):
    """Hash of a volume's voxels or of the segments made here; None of a volume without voxels."""
    state = contentState(node)
    return None if state is None else keptHash(state, lambda: hashNow(node))


def contentState(node):
    """What is another one whenever the content was changed, as VTK counts; it is had at once."""
    if node.IsA("vtkMRMLSegmentationNode"):
        segments = madeSegments(node).values()
        parts = [part for segment in segments for part in (segment, labelmapOf(segment))]
        return (node.GetID(), *(part.GetMTime() for part in parts if part is not None))
    image = node.GetImageData()
    hasVoxels = image is not None and image.GetPointData().GetScalars() is not None
    return (node.GetID(), image.GetMTime()) if hasVoxels else None


def keptHash(state, make):
    """The hash of this state; kept, since it is asked for often."""
    if state not in _kept:
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        _kept[state] = make()
    return _kept[state]


def hashNow(node):
    if node.IsA("vtkMRMLSegmentationNode"):
        return segmentsHash(node)
    return voxelsHash(slicer.util.arrayFromVolume(node))


def voxelsHash(voxels):
    """Of the sum of each row's bits, ten times as fast as of all voxels: a run waits for it."""
    bits = np.ascontiguousarray(voxels).view(f"u{voxels.itemsize}")
    return hashlib.sha256(bits.sum(axis=-1, dtype=bits.dtype).data).hexdigest()


def segmentsHash(node):
    """Of how many voxels each segment has in each slice.

    Saving crops label maps, and shares them out anew; that changes nothing here.
    """
    digest, counted = hashlib.sha256(), {}
    for segmentID in sorted(madeSegments(node)):
        counts = np.trim_zeros(sliceCounts(node, segmentID, counted))
        digest.update(f"{segmentID} {counts.tolist()}\n".encode())
    return digest.hexdigest()
