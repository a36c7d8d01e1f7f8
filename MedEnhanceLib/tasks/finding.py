"""Find in a whole volume the regions that a network was trained to label in crops."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.errors import UnsuitableError
from MedEnhanceLib.finder import Finder
from MedEnhanceLib.geometry import Geometry, Vector
from MedEnhanceLib.intensity import scaling_named
from MedEnhanceLib.itk import from_itk, to_itk, unplaced
from MedEnhanceLib.options import SegmentOptions
from MedEnhanceLib.progress import Reporter
from MedEnhanceLib.tasks.network import Traces, open_network, traces_of
from MedEnhanceLib.tasks.object_box import without_surroundings
from MedEnhanceLib.volume import Volume

# Axes (i, j, k) that grow to the right, the front and the head, in LPS.
RAS = ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))
# A region's voxels: at least this share of its highest probability.
CORE = 0.5


@dataclass(frozen=True)
class Found:
    """Where a region is.

    Attributes:
        number: of the region in the finder's list.
        centre: LPS position in mm of its centre of mass.
        confidence: 0 to 1: the mean probability of its voxels, times the share of the region's
            probability that lies in one connected piece.
        ml: size on the coarse grid.
    """

    number: int
    centre: Vector
    confidence: float
    ml: float


def find_regions(
    volume: Volume, model: Bundle, options: SegmentOptions, reporter: Reporter
) -> tuple[list[Found], list[str], Traces]:
    """The regions that are surely there, a sentence for each that is not, and the finder's traces.

    Raises:
        UnsuitableError: when none was found.
    """
    from MedEnhanceLib.engine.inference import scores

    finder, network = model.finder, model.finder_model
    assert finder is not None  # the caller has asked
    assert network is not None
    forward = open_network(network, options, reporter)
    seen = without_surroundings(volume)[0] if forward.needs_whole_volume else volume
    grid = straight_grid(seen.geometry, finder.spacing_mm)
    coarse = shrunk(seen, grid)
    image = scaling_named(finder.normalisation, coarse).normalise(coarse)
    chances = _softmax(scores(forward, [image], 1 + len(finder.regions)))
    candidates = [
        locate(chances[number + 1], grid, number) for number in range(len(finder.regions))
    ]
    believed, doubts = believable(candidates, finder)
    if not believed:
        raise UnsuitableError(
            f"No {' and no '.join(r.title for r in finder.regions)} was found in this volume "
            f"({doubts[0]}); check that it is {_kind(model)}, or crop it around the region first "
            "(in Slicer: Crop Volume)."
        )
    said = [
        f"The {doubt}: it is left out; look whether it is there, or crop the volume around it."
        for doubt in doubts
    ]
    return believed, said, traces_of(forward)


def _kind(model: Bundle) -> str:
    contrasts = "- or ".join(model.contrasts)
    return f"a {contrasts}-weighted scan of the head" if contrasts else "what the model is for"


def straight_grid(geometry: Geometry, spacing: float) -> Geometry:
    """An isotropic grid along the patient's axes (RAS) that holds the whole volume."""
    ends = [(-0.5, n - 0.5) for n in geometry.size]
    corners = geometry.to_world(np.array(np.meshgrid(*ends)).reshape(3, -1).T)
    span = np.ptp(corners, axis=0)
    size = np.maximum(1, np.ceil(span / spacing)).astype(int)
    return grid_around((corners.max(axis=0) + corners.min(axis=0)) / 2, size, spacing)


def grid_around(centre: Any, size: Any, spacing: float) -> Geometry:
    """The isotropic grid of ``size`` voxels (i, j, k) along RAS around ``centre`` (LPS)."""
    first = np.asarray(centre) - np.array(RAS) @ ((np.asarray(size) - 1) / 2 * spacing)
    i, j, k = (int(n) for n in size)
    x, y, z = (float(v) for v in first)
    return Geometry((i, j, k), (spacing,) * 3, (x, y, z), RAS)


def shrunk(volume: Volume, grid: Geometry) -> NDArray[np.float32]:
    """The volume on a coarser grid (k, j, i): blocks of voxels averaged, then interpolated."""
    import SimpleITK as sitk

    wanted = grid.spacing[0]
    blocks = [
        max(1, min(n, int(wanted / s + 0.5)))
        for n, s in zip(volume.geometry.size, volume.geometry.spacing, strict=True)
    ]
    image = to_itk(volume.voxels.astype(np.float32), volume.geometry)
    averaged = sitk.BinShrink(image, blocks)
    target = to_itk(np.zeros(grid.shape, np.uint8), grid)
    darkest = float(volume.voxels.min())
    moved = sitk.Resample(averaged, target, sitk.Transform(), sitk.sitkLinear, darkest)
    return from_itk(moved)


def _softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(scores - scores.max(axis=0))
    shares: NDArray[np.float32] = powers / powers.sum(axis=0)
    return shares


def locate(chance: NDArray[np.float32], grid: Geometry, number: int) -> Found:
    """The piece with the highest probability (k, j, i) of a region."""
    import SimpleITK as sitk

    peak = np.unravel_index(int(chance.argmax()), chance.shape)
    core = chance >= CORE * chance[peak]
    pieces = from_itk(sitk.ConnectedComponent(unplaced(core), True))
    inside = pieces == pieces[peak]
    weights = chance[inside].astype(np.float64)
    index = (np.argwhere(inside) * weights[:, None]).sum(axis=0) / weights.sum()
    x, y, z = (float(v) for v in grid.to_world(index[::-1]))
    share = weights.sum() / chance[core].sum(dtype=np.float64)
    ml = float(weights.sum() * np.prod(grid.spacing) / 1000)
    return Found(number, (x, y, z), float(weights.mean() * share), ml)


def believable(candidates: list[Found], finder: Finder) -> tuple[list[Found], list[str]]:
    """Candidates that are sure enough, of a possible size and distance; and what is said of others.

    Of two that are too near or too far from each other, the less sure one is not believed.
    """
    kept, doubts = [], []
    for found in candidates:
        doubt = _doubt(found, finder)
        kept += [] if doubt else [found]
        doubts += [doubt] if doubt else []
    for first, second in combinations(list(kept), 2):
        apart = float(np.linalg.norm(np.subtract(first.centre, second.centre)))
        if not finder.apart_mm[0] <= apart <= finder.apart_mm[1]:
            less = min(first, second, key=lambda f: f.confidence)
            kept = [f for f in kept if f is not less]
            title = finder.regions[less.number].title
            doubts.append(f"{title} would be {apart:.0f} mm from the other one")
    return kept, doubts


def _doubt(found: Found, finder: Finder) -> str:
    title = finder.regions[found.number].title
    if found.confidence < finder.confidence:
        return f"{title} was found with a confidence of only {found.confidence:.2f}"
    if not finder.region_ml[0] <= found.ml <= finder.region_ml[1]:
        return f"{title} would have {found.ml:.1f} ml"
    return ""
