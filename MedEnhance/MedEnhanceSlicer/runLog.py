"""The log of the panel, and the report of a fault: what is needed to look into it, and no more."""

import platform
import time

import slicer

from MedEnhanceLib import __version__

from .dependencies import protectedVersions

MOST_DETAILS = 6000


class RunLog:
    """Writes what happens into a text box.

    :param textEdit: QPlainTextEdit.
    """

    def __init__(self, textEdit):
        self._edit = textEdit
        self._last = ""

    @property
    def text(self):
        return self._edit.plainText

    def add(self, sentence):
        """One line with the time of day; the same sentence twice in a row is written once."""
        if not sentence or sentence == self._last:
            return
        self._last = sentence
        self._edit.appendPlainText(f"{time.strftime('%H:%M:%S')} {sentence}")


def report(job, logText):
    """What to send to the authors: versions, model, settings, the error; no names, no paths.

    :param job: the last Job, or None.
    :param logText: of the panel.
    """
    lines = [
        f"MedEnhance {__version__}, {applicationName()}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}",
        ", ".join(f"{name} {version}" for name, version in protectedVersions().items()),
    ]
    if job is not None:
        lines += [
            f"task {job.task}, model {job.model.id} {job.model.version}, state {job.state}",
            f"options {job.options.to_json()}",
            f"error {type(job.error).__name__}: {job.error}" if job.error is not None else "",
            job.details[-MOST_DETAILS:],
        ]
    text = "\n".join(line for line in [*lines, "", logText] if line)
    return withoutName(text, job)


def withoutName(text, job):
    """The input's name may be that of a patient."""
    name = job.inputName if job is not None else ""
    return text.replace(name, "<input>") if name else text


def applicationName():
    """The application and its version; the stand-in of the tests has none."""
    version = getattr(slicer.app, "applicationVersion", "")
    return f"{slicer.app.applicationName} {version}".strip()
