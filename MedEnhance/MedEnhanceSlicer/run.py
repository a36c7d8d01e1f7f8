"""What a job, and a chain of jobs, are to those who wait for one."""

import logging
import time

import slicer
from slicer.i18n import tr as _

from MedEnhanceLib.errors import MedEnhanceError, WorkerError

RUNNING, DONE, FAILED, CANCELLED = "running", "done", "failed", "cancelled"


class Run:
    """Work that leaves Slicer responsive. Children give `progress` and `_stop`.

    Attributes:
        state: RUNNING until it is DONE, FAILED or CANCELLED.
        node: what came out, once done.
        error: the exception, when failed or cancelled.
        warnings: sentences for the user.
        runner: the JobRunner, once started.

    :param inputName: what is worked on, for the user.
    :param onEvent: called with the run at every progress and at its end.
    """

    def __init__(self, inputName, onEvent=None):
        self.inputName = inputName
        self.onEvent = onEvent
        self.runner = None
        self.state = RUNNING
        self.node = None
        self.error = None
        self.warnings = []
        self.cancelReason = None

    def __repr__(self):
        """How far it is, for those who print it."""
        progress = self.progress
        told = f", {progress.fraction:.0%}, {progress.phase}" if progress is not None else ""
        return f"<{type(self).__name__} '{self.inputName}': {self.state}{told}>"

    @property
    def finished(self):
        return self.state != RUNNING

    @property
    def cancelling(self):
        return self.cancelReason is not None and not self.finished

    def cancel(self, reason=None):
        """Ask for all to be stopped; the run is CANCELLED shortly afterwards."""
        if self.finished or self.cancelling:
            return
        self._checkBegun()
        self.cancelReason = reason or _("The run was cancelled.")
        self._stop()

    def wait(self):
        """Keep Slicer responsive until all is over, and return what came out.

        :raises MedEnhanceError: when the run failed, was cancelled or was never started.
        """
        if not self.finished:
            self._checkBegun()
        while not self.finished:
            slicer.app.processEvents()
            self._goOn()
            if not self.finished:
                time.sleep(0.01)
        if self.error is not None:
            raise self.error
        return self.node

    def _checkBegun(self):
        if self.runner is None:
            raise WorkerError(
                f"The run on '{self.inputName}' was not started; use logic.runner.start(job) first."
            )

    def _goOn(self):
        """Do what timers would, which those who wait may keep from firing."""
        self.runner.poll()

    def tell(self):
        """Report news to whoever asked for them."""
        if self.onEvent is None:
            return
        try:
            self.onEvent(self)
        except Exception:
            logging.exception("MedEnhance: the listener of a run failed")


def inASentence(error):
    """A failure in words for the user, which those of the library are in already."""
    if error is None or isinstance(error, MedEnhanceError):
        return error
    what = " ".join(str(error).split())
    reason = type(error).__name__ + (f": {what}" if what else "")
    told = WorkerError(
        _("The run failed ({reason}); see the error log, and run it again.").format(reason=reason)
    )
    told.__cause__ = error
    return told
