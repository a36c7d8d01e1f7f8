"""The log of the panel, and the report of a fault: what is needed to look into it, and no more."""

import platform
import re
import time
from pathlib import Path

import slicer

from MedEnhanceLib import __version__

from .dependencies import protectedVersions

MOST_DETAILS = 6000
NAMED_CLASSES = (
    "vtkMRMLVolumeNode",
    "vtkMRMLSegmentationNode",
    "vtkMRMLMarkupsNode",
    "vtkMRMLTransformNode",
    "vtkMRMLSequenceNode",
    "vtkMRMLSequenceBrowserNode",
)
"""Nodes whose names come from files and users, and may be those of patients."""
LETTER = r"[^\W_]"
"""Or a digit; names of files join those of patients to other words by underscores."""
ROOT = r"""~?(?:[A-Za-z]:)?[\\/]+"""
APOSTROPHE = r"""['"](?=\w)"""
QUOTED = rf"""(?<=['"]){ROOT}(?:(?:[^\\/\n'"]|{APOSTROPHE})+[\\/]+)*"""
WORD = rf"""(?:[^\\/\s'"]|{APOSTROPHE})+"""
BARE = rf"""(?<![\w/\\]){ROOT}(?:{WORD}(?: {WORD})*[\\/]+)*"""
FOLDERS = re.compile(rf"(?:{QUOTED}|{BARE})(?=\S)")
"""What comes before a file's name in a path that begins at the root, of any system.

Names of folders may have spaces. Where no quotes tell the end of a path, single ones count as long
as a folder's end follows, so that rather too much is taken away than a name left.
"""


class RunLog:
    """Writes what happens into a text box.

    :param textEdit: QPlainTextEdit.

    Attributes:
        names: names of nodes that may occur in the text, also of those that are gone by now.
    """

    def __init__(self, textEdit):
        self._edit = textEdit
        self._last = ""
        self.names = set()

    @property
    def text(self):
        return self._edit.plainText

    def clear(self):
        """Empty the box; names stay known, as the facts of the last run may hold them."""
        self._edit.clear()
        self._last = ""

    def add(self, sentence):
        """One line with the time of day; the same sentence twice in a row is written once."""
        if not sentence or sentence == self._last:
            return
        self._last = sentence
        self.names |= nodeNames()
        self._edit.appendPlainText(f"{time.strftime('%H:%M:%S')} {sentence}")


def factsOf(job):
    """Lines about a job for the report; kept instead of the job, which holds its volumes."""
    return [
        f"task {job.task}, model {job.model.id} {job.model.version}, state {job.state}",
        f"options {job.options.to_json()}",
        f"error {type(job.error).__name__}: {job.error}" if job.error is not None else "",
        job.details[-MOST_DETAILS:],
    ]


def report(facts, log):
    """What to send to the authors: versions, model, settings, the error; no names, no paths.

    :param facts: lines about the last job, none before the first.
    :param log: RunLog of the panel.
    """
    lines = [
        f"MedEnhance {__version__}, {applicationName()}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}",
        ", ".join(f"{name} {version}" for name, version in protectedVersions().items()),
    ]
    text = "\n".join(line for line in [*lines, *facts, log.text] if line)
    return withoutFolders(withoutNames(text, log.names | nodeNames()))


def withoutNames(text, names):
    """Names of nodes may be those of patients; the longest go first, they may hold others.

    Only whole words: Slicer calls a region "R", which is no reason to take every R away.
    """
    longestFirst = sorted((re.escape(name) for name in names if name), key=len, reverse=True)
    pattern = rf"(?<!{LETTER})(?:{'|'.join(longestFirst)})(?!{LETTER})"
    return re.sub(pattern, "<name>", text) if longestFirst else text


def withoutFolders(text):
    """Folders are called after users and patients; of a path only the last name stays."""
    home = str(Path.home())
    for folder in (home, repr(home)[1:-1]):
        # On its own, since the name of a user may have spaces.
        text = text.replace(folder, "/home") if len(folder) > 1 else text
    return FOLDERS.sub("", text)


def nodeNames():
    """Names of the scene's images, frames of sequences among them, and of what belongs to them."""
    nodes = [node for kind in NAMED_CLASSES for node in slicer.util.getNodesByClass(kind)]
    for sequence in slicer.util.getNodesByClass("vtkMRMLSequenceNode"):
        nodes += [sequence.GetNthDataNode(n) for n in range(sequence.GetNumberOfDataNodes())]
    return {node.GetName() for node in nodes if node is not None and node.GetName()}


def applicationName():
    """The application and its version; the stand-in of the tests has none."""
    version = getattr(slicer.app, "applicationVersion", "")
    return f"{slicer.app.applicationName} {version}".strip()
