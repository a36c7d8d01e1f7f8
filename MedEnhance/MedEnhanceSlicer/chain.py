"""Several jobs, one after another, which from outside look like one `Job`.

A chain tells its story as a generator: it yields a job and gets its node back when it is done; a
job that fails raises its error at that very place, as if it had been a call. Between two jobs
Slicer's event loop has its turn, so nothing blocks.
"""

import logging
import time

import qt
import slicer
from slicer.i18n import tr as _

from MedEnhanceLib.errors import CancelledError, MedEnhanceError, VolumeError
from MedEnhanceLib.result import Progress

from .run import CANCELLED, DONE, FAILED, Run, inASentence

SECONDS_BEFORE_ESTIMATE = 2.0


class Chain(Run):
    """A run of several jobs. Children give `story` and, for the user, `summary`.

    Attributes:
        where: which part is being worked on, for the user ("Frame 2 of 10").
        job: the job that runs now, or None.
        lastJob: the job that ended last, or None.

    :param runner: JobRunner; it is reserved for this chain until the end.
    :param parts: how many jobs there will be at most; for the progress.
    :param inputName, onEvent: as for `Run`.
    """

    def __init__(self, runner, parts, inputName, onEvent=None):
        super().__init__(inputName, onEvent)
        self.runner = runner
        self.parts = max(1, parts)
        self.partsDone = 0
        self.where = ""
        self.job = None
        self.lastJob = None
        self._story = None
        self._isDue = False
        self._began = None
        self._scene = None
        self._sceneTag = None

    def story(self):
        """Generator: yields jobs that are not started, gets their nodes, returns the result."""
        raise NotImplementedError

    def summary(self):
        """One sentence on what came out, and its verdict: "good" or "warning"."""
        text = _("Done: {name}.").format(name=self.node.GetName())
        return " ".join([text, *dict.fromkeys(self.warnings)]), (
            "warning" if self.warnings else "good"
        )

    @property
    def shown(self):
        """The job whose result is to be shown at the end; None for none."""
        return None

    @property
    def isBetween(self):
        """Whether a job has just ended, so that there may be new nodes."""
        return self.job is not None and self.job.finished

    @property
    def progress(self):
        """The library's Progress over all jobs; None before the first."""
        if self._began is None or not self.where:
            return None
        isRunning = self.job is not None and not self.job.finished
        inner = self.job.progress if isRunning else None
        fraction = (self.partsDone + (inner.fraction if inner is not None else 0)) / self.parts
        phase = self.where if inner is None else f"{self.where}: {inner.phase}"
        return Progress(min(1.0, fraction), phase, self._secondsLeft(fraction))

    def start(self):
        """Begin; the first job starts when Slicer's event loop has its turn.

        :raises WorkerError: when something else is running.
        """
        self.runner.reserve(self)
        self._began = time.monotonic()
        self._story = self.story()
        self._scene = slicer.mrmlScene
        closing = self._scene.StartCloseEvent
        self._sceneTag = self._scene.AddObserver(closing, self._onSceneClosed)
        self._later()
        return self

    def _stop(self):
        if self.job is not None and not self.job.finished:
            self.job.cancel(self.cancelReason)
        elif self._story.gi_running:
            self._later()
        else:
            self._advance()

    def _goOn(self):
        super()._goOn()
        self._tick()

    def _secondsLeft(self, fraction):
        elapsed = time.monotonic() - self._began
        if elapsed < SECONDS_BEFORE_ESTIMATE or fraction <= 0:
            return None
        return elapsed * (1 - fraction) / fraction

    def _later(self):
        """Go on when the event loop has its turn."""
        self._isDue = True
        qt.QTimer.singleShot(0, self._tick)

    def _tick(self):
        if self._isDue and not self.finished:
            self._advance()

    def _advance(self):
        """Hand the last job's outcome to the story, and start the job it wants next."""
        self._isDue = False
        try:
            job = self._resume()
        except StopIteration as end:
            self._finish(DONE, node=end.value)
        except CancelledError as error:
            self._finish(CANCELLED, error)
        except MedEnhanceError as error:
            self._finish(FAILED, error)
        except Exception as error:
            logging.exception("MedEnhance: a run of several jobs failed")
            self._finish(FAILED, inASentence(error))
        else:
            self._start(job)

    def _resume(self):
        """The story's next job; when the chain is being cancelled, the story ends before it."""
        ended, self.job = self.job, None
        if ended is None:
            job = next(self._story)
        elif ended.error is not None:
            job = self._story.throw(ended.error)
        else:
            job = self._story.send(ended.node)
        if self.cancelReason is not None:
            return self._story.throw(CancelledError(self.cancelReason))
        return job

    def _start(self, job):
        self.job = job
        job.onEvent = self._onJob
        try:
            for node in (job.inputNode, job.guideNode):
                if node is not None:
                    checkThere(node)
            self.runner.start(job, self)
        except Exception as error:
            # To the story it is a failure like any other.
            if not isinstance(error, MedEnhanceError):
                logging.exception("MedEnhance: a run could not be started")
            job.state, job.error = FAILED, inASentence(error)
            self._onJob(job)
        else:
            self.tell()

    def _onJob(self, job):
        """News of the running job."""
        if not job.finished:
            self.tell()
            return
        self.partsDone += 1
        self.lastJob = job
        self.warnings.extend(job.warnings)
        if self.cancelReason is not None:
            # Nothing is left for later: the process may be about to end.
            self._advance()
        else:
            self.tell()
            self._later()

    def _onSceneClosed(self, caller, event):
        self.cancel(_("The scene was closed; the run was stopped."))

    def _finish(self, state, error=None, node=None):
        self._isDue = False
        self.job = None
        self.runner.release(self)
        self._scene.RemoveObserver(self._sceneTag)
        self.state, self.error, self.node = state, error, node
        self.tell()


def checkThere(node):
    """Raise VolumeError when a node has been removed from the scene."""
    if not slicer.mrmlScene.IsNodePresent(node):
        raise VolumeError(
            _("'{name}' was removed from the scene; the run was stopped.").format(
                name=node.GetName()
            )
        )
