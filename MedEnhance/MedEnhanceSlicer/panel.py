"""The panel: puts its sections together, runs, and tells what came out."""

import logging
import traceback

import qt
import slicer
from slicer.i18n import tr as _

from MedEnhanceLib.errors import CancelledError, MedEnhanceError, TrustError

from . import dependencies, forecasts, remembered, wording
from .batchSection import BatchSection
from .chain import Chain
from .choosingSection import ChoosingSection, takeTyped
from .outputs import show
from .parameters import TaskChoice, optionsFromParameters
from .previewSection import PreviewSection
from .regionSection import RegionSection
from .resultsSection import ResultsSection
from .run import DONE
from .runLog import RunLog, factsOf, report
from .setupSection import SetupSection


class Panel:
    """Everything between the widgets of the .ui files and the logic.

    :param ui: child widgets by name, see slicer.util.childWidgetVariables.
    :param logic: MedEnhanceLogic.

    Attributes:
        job: the run that goes on, or None.
    """

    def __init__(self, ui, logic):
        self.ui = ui
        self.logic = logic
        self.job = None
        self._lastFacts = []
        self._parameters = None
        self._updating = False
        self._isBeginning = False
        self._log = RunLog(ui.logTextEdit)
        self._choosing = ChoosingSection(ui, logic)
        self._preview = PreviewSection(ui, logic, self._chosenModel)
        self._results = ResultsSection(ui, logic)
        self._region = RegionSection(ui, self.update)
        self._batch = BatchSection(ui, logic, self.begin, self.onJobEvent, self._tell)
        self._setup = SetupSection(ui, logic, self.onModelsChanged)
        ui.statusLabel.visible = False
        ui.applyButton.connect("clicked(bool)", self.onApply)
        ui.copyReportButton.connect("clicked(bool)", self.onCopyReport)
        self._logProblems()

    def setParameters(self, parameters):
        """Follow another parameter node, or none while the scene is closed or the panel hidden."""
        self._parameters = parameters
        for section in (
            self._choosing,
            self._region,
            self._preview,
            self._results,
            self._batch,
        ):
            section.setParameters(parameters)
        self.update()

    def setImporting(self, isImporting):
        """Nodes of another scene are being added, or all are there now."""
        self._results.setImporting(isImporting)

    def forgetScene(self):
        """The scene is about to be closed; nothing of it must be taken for the next one's.

        What was said may name its volumes.
        """
        if self._preview.forgetWaiting():
            self._isBeginning = False
        self._batch.forgetScene()
        self._log.clear()
        # Those of the models hold in the next scene, too.
        self._logProblems()
        if self.job is None:
            self._say("", None)
        self._showState()

    def close(self):
        """The application closes the panel."""
        self._preview.hide()
        self._setup.close()

    @property
    def isAtWork(self):
        """Whether a run or a preview of this panel goes on."""
        return self.job is not None or self._preview.job is not None

    def update(self):
        """Show what belongs to the chosen task, model and volume."""
        if self._updating:
            return
        self._updating = True
        try:
            self._choosing.update()
            self._region.update()
            self._batch.update()
            self._showState()
            self._preview.settingsChanged()
        finally:
            self._updating = False

    def onModelsChanged(self):
        """There are other models than before."""
        self._logProblems()
        self.update()

    def onApply(self, checked=None):
        """Start a run; during a run, cancel it."""
        if self.job is not None:
            self.job.cancel()
            self._showState()
            return
        self.begin(self._start)

    def begin(self, start):
        """Begin a run as soon as the inference process is free of previews.

        :param start: called for the Job or the Chain that runs; None when nothing does.
        """
        if self._isBeginning:
            return
        takeTyped(self.ui)
        chosen = self._chosenNodes()
        self._isBeginning = True
        self._say(_("Starting..."), None)
        self._showState()
        self._preview.hideThen(lambda: self._run(start, chosen))

    def _run(self, start, chosen):
        """Begin the run; what speaks against it is said.

        Installing packages lets Slicer handle clicks, which must not begin another run meanwhile.
        """
        self._clearResult()
        try:
            self.job = self._started(start, chosen)
        except MedEnhanceError as error:
            self._say(str(error), "refused")
        except Exception as error:
            self._say(
                _("MedEnhance could not start ({reason}); see the error log.").format(reason=error),
                "refused",
            )
            logging.error("MedEnhance could not start: %s", traceback.format_exc())
        finally:
            self._isBeginning = False
        # Beginning may have installed some.
        self._setup.showPackages()
        self._showState()

    def _started(self, start, chosen):
        """What runs now; nothing when it is no longer what was asked for before a preview ended."""
        if self._parameters is None:
            self._say(_("The module was left before the run began; start it again."), "warning")
        elif self._chosenNodes() != chosen:
            told = _("Another volume or region was chosen before the run began; start it again.")
            self._say(told, "warning")
        else:
            return start()
        return None

    def _chosenNodes(self):
        """What a run would work on; it may leave the scene before the run begins."""
        chosen = self._parameters
        return [chosen.inputVolume, chosen.region, chosen.guideVolume, chosen.sequence]

    def onCopyReport(self, checked=None):
        """Put what is needed to report a fault on the clipboard."""
        qt.QApplication.clipboard().setText(report(self._lastFacts, self._log))
        self._say(_("The report was copied; paste it into your message."), None)

    def onJobEvent(self, job):
        """News of the run."""
        isChain = isinstance(job, Chain)
        if not job.finished:
            self._showState()
            if isChain and job.isBetween:
                self._results.refresh()
            return
        self.job = None
        last = job.lastJob if isChain else job
        self._keepFacts(last)
        if last is not None and isinstance(last.error, TrustError):
            # Its files are others than those that were trusted; Apply asks for what is there now.
            self.logic.forgetModels()
        if job.state == DONE and isChain:
            self._showChain(job)
        elif job.state == DONE:
            forecasts.remember(job)
            self._showResult(job)
        elif isinstance(job.error, CancelledError):
            self._say(str(job.error), None)
        else:
            self._say(str(job.error), "refused")
            self.ui.logCollapsibleButton.collapsed = False
        self.update()

    def _keepFacts(self, job):
        """What a report of the last job tells; a chain may have ended before its first one."""
        self._lastFacts = []
        if job is not None:
            self._lastFacts = factsOf(job)
            self._log.names.add(job.inputName)

    def _chosenModel(self, mayAsk=True):
        """The model to run. Raises MedEnhanceError.

        :param mayAsk: whether to ask for trust where it is needed, rather than to refuse the model.
        """
        model = self._choosing.modelNamed()
        if model is not None and needsTrust(model):
            if not (mayAsk and askForTrust(model)):
                model.require_trust()
            self.logic.trust(model)
        return self._choosing.choose().require()

    def _start(self):
        """The run of the chosen model; None when Slicer must be restarted first."""
        parameters = self._parameters
        options = optionsFromParameters(parameters)
        model = self._chosenModel()
        advice = dependencies.ensureFor(model, self._tell)
        if advice:
            self._say(advice, "warning")
            return None
        isSegment = parameters.task is TaskChoice.SEGMENT
        output = parameters.outputSegmentation if isSegment else parameters.outputVolume
        remembered.remember(parameters)
        self._log.add(_("{model} begins.").format(model=model.title))
        isDenoise = parameters.task is TaskChoice.DENOISE
        return self.logic.process(
            parameters.inputVolume,
            parameters.task.task,
            model=model.id,
            options=options,
            wait=False,
            onEvent=self.onJobEvent,
            outputNode=output,
            guideVolume=parameters.guideVolume if isDenoise else None,
            region=parameters.region,
        )

    def _showState(self):
        """The Apply button, the progress bar and what can be changed now."""
        ui, job = self.ui, self.job
        isFree = job is None and not self._isBeginning
        for name in ("input", "settings", "output", "setup"):
            getattr(ui, name + "CollapsibleButton").enabled = isFree
        ui.progressBar.visible = not isFree
        ui.copyReportButton.enabled = bool(self._lastFacts) or bool(self._log.text)
        self._preview.update()
        self._batch.showState(job, self._isBeginning)
        if job is None:
            hasInput = self._parameters is not None and self._parameters.inputVolume is not None
            ui.applyButton.text = _("Apply")
            ui.applyButton.enabled = isFree and hasInput and self._choosing.mayRun
            ui.applyButton.toolTip = wording.tip(self._choosing.applyTip())
            ui.progressBar.maximum = 0
            return
        ui.applyButton.enabled = not job.cancelling
        ui.applyButton.text = _("Cancelling...") if job.cancelling else _("Cancel")
        ui.applyButton.toolTip = _("Stop the run; nothing is changed.")
        if job.progress is None:
            ui.progressBar.maximum = 0
            self._say(_("Starting..."), None)
        else:
            ui.progressBar.maximum = 1000
            ui.progressBar.value = round(1000 * job.progress.fraction)
            self._showProgress(job.progress)

    def _showProgress(self, progress):
        self.ui.statusLabel.text = wording.progressText(progress)
        self.ui.statusLabel.visible = True
        self.ui.statusLabel.styleSheet = ""
        self._log.add(progress.phase)

    def _showResult(self, job):
        self._results.show(job)
        done = _("Done: {name}.").format(name=job.node.GetName())
        self._say(" ".join([done, *job.warnings]), "warning" if job.warnings else "good")
        self._showInViews(job.node)

    def _showChain(self, chain):
        self._say(*chain.summary())
        if chain.shown is None:
            self._results.refresh()
        else:
            self._results.show(chain.shown)
            self._showInViews(chain.shown.node)

    def _showInViews(self, node):
        """While the panel is hidden, the views are those of another module."""
        if self._parameters is not None:
            show(node)

    def _clearResult(self):
        self._results.clear()
        self._batch.clearNote()
        self._say("", None)

    def _tell(self, text):
        """Say what goes on, before something that takes a while."""
        self._say(text, None)

    def _say(self, text, verdict):
        label = self.ui.statusLabel
        label.text = text
        label.visible = bool(text)
        label.styleSheet = wording.bannerStyle(verdict) if verdict else ""
        self._log.add(text)

    def _logProblems(self):
        for problem in self.logic.catalog.problems:
            logging.warning("MedEnhance: %s", problem)
            self._log.add(problem)


def needsTrust(model):
    """Whether a model would run code that the user has not allowed yet."""
    return bool(getattr(model, "foreign", "")) and not (model.shipped or model.trusted)


def askForTrust(model):
    """Ask the user whether a model may run code of its own."""
    question = _(
        "The model '{title}' did not come with MedEnhance and {reason}.\n\nCode in a model can do "
        "anything that you can do on this computer. Allow it only if you trust its author.\n\n"
        "Trust this model from now on?"
    ).format(title=model.title, reason=model.foreign)
    # Qt would take what the author wrote for HTML, which could change the question.
    plain = qt.Qt.PlainText
    return slicer.util.confirmYesNoDisplay(question, _("MedEnhance"), textFormat=plain)
