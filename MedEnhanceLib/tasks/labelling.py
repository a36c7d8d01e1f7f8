"""One pass of a segmentation network: turn and resample to what it knows, label, come back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.input_spec import InputSpec
from MedEnhanceLib.intensity import scaling_named
from MedEnhanceLib.orientation import NO_TURN, Turn, turn_towards
from MedEnhanceLib.resample import resample
from MedEnhanceLib.tasks.object_box import without_surroundings
from MedEnhanceLib.tiles import Box
from MedEnhanceLib.volume import Volume

if TYPE_CHECKING:
    from MedEnhanceLib.engine.forward import Forward

SAME_SPACING = 0.01


def network_labels(volume: Volume, forward: Forward, tile: int | None) -> NDArray[Any]:
    """The network's labels (k, j, i) on the volume's own grid."""
    from MedEnhanceLib.engine.inference import classify

    labels, _ = _there_and_back(volume, forward, lambda image: (classify(forward, [image], tile),))
    return labels


def labels_with_doubt(
    volume: Volume, forward: Forward, tile: int | None, becomes: NDArray[np.uint8]
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """The labels, and the probability that another is right, both on the volume's own grid.

    ``becomes`` says for each label which of those asked for it ends up as.
    """
    from MedEnhanceLib.engine.inference import classify_with_doubt

    labels, doubt = _there_and_back(
        volume, forward, lambda image: classify_with_doubt(forward, [image], tile, becomes)
    )
    assert doubt is not None  # it was asked for
    return labels, doubt


def _there_and_back(
    volume: Volume,
    forward: Forward,
    run: Callable[[NDArray[np.float32]], Sequence[NDArray[Any]]],
) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
    """What ``run`` gives for the image as the network knows it: labels, and perhaps their doubt.

    A network that looks at the whole volume is not shown empty space around what was scanned.
    """
    if not forward.needs_whole_volume:
        return _on_network_grid(volume, forward, run)
    seen, box = without_surroundings(volume)
    labels, doubt = _on_network_grid(seen, forward, run)
    return _put_back(labels, box, volume), None if doubt is None else _put_back(doubt, box, volume)


def _put_back(part: NDArray[Any], box: Box, volume: Volume) -> NDArray[Any]:
    """What was found in a box of the volume, and zero around it."""
    found = np.zeros(volume.geometry.shape, part.dtype)
    found[box.slices] = part
    return found


def _on_network_grid(
    volume: Volume,
    forward: Forward,
    run: Callable[[NDArray[np.float32]], Sequence[NDArray[Any]]],
) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
    """What ``run`` gives for the volume turned and resampled, back on the volume's grid."""
    spec = forward.bundle.input
    turn, grid = network_grid(volume.geometry, spec)
    turned = turn.apply_to(volume.geometry)
    voxels = turn.apply(volume.voxels)
    if grid is not turned:
        voxels = resample(voxels, turned, grid, "linear")
    image = scaling_named(spec.normalisation, voxels).normalise(voxels)
    # Reversing the axes is its own inverse.
    turned_axes = image.T if spec.axis_order == "ijk" else image
    found = [part.T if spec.axis_order == "ijk" else part for part in run(turned_axes)]
    if grid is not turned:
        ways = zip(found, ("nearest", "linear"), strict=False)
        found = [resample(part, grid, turned, way).astype(part.dtype) for part, way in ways]
    labels, *doubt = (turn.undo(part) for part in found)
    return labels, doubt[0] if doubt else None


def network_grid(geometry: Geometry, spec: InputSpec) -> tuple[Turn, Geometry]:
    """The turn to the network's orientation, and the grid at its spacing."""
    turn = turn_towards(geometry, spec.orientation) if spec.orientation else NO_TURN
    turned = turn.apply_to(geometry)
    if spec.spacing_mm is None:
        return turn, turned
    factors = [s / w for s, w in zip(turned.spacing, spec.spacing_mm, strict=True)]
    if all(abs(f - 1) < SAME_SPACING for f in factors):
        return turn, turned
    return turn, turned.refined(factors)
