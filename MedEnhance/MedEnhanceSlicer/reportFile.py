"""A result's node as a report in a file, without anything that tells whose image it is."""

from pathlib import Path

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from MedEnhanceLib.cli.outputs import write_all
from MedEnhanceLib.errors import DependencyError, FileError, VolumeError
from MedEnhanceLib.report import ENDINGS, report_bytes, report_of
from MedEnhanceLib.volume import Label, LabelMap

from .bridge import volumeAsStored
from .evidenceTable import measuresOf
from .resultNotes import inputNote, measuresNote
from .segmentTable import segmentsOf

DEFAULT_NAME = "medenhance_report.html"


def askForFile(parent=None):
    """The file that the user chooses, or ""; beginning where the scene would be saved."""
    kinds = _("Web page (*.html);;PDF (*.pdf)")
    proposed = str(Path(slicer.mrmlScene.GetRootDirectory() or "") / DEFAULT_NAME)
    chosen = qt.QFileDialog.getSaveFileName(parent, _("Save report"), proposed, kinds)
    # PySide6 gives the filter along, PythonQt the path alone.
    return chosen if isinstance(chosen, str) else chosen[0]


def saveReport(result, fileName):
    """Write the report; a name without an ending becomes *.html.

    :raises FileError: when the file cannot be written.
    :return: the file's path.
    """
    path = Path(fileName)
    if path.suffix.lower() not in ENDINGS:
        path = path.with_name(path.name + ENDINGS[0])
        if path.exists():
            # Whoever was asked was asked about the name without it.
            raise FileError(
                f"There is a '{path.name}' already; type the name with {' or '.join(ENDINGS)} at "
                "its end."
            )
    try:
        content = report_bytes(reportOf(result), path.suffix)
    except ModuleNotFoundError as error:
        raise DependencyError(
            f"Reports need the Python package '{error.name}', which is not installed; type "
            "slicer.util.pip_install('pillow') into the Python console."
        ) from error
    write_all({path: content})
    return path


def reportOf(result):
    """The report of a result's node."""
    if result.isSegmentation:
        before, after = wholeInput(result), labelMapOf(result)
    else:
        before = None if inputNote(result) else result.inputVolume
        after = volumeAsStored(result.node)
    unsure = result.uncertaintyNode
    notes = (measuresNote(result), inputNote(result))
    return report_of(
        result.task,
        before,
        after,
        measuresOf(result),
        result.story,
        result.warnings,
        None if unsure is None else volumeAsStored(unsure),
        " ".join(note for note in notes if note),
    )


def wholeInput(result):
    """The input of a segmentation, on whose grid the segments are drawn."""
    if result.inputNode is None:
        raise VolumeError(
            "The input volume is no longer in the scene, and without it there is no picture of "
            "the segments; load it, or run again."
        )
    return volumeAsStored(result.inputNode)


def labelMapOf(result):
    """The segments as they are now, as a label map on the input's grid."""
    grid, image = result.inputNode, wholeInput(result)
    voxels = np.zeros(image.voxels.shape, np.uint8)
    labels = []
    for value, segment in enumerate(segmentsOf(result.node), start=1):
        inside = slicer.util.arrayFromSegmentBinaryLabelmap(result.node, segment.id, grid)
        voxels[inside > 0] = value
        labels.append(Label(value, segment.name, segment.color))
    return LabelMap(voxels, image.geometry, tuple(labels))
