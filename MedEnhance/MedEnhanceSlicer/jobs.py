"""Runs one job at a time on the inference process, and puts its result into the scene.

The process is asked for news by a timer, so nothing here blocks. The input node may be deleted and
the scene may be closed at any moment: the run is then cancelled and its result dropped. A chain of
jobs (see `Chain`) keeps the runner for itself until it is over.
"""

import logging
import shutil

import qt
import slicer
from slicer.i18n import tr as _

from MedEnhanceLib.errors import CancelledError, VolumeError, WorkerError

from .bridge import geometryFromNode, guideFromNode
from .history import runsOf
from .outputs import checkOutputNode, describeRegion, outputName, storeResult
from .region import boxOfRegion, volumeInRegion
from .run import CANCELLED, DONE, FAILED, Run, inASentence

POLL_MS = 50


class Job(Run):
    """One run of one model on one volume.

    Attributes:
        outputName: the name that the user wants, or None.
        result: the library's Result, once done.
        progress: the library's latest Progress, or None.
        details: what an expert would want to read after a failure, or "".
    """

    def __init__(
        self,
        inputNode,
        task,
        model,
        options,
        outputName,
        outputNode=None,
        onEvent=None,
        guideNode=None,
        region=None,
    ):
        super().__init__(inputNode.GetName(), onEvent)
        self.inputNode = inputNode
        self.task = task
        self.model = model
        self.options = options
        self.outputName = outputName
        self.outputNode = outputNode
        self.guideNode = guideNode
        self.region = region
        self.box = None
        self.grid = None
        self.result = None
        self.progress = None
        self.details = ""

    def cancel(self, reason=None):
        super().cancel(reason or _("The run was cancelled; nothing was changed."))

    def _stop(self):
        self.runner.cancel()

    def inputIsThere(self):
        return slicer.mrmlScene.IsNodePresent(self.inputNode)

    def read(self):
        """The voxels to work on and the guide, if any, as the library's Volumes."""
        if self.region is not None:
            self.box = boxOfRegion(self.region, self.inputNode)
        volume = volumeInRegion(self.inputNode, self.region)
        self.grid = geometryFromNode(self.inputNode)
        if self.guideNode is None:
            return volume, None
        return volume, guideFromNode(self.guideNode, self.inputNode)

    def store(self, result):
        """Put the result into the scene; its node.

        :raises VolumeError: when the input is no longer where it was, but for parent transforms,
            under which the result is put as well.
        """
        if not geometryFromNode(self.inputNode).is_close(self.grid):
            raise VolumeError(
                f"'{self.inputNode.GetName()}' was hardened, moved or resampled during the run, so "
                "the result has no place; run it again."
            )
        name = self.outputName or self._madeName(result)
        node = storeResult(result, self.inputNode, name, self._target())
        describeRegion(node, self.box)
        return node

    def _target(self):
        """The chosen output; None for a new node where it cannot take the result any more."""
        if self.outputNode is None or not slicer.mrmlScene.IsNodePresent(self.outputNode):
            return None
        try:
            checkOutputNode(self.outputNode, self.inputNode, self.task, self.guideNode)
        except VolumeError as error:
            self.warnings.append(f"{error} The result is in a node of its own.")
            return None
        return self.outputNode

    def _madeName(self, result):
        """The name for a result to which the user gave none."""
        runs = [*runsOf(self.inputNode), result.provenance]
        return outputName(self.inputNode, self.task, runs)


class JobRunner:
    """Feeds the inference process and listens to it.

    :param worker: a MedEnhanceLib Worker, or something like it; by default one is made when needed.
    """

    def __init__(self, worker=None):
        self._worker = worker
        self._job = None
        self._chain = None
        self._timer = None

    @property
    def busy(self):
        return self._job is not None or self._chain is not None

    @property
    def chain(self):
        """The chain that keeps other jobs out, or None."""
        return self._chain

    def reserve(self, chain):
        """Let nothing but the jobs of a chain start until it is released.

        :raises WorkerError: when something is running.
        """
        self.checkFree()
        self._chain = chain

    def release(self, chain):
        """Let other jobs start again."""
        if self._chain is chain:
            self._chain = None

    def start(self, job, chain=None):
        """Begin a job, of a chain if it belongs to one.

        :raises MedEnhanceError: when another job is running or the input cannot be used.
        """
        if self._job is not None or chain is not self._chain:
            self.checkFree()
        volume, guide = job.read()
        if self._worker is None:
            self._worker = newWorker()
        folders = modelFolders(job.model)
        # What the user trusted, not what is there now: the process looks whether it is the same.
        trusted = getattr(job.model, "trusted", "")
        self._worker.submit(
            volume,
            job.task,
            model=job.model.id,
            options=job.options,
            model_folders=folders,
            trusted=(trusted,) if trusted else (),
            guide=guide,
        )
        job.runner = self
        self._job = job
        self._startTimer()
        return job

    def cancel(self):
        """Ask the process to stop; its answer is awaited by polling."""
        self._worker.cancel()

    def poll(self):
        """Take the process's news. Called by the timer; never blocks."""
        job = self._job
        if job is None:
            return
        if not job.inputIsThere():
            job.cancel(_("The input volume was removed from the scene; the run was stopped."))
        try:
            events = self._worker.poll()
        except Exception as error:
            logging.exception("MedEnhance: the inference process could not be asked")
            self._finish(job, FAILED, error)
            return
        for event in events:
            if self._job is job:
                self._handle(job, event)

    def close(self):
        """End the process; a job that is running is cancelled. The next job starts another."""
        if self._chain is not None:
            self._chain.cancel(_("MedEnhance was closed during the run."))
        job, self._job = self._job, None
        if self._timer is not None:
            self._timer.stop()
        if self._worker is not None:
            self._worker.close()
        if job is not None:
            self._finish(job, CANCELLED, CancelledError(_("MedEnhance was closed during the run.")))

    def checkFree(self):
        """Raise WorkerError when something is running."""
        running = self._chain or self._job
        if running is not None:
            raise WorkerError(
                f"MedEnhance is still working on '{running.inputName}'; wait for it or cancel it."
            )

    def _startTimer(self):
        if self._timer is None:
            self._timer = qt.QTimer()
            self._timer.setInterval(POLL_MS)
            self._timer.connect("timeout()", self.poll)
        self._timer.start()

    def _handle(self, job, event):
        if event.kind == "progress":
            job.progress = event.progress
            job.tell()
        elif event.kind == "warning":
            job.warnings.append(event.message)
            job.tell()
        elif job.cancelReason is not None or event.kind == "cancelled":
            reason = job.cancelReason or event.message
            self._finish(job, CANCELLED, CancelledError(reason))
        elif event.kind == "error":
            job.details = event.details
            logging.error("MedEnhance: %s\n%s", event.message, event.details)
            self._finish(job, FAILED, event.exception)
        else:
            self._store(job, event.result)

    def _store(self, job, result):
        try:
            job.node = job.store(result)
        except Exception as error:
            logging.exception("MedEnhance could not store its result")
            self._finish(job, FAILED, error)
            return
        job.result = result
        job.warnings.extend(w for w in result.warnings if w not in job.warnings)
        self._finish(job, DONE, None)

    def _finish(self, job, state, error):
        self._job = None
        if self._timer is not None:
            self._timer.stop()
        job.state, job.error = state, inASentence(error)
        job.tell()


def newWorker():
    """The inference process, run by Slicer's own Python; it starts with the first job."""
    from MedEnhanceLib.worker.client import Worker

    return Worker(python=shutil.which("PythonSlicer"))


def modelFolders(model):
    """Folders the process must look into to find a model the user brought along."""
    folder = getattr(model, "folder", None)
    shipped = getattr(model, "shipped", True)
    return () if folder is None or shipped else (str(folder),)


_shared = None


def sharedRunner():
    """The runner of this Slicer: panel and console use one process, so that models stay warm."""
    global _shared
    if _shared is None:
        _shared = JobRunner()
    return _shared
