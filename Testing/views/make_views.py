"""Writes Screenshots/view-*.png: results on the sample scans, drawn by Slicer's own views.

python -m Testing.views.make_views                      all of them
python -m Testing.views.make_views super-resolution     one of them

The models run, their results become nodes as in the module, and Slicer's slice and 3D views draw
these off screen.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from MedEnhanceLib import enhance, read_volume
from MedEnhanceLib.evaluation.acquiring import Acquisition, thick_case
from MedEnhanceLib.evaluation.denoising import noisy_case
from MedEnhanceLib.evaluation.subjects import Subject
from MedEnhanceLib.intensity import robust_peak
from MedEnhanceLib.pictures.sheet import Panel, sheet
from MedEnhanceLib.pictures.slices import Slice
from MedEnhanceLib.resources import sample_folder
from MedEnhanceLib.result import Result
from MedEnhanceLib.volume import Volume
from Testing.gui import standins
from Testing.slicer_scene import REPOSITORY, start_scene
from Testing.views.off_screen import application_logic
from Testing.views.slice_view import SliceView
from Testing.views.surface_view import SurfaceView

NOISE_PERCENT = 7
THICK = Acquisition(factor=4, axis="y")
WHITE = 0.9
"""Brightest value that is shown, as a share of the scan's peak."""
WHITE_OF_SHARP = 1.1
"""The same where sharp edges may not be cut off."""
SEGMENT_FILL = 0.3
"""Less opaque than Slicer's 0.5, so that the anatomy below can be judged."""
PANEL = 340
"""Width of a view in pixels."""
LARGEST_BYTES = 400_000
MOST_BITS_LOST = 3
SCREENSHOTS = REPOSITORY / "Screenshots"


def main() -> None:
    """Make the pictures that were asked for."""
    standins.install()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"any of {', '.join(PICTURES)}; all if none")
    names = parser.parse_args().names or list(PICTURES)
    for name in names:
        if name not in PICTURES:
            parser.error(f"'{name}' is no picture; choose from {', '.join(PICTURES)}")
    for name in names:
        start_scene()
        path = SCREENSHOTS / f"view-{name}.png"
        path.write_bytes(made_small(PICTURES[name]()))
        print(path.name, path.stat().st_size // 1000, "kB")


def picture_of_denoising() -> bytes:
    """Before, after and the removed signal, the first two with the same window."""
    from MedEnhanceSlicer.differenceMap import showRemovedSignal
    from MedEnhanceSlicer.resultNode import ResultNode

    scan = read_volume(sample_folder() / "mr_head_t1.nii.gz")
    noisy = noisy_case(Subject.of("head", scan), NOISE_PERCENT, seed=0).noisy
    before, after = nodes_of(noisy, enhance(noisy, "denoise"))
    removed = showRemovedSignal(ResultNode(after))
    views = slice_views((before, after, removed), "Axial", (PANEL, 370), 100.0)
    limit = removed.GetScalarVolumeDisplayNode().GetWindowLevelMax()
    panels = [
        Panel("Before", views[0], f"head scan with {NOISE_PERCENT} % noise added"),
        Panel("After", views[1], "denoised, same window"),
        Panel("Removed signal", views[2], "anatomy should not show in it", limit),
    ]
    return sheet("Denoising", "T1-weighted head, axial, in Slicer's slice views", panels, 3, PANEL)


def picture_of_segmentation() -> bytes:
    """The hippocampus over its slice, and as a surface."""
    import slicer
    from MedEnhanceSlicer.comparison import hideIn

    image = read_volume(sample_folder() / "hippocampus_t1.nii.gz")
    result = enhance(image, "segment")
    before, segmentation = nodes_of(image, result)
    segmentation.GetDisplayNode().SetOpacity2DFill(SEGMENT_FILL)
    application = application_logic(slicer.mrmlScene)
    size, centre = (PANEL, 272), centre_of(before)
    plain, outlined = (SliceView(application, n, "Sagittal", size) for n in ("Plain", "Outlined"))
    surface = SurfaceView(application, "Surface", size)
    hideIn(plain.node, segmentation)
    for view in (plain, outlined):
        view.look_at(before, 50.0, (centre_of(segmentation)[0], *centre[1:]))
    surface.look_from(slicer.vtkMRMLCameraNode.Left, zoom=1.5)
    panels = [
        Panel("Before", plain.picture(), "T1-weighted, a crop around one hippocampus"),
        Panel("After", outlined.picture(), labels=result.labelmap.labels),
        Panel("Its surface", surface.picture(), "smoothed as is usual in Slicer, from the left"),
    ]
    note = "T1-weighted head, sagittal, in Slicer's slice and 3D views"
    return sheet("Hippocampus", note, panels, 3, PANEL)


def picture_of_super_resolution() -> bytes:
    """Thick slices, what is made of them, and the thin ones they were made from."""
    scan = read_volume(sample_folder() / "mr_head_t1.nii.gz")
    case = thick_case(Subject.of("head", scan), THICK)
    result = enhance(case.thick, "super-resolution")
    before, after = nodes_of(case.thick, result, WHITE_OF_SHARP)
    thin = volume_node(case.thin, "Thin slices", WHITE_OF_SHARP)
    views = slice_views((before, after, thin), "Axial", (PANEL, 400), 105.0)
    thickness, fine = before.GetSpacing()[1], after.GetSpacing()[1]
    panels = [
        Panel("Before", views[0], f"coronal slices of {thickness:.1f} mm, made from the scan"),
        Panel("After", views[1], f"super-resolved to {fine:.2f} mm"),
        Panel("The scan itself", views[2], "which no network was trained on"),
    ]
    note = "T1-weighted head, axial across coronal slices, in Slicer's slice views"
    return sheet("Super-resolution", note, panels, 3, PANEL)


PICTURES: dict[str, Callable[[], bytes]] = {
    "denoising": picture_of_denoising,
    "segmentation": picture_of_segmentation,
    "super-resolution": picture_of_super_resolution,
}


def nodes_of(volume: Volume, result: Result, white: float = WHITE) -> tuple[Any, Any]:
    """Input and result as nodes, the latter made by the module."""
    from MedEnhanceSlicer.outputs import outputName, storeResult

    node = volume_node(volume, "Scan", white)
    return node, storeResult(result, node, outputName(node, result.task, [result.provenance]))


def volume_node(volume: Volume, name: str, white: float) -> Any:
    """A volume as a node, with a window from zero to bright tissue."""
    import slicer
    from MedEnhanceSlicer.bridge import ijkToRasMatrix

    matrix = slicer.util.vtkMatrixFromArray(ijkToRasMatrix(volume.geometry))
    voxels = np.array(volume.voxels, np.float32)
    node = slicer.util.addVolumeFromArray(voxels, matrix, name)
    display = node.GetScalarVolumeDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(0.0, white * robust_peak(voxels))
    return node


def slice_views(
    nodes: tuple[Any, ...], orientation: str, size: tuple[int, int], width_mm: float
) -> list[Slice]:
    """A slice view for each volume, all at the same place: the middle of the first one."""
    import slicer

    application = application_logic(slicer.mrmlScene)
    pictures = []
    for number, node in enumerate(nodes):
        view = SliceView(application, f"View{number}", orientation, size)
        view.look_at(node, width_mm, centre_of(nodes[0]))
        pictures.append(view.picture())
    return pictures


def centre_of(node: Any) -> tuple[float, float, float]:
    """The middle of a volume or a segmentation in RAS millimetres."""
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    right, front, top = ((bounds[n] + bounds[n + 1]) / 2 for n in (0, 2, 4))
    return right, front, top


def made_small(png: bytes) -> bytes:
    """The same picture; where noise makes it too large for a page, without its last bits."""
    from PIL import Image

    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    small = png
    for bits in range(1, MOST_BITS_LOST + 1):
        if len(small) <= LARGEST_BYTES:
            break
        file = io.BytesIO()
        Image.fromarray(pixels >> bits << bits).save(file, "PNG", optimize=True)
        small = file.getvalue()
    return small


if __name__ == "__main__":
    main()
