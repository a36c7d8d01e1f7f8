"""The panel: shows the settings that matter for the task, runs, and tells what came out."""

import logging
import traceback

from slicer.i18n import tr as _

from MedEnhanceLib.errors import CancelledError, MedEnhanceError
from MedEnhanceLib.tasks.super_resolution import target_geometry

from . import dependencies, views
from .batchSection import BatchSection
from .bridge import geometryFromNode
from .jobs import DONE
from .labelList import LabelList
from .modelList import Choice, ModelList
from .outputs import show
from .parameters import (
    AUTOMATIC_MODEL,
    NoiseChoice,
    ResolutionChoice,
    TaskChoice,
    optionsFromParameters,
)
from .resultsSection import ResultsSection


class Panel:
    """Everything between the widgets of MedEnhance.ui and the logic.

    :param ui: child widgets by name, see slicer.util.childWidgetVariables.
    :param logic: MedEnhanceLogic.
    """

    def __init__(self, ui, logic):
        self.ui = ui
        self.logic = logic
        self.job = None
        self._parameters = None
        self._choice = None
        self._choiceKey = None
        self._updating = False
        self._models = ModelList(ui.modelComboBox, logic.catalog)
        self._labels = LabelList(ui.labelsListWidget)
        ui.applyButton.connect("clicked(bool)", self.onApply)
        ui.modelComboBox.connect("currentIndexChanged(int)", self.onModelChosen)
        ui.labelsListWidget.connect("itemChanged(QListWidgetItem*)", self.onLabelsChosen)
        ui.advancedCollapsibleButton.connect("contentsCollapsed(bool)", self.showPackages)
        self._results = ResultsSection(ui, logic)
        self._batch = BatchSection(ui, logic)
        for problem in logic.catalog.problems:
            logging.warning("MedEnhance: %s", problem)

    def setParameters(self, parameters):
        """Follow another parameter node, or none while the scene is closed or the panel hidden."""
        self._parameters = parameters
        self._choiceKey = None
        self._results.setParameters(parameters)
        self._batch.setParameters(parameters)
        self.update()

    def update(self):
        """Show what belongs to the chosen task, model and volume."""
        if self._updating:
            return
        self._updating = True
        try:
            if self._parameters is not None:
                self._showTask()
                self._showModel()
                self._showTarget()
            self._showState()
        finally:
            self._updating = False

    def onModelChosen(self, index=None):
        if self._parameters is not None:
            self._parameters.model = self._models.selected

    def onLabelsChosen(self, item=None):
        if self._parameters is not None:
            self._parameters.labels = self._labels.chosenText

    def onApply(self, checked=None):
        """Start a run; during a run, cancel it."""
        if self.job is not None:
            self.job.cancel()
            self._showState()
            return
        self._clearResult()
        try:
            self._start()
        except MedEnhanceError as error:
            self._say(str(error), "refused")
        except Exception as error:
            self._say(
                _("MedEnhance could not start ({reason}); see the error log.").format(reason=error),
                "refused",
            )
            logging.error("MedEnhance could not start: %s", traceback.format_exc())
        self._showState()

    def showPackages(self, collapsed=False):
        if not collapsed:
            self.ui.packagesLabel.text = dependencies.summary()

    def _start(self):
        parameters = self._parameters
        task = parameters.task.task
        options = optionsFromParameters(parameters)
        model = self.logic.choose(parameters.inputVolume, task, self._modelId()).require()
        advice = dependencies.ensureFor(model)
        if advice:
            self._say(advice, "warning")
            return
        isSegment = parameters.task is TaskChoice.SEGMENT
        output = parameters.outputSegmentation if isSegment else parameters.outputVolume
        self.job = self.logic.process(
            parameters.inputVolume,
            task,
            model=model.id,
            options=options,
            wait=False,
            onEvent=self.onJobEvent,
            outputNode=output,
        )

    def onJobEvent(self, job):
        """News of the run."""
        if not job.finished:
            self._showState()
            return
        self.job = None
        if job.state == DONE:
            self._showResult(job)
        elif isinstance(job.error, CancelledError):
            self._say(str(job.error), None)
        else:
            self._say(str(job.error), "refused")
        self._choiceKey = None
        self.update()

    def _showTask(self):
        ui, parameters = self.ui, self._parameters
        task = parameters.task
        isSegment = task is TaskChoice.SEGMENT
        ui.denoiseWidget.visible = task is TaskChoice.DENOISE
        ui.superResolutionWidget.visible = task is TaskChoice.SUPER_RESOLUTION
        ui.segmentWidget.visible = isSegment
        ui.noiseLevelSpinBox.visible = parameters.noise is NoiseChoice.BY_HAND
        for name, choice in (
            ("spacing", ResolutionChoice.SPACING),
            ("factor", ResolutionChoice.FACTOR),
        ):
            isChosen = parameters.resolution is choice
            getattr(ui, name + "Widget").visible = isChosen
            getattr(ui, name + "Label").visible = isChosen
        for name, isUsed in (("Volume", not isSegment), ("Segmentation", isSegment)):
            getattr(ui, f"output{name}Selector").visible = isUsed
            getattr(ui, f"output{name}Label").visible = isUsed

    def _showModel(self):
        ui, parameters = self.ui, self._parameters
        task = parameters.task.task
        choice = self._currentChoice()
        self._models.show(task, self._modelId(), choice.best)
        model = choice.model
        labels = model.labels if model is not None else ()
        self._labels.show(labels, parameters.labels)
        ui.labelsListWidget.visible = bool(labels)
        ui.labelsLabel.visible = bool(labels)
        ui.modelTextLabel.text = views.modelText(model) if model is not None else ""
        ui.modelTextLabel.visible = model is not None
        fit = choice.suitability
        ui.suitabilityLabel.visible = parameters.inputVolume is not None
        ui.suitabilityLabel.text = views.bannerText(
            fit.verdict, model.title if model is not None else "", fit.reasons
        )
        ui.suitabilityLabel.styleSheet = views.bannerStyle(fit.verdict)

    def _modelId(self):
        """The chosen model; "auto" when it was chosen for another task."""
        task = self._parameters.task.task
        ids = [model.id for model in self.logic.catalog.models(task)]
        chosen = self._parameters.model
        return chosen if chosen in ids else AUTOMATIC_MODEL

    def _showTarget(self):
        """Which grid super-resolution would make of this volume, or why it cannot."""
        ui, parameters = self.ui, self._parameters
        isUsed = parameters.task is TaskChoice.SUPER_RESOLUTION and self._choice.model is not None
        ui.targetLabel.visible = isUsed
        if not isUsed:
            return
        try:
            source = geometryFromNode(parameters.inputVolume)
            target = target_geometry(source, optionsFromParameters(parameters))
        except MedEnhanceError as error:
            ui.targetLabel.text = str(error)
            ui.targetLabel.styleSheet = views.bannerStyle("warning")
            return
        ui.targetLabel.text = views.targetText(source, target)
        ui.targetLabel.styleSheet = ""

    def _currentChoice(self):
        """The model and its suitability; worked out anew only when volume, task or model change."""
        node, task = self._parameters.inputVolume, self._parameters.task.task
        image = node.GetImageData() if node is not None else None
        key = (
            node.GetID() if node is not None else None,
            image.GetMTime() if image is not None else None,
            node.GetTransformNodeID() if node is not None else None,
            task,
            self._modelId(),
        )
        if key != self._choiceKey:
            self._choiceKey = key
            self._choice = Choice(self.logic.catalog, node, task, self._modelId())
        return self._choice

    def _showState(self):
        """The Apply button, the progress bar and what can be changed now."""
        ui, job = self.ui, self.job
        for name in ("input", "settings", "output", "advanced"):
            getattr(ui, name + "CollapsibleButton").enabled = job is None
        ui.progressBar.visible = job is not None
        if job is None:
            hasInput = self._parameters is not None and self._parameters.inputVolume is not None
            ui.applyButton.text = _("Apply")
            ui.applyButton.enabled = hasInput and self._choice.mayRun
            ui.applyButton.toolTip = self._applyTip(hasInput)
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
            self._say(views.progressText(job.progress), None)

    def _applyTip(self, hasInput):
        if not hasInput:
            return _("Load or select a volume first.")
        if not self._choice.mayRun:
            return " ".join(self._choice.suitability.reasons)
        return _("Run {model} on this volume.").format(model=self._choice.model.title)

    def _showResult(self, job):
        self._results.show(job)
        done = _("Done: {name}.").format(name=job.node.GetName())
        self._say(" ".join([done, *job.warnings]), "warning" if job.warnings else "good")
        show(job.node)

    def _clearResult(self):
        self._results.clear()
        self._say("", None)

    def _say(self, text, verdict):
        label = self.ui.statusLabel
        label.text = text
        label.styleSheet = views.bannerStyle(verdict) if verdict else ""
