"""Maps of what a run did, as volume nodes in colours: the removed signal and the uncertainty.

The removed signal is input minus output; in it anatomy must not be visible. Its colours diverge
from dark at zero, those of the uncertainty run from dark to bright.
"""

import numpy as np
import slicer
from slicer.i18n import tr as _

from MedEnhanceLib.pictures.colouring import ABOVE, BELOW, NOTHING
from MedEnhanceLib.pictures.comparing import removed_limit
from MedEnhanceLib.quality.hot_spots import hot_spots

from .bridge import displayOf
from .nodes import showsFrames
from .resultMaps import REMOVED_REFERENCE_ROLE, addMap, followResult, mapOf

COLOUR_COUNT = 256
DIVERGING, SEQUENTIAL = "MedEnhanceDiverging", "MedEnhanceSequential"
COLOUR_STOPS = {
    DIVERGING: (BELOW, NOTHING, ABOVE),
    SEQUENTIAL: (NOTHING, (120, 60, 120), (230, 120, 60), (255, 225, 130)),
}
MOST_SAMPLES = 1_000_000


def hasRemovedSignal(result):
    """Whether the signal that was removed can be told: the input is there, as it was.

    A map does not follow frames that are played.
    """
    return result.isDenoised and result.inputVoxels is not None and not showsFrames(result.node)


def removedNode(result):
    """The node of the removed signal if it has been made, else None."""
    return mapOf(result.node, REMOVED_REFERENCE_ROLE)


def showRemovedSignal(result):
    """The removed signal as a volume node, made at the first call and brought up to date.

    :param result: ResultNode of a denoised volume for which `hasRemovedSignal` holds.
    """
    node = removedNode(result)
    if node is None:
        name = _("{name} removed signal").format(name=result.node.GetName())
        node = addMap(result.node, REMOVED_REFERENCE_ROLE, name)
    before = result.inputVoxels.astype(np.float32)
    removed = before - slicer.util.arrayFromVolume(result.node)
    slicer.util.updateVolumeFromArray(node, removed)
    followResult(node, result.node)
    limit = removed_limit(sampled(removed), noiseRemoved(result))
    colour(node, DIVERGING, -limit, limit)
    return node


def noiseRemoved(result):
    """The noise's standard deviation at the strength that is shown, or None when not known."""
    return None if result.noise is None else result.noise * result.strength


def showUncertainty(result):
    """The uncertainty's node, with colours from zero to where nearly all of it lies; or None."""
    node = result.uncertaintyNode
    if node is not None:
        values = sampled(slicer.util.arrayFromVolume(node))
        followResult(node, result.node)
        colour(node, SEQUENTIAL, 0.0, removed_limit(values, None))
    return node


def colour(node, table, low, high):
    """Show a volume in these colours between these values."""
    display = displayOf(node)
    wasModifying = display.StartModify()
    display.SetAndObserveColorNodeID(colorNode(node.GetScene(), table).GetID())
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(low, high)
    display.EndModify(wasModifying)


def colorNode(scene, name):
    """The scene's colour table of this name; made when it is not there yet."""
    node = scene.GetSingletonNode(name, "vtkMRMLColorTableNode")
    if node is not None:
        return node
    node = scene.CreateNodeByClass("vtkMRMLColorTableNode")
    node.UnRegister(None)
    node.SetName(name)
    node.SetSingletonTag(name)
    node.SetTypeToUser()
    node.SetNumberOfColors(COLOUR_COUNT)
    for index, (red, green, blue) in enumerate(ramp(COLOUR_STOPS[name]) / 255):
        node.SetColor(index, str(index), red, green, blue, 1.0)
    return scene.AddNode(node)


def ramp(stops):
    """Colours between the stops, evenly spaced: (COLOUR_COUNT, 3) from 0 to 255."""
    places = np.linspace(0, COLOUR_COUNT - 1, len(stops))
    channels = np.array(stops, float).T
    return np.stack([np.interp(np.arange(COLOUR_COUNT), places, c) for c in channels], axis=1)


def sampled(voxels):
    """Some of the voxels, evenly spread: enough for a percentile, and at once."""
    flat = voxels.reshape(-1)
    return flat[:: max(1, flat.size // MOST_SAMPLES)]


def spotsOf(node):
    """The slices where a map is largest: MedEnhanceLib Spots, the largest first."""
    return hot_spots(slicer.util.arrayFromVolume(node))
