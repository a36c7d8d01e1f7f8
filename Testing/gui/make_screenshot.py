"""Writes Screenshots/panel.png: the panel after a real run, beside a slice before and after.

python -m Testing.gui.make_screenshot
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6 import QtCore, QtGui

from Testing.gui import standins
from Testing.gui.driver import PanelDriver, close_panels
from Testing.slicer_scene import REPOSITORY, start_scene

SLICE_HEIGHT = 520
GAP = 16
NOISE_PERCENT = 7


def main() -> None:
    """Run the denoiser through the panel and compose the picture."""
    standins.install()
    start_scene()
    import slicer
    from MedEnhanceSlicer import selfTest

    node = selfTest.loadSample(selfTest.HEAD)
    node.SetName("Head, noise added")
    voxels = slicer.util.arrayFromVolume(node).astype(np.float32)
    sigma = NOISE_PERCENT / 100 * float(np.percentile(voxels, 99.9))
    real, imaginary = np.random.default_rng(0).normal(0, sigma, (2, *voxels.shape))
    slicer.util.updateVolumeFromArray(node, np.hypot(voxels + real, imaginary).astype(np.float32))
    panel = PanelDriver()
    panel.apply()
    panel.wait_for_end()
    result = slicer.util.getNode("*denoised*")
    picture = QtGui.QImage(str(panel.picture("screenshot")))
    before, after = (slice_of(slicer.util.arrayFromVolume(n)) for n in (node, result))
    spacing = node.GetSpacing()
    compose(picture, before, after, spacing[1] / spacing[0])
    close_panels()


def slice_of(voxels: NDArray[Any]) -> NDArray[np.uint8]:
    """The middle slice in 8 bits; the sample's rows run from front to back."""
    middle = voxels[voxels.shape[0] // 2].astype(float)
    peak = float(np.percentile(voxels, 99.5))
    return np.ascontiguousarray(np.clip(middle / peak * 255, 0, 255).astype(np.uint8))


def compose(
    panel: QtGui.QImage, before: NDArray[np.uint8], after: NDArray[np.uint8], aspect: float
) -> None:
    """Panel to the left, the two slices to the right."""
    width = round(SLICE_HEIGHT * before.shape[1] / (before.shape[0] * aspect))
    size = (panel.width() + 2 * width + 3 * GAP, max(panel.height(), SLICE_HEIGHT + 4 * GAP))
    canvas = QtGui.QImage(*size, QtGui.QImage.Format.Format_RGB32)
    canvas.fill(QtGui.QColor(20, 22, 28))
    painter = QtGui.QPainter(canvas)
    painter.drawImage(0, 0, panel)
    painter.setPen(QtGui.QColor(230, 230, 230))
    top = 3 * GAP
    for column, (voxels, title) in enumerate(((before, "before"), (after, "after"))):
        left = panel.width() + GAP + column * (width + GAP)
        height_px, width_px = voxels.shape
        image = QtGui.QImage(
            voxels.tobytes(), width_px, height_px, width_px, QtGui.QImage.Format.Format_Grayscale8
        )
        smooth = QtCore.Qt.TransformationMode.SmoothTransformation
        stretch = QtCore.Qt.AspectRatioMode.IgnoreAspectRatio
        painter.drawImage(left, top, image.scaled(width, SLICE_HEIGHT, stretch, smooth))
        painter.drawText(left, top - 8, title)
    painter.end()
    target = REPOSITORY / "Screenshots" / "panel.png"
    target.parent.mkdir(exist_ok=True)
    canvas.save(str(target))


if __name__ == "__main__":
    main()
