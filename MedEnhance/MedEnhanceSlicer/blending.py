"""Changes the strength of a denoised result at once, without running the model again.

A result of strength s is input + s * (full - input), so whatever strength it was made with (but
zero), the difference can be had back from input and result. The input is never written to.
"""

import json

import numpy as np
import slicer

from .content import contentHash, contentState
from .differenceMap import removedNode
from .history import PROVENANCE_ATTRIBUTE
from .nodes import showsFrames
from .outputs import CONTENT_ATTRIBUTE, STRENGTH_ATTRIBUTE

BLENDED = "strength_after_blending"
LEAST_STRENGTH = 0.01
"""Below it, rounding would be blown up more than a hundredfold."""


def blendable(result):
    """Whether the strength of this result can be changed."""
    return (
        result.isDenoised
        and result.isOfOneStep
        and result.inputVoxels is not None
        and not showsFrames(result.node)
        and result.strength >= LEAST_STRENGTH
        and slicer.util.arrayFromVolume(result.node).dtype.kind == "f"
        and not result.isChanged
    )


class Blend:
    """The strength of one result.

    :param result: ResultNode for which `blendable` holds.
    """

    def __init__(self, result):
        self._result = result
        self._kept = result.strength
        self._difference = None
        self._unsure = None
        self._changed = contentState(result.node)

    @property
    def result(self):
        return self._result

    @property
    def isChanged(self):
        """Whether there is something to keep or to go back from."""
        return self._result.strength != self._kept

    @property
    def isNeeded(self):
        """Whether the result, nearly faded to the input, no longer tells what was removed."""
        return self._difference is not None and self._result.strength < LEAST_STRENGTH

    def isCurrent(self):
        """Whether nobody else has changed the result's voxels since."""
        isThere = slicer.mrmlScene.IsNodePresent(self._result.node)
        return bool(isThere) and contentState(self._result.node) == self._changed

    def apply(self, strength):
        """Blend input and full output into the result's own voxels; its maps follow.

        :param strength: 0 for the input, 1 for all that the model removes.
        """
        if self._difference is None:
            self._recover()
        result, weight = self._result, np.float32(strength)
        voxels = slicer.util.arrayFromVolume(result.node)
        np.multiply(self._difference, weight, out=voxels)
        voxels += result.inputVoxels
        slicer.util.arrayFromVolumeModified(result.node)
        self._changed = contentState(result.node)
        self._follow(removedNode(result), self._difference, -weight)
        self._follow(result.uncertaintyNode, self._unsure, weight)
        self._describe(strength)

    def keep(self):
        """Take the present strength as the one to go back to."""
        self._kept = self._result.strength

    def reset(self):
        """Go back to the strength that was kept last, or that of the run."""
        self.apply(self._kept)

    def _recover(self):
        """Input and result tell what would be added at full strength."""
        result = self._result
        strength = np.float32(result.strength)
        before = result.inputVoxels.astype(np.float32)
        self._difference = (slicer.util.arrayFromVolume(result.node) - before) / strength
        unsure = result.uncertaintyNode
        if unsure is not None:
            self._unsure = slicer.util.arrayFromVolume(unsure) / strength

    @staticmethod
    def _follow(mapNode, atFullStrength, weight):
        if mapNode is None or atFullStrength is None or mapNode.GetImageData() is None:
            return
        voxels = slicer.util.arrayFromVolume(mapNode)
        if voxels.shape == atFullStrength.shape and voxels.dtype.kind == "f":
            np.multiply(atFullStrength, weight, out=voxels)
            slicer.util.arrayFromVolumeModified(mapNode)

    def _describe(self, strength):
        """Write the strength on the node; the options say what the run was asked for."""
        node = self._result.node
        provenance = self._result.provenance
        provenance[BLENDED] = strength
        wasModifying = node.StartModify()
        node.SetAttribute(STRENGTH_ATTRIBUTE, repr(float(strength)))
        node.SetAttribute(CONTENT_ATTRIBUTE, contentHash(node))
        node.SetAttribute(PROVENANCE_ATTRIBUTE, json.dumps(provenance))
        node.EndModify(wasModifying)
