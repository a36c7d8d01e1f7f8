"""The part of the panel for more than one: sequences, recipes, queues."""

import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from MedEnhanceLib.task import Task

from . import dependencies, wording
from .caseQueue import QueueChain, QueueState
from .chain import Chain
from .choosingSection import takeTyped
from .nodeWatch import NodeWatch
from .parameters import AUTOMATIC_MODEL, optionsFromParameters
from .queueTable import QueueTable, shownVolumes
from .recipe import Step
from .recipeEditor import RecipeEditor
from .sequences import firstFrame, sequenceAndBrowser


class BatchSection(VTKObservationMixin):
    """Starts runs of several jobs; the panel shows their progress as that of any run.

    :param ui: child widgets by name, see slicer.util.childWidgetVariables.
    :param logic: MedEnhanceLogic.
    :param begin: called with a function that starts a run and returns it, see `Panel.begin`.
    :param onEvent: the panel's listener for the run.
    :param tell: says in the panel what goes on before a run.
    """

    def __init__(self, ui, logic, begin, onEvent, tell):
        VTKObservationMixin.__init__(self)
        self.ui = ui
        self.logic = logic
        self._begin = begin
        self._onEvent = onEvent
        self._tell = tell
        self._parameters = None
        self._job = None
        self._isBeginning = False
        self._recipe = RecipeEditor(ui, logic, self._currentStep, self._say)
        self._table = QueueTable(ui.queueTableWidget)
        self._watch = NodeWatch(self.onVolumeModified)
        self._say("")
        for name, slot in (
            ("runSequence", self.onRunSequence),
            ("runRecipe", self.onRunRecipe),
            ("tickAll", self.onTickAll),
            ("tickNone", self.onTickNone),
            ("runQueue", self.onRunQueue),
            ("resumeQueue", self.onResumeQueue),
            ("cancelQueue", self.onCancelQueue),
        ):
            getattr(ui, name + "Button").connect("clicked(bool)", slot)
        ui.queueTableWidget.connect("itemChanged(QTableWidgetItem*)", self.onTicked)

    def setParameters(self, parameters):
        """Follow another parameter node, or none while the scene is closed or the panel hidden."""
        self._parameters = parameters
        self._recipe.setParameters(parameters)
        self.removeObservers()
        self._watch.follow()
        if parameters is not None:
            scene = slicer.mrmlScene
            ended = scene.EndBatchProcessEvent
            for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, ended):
                self.addObserver(scene, event, self.onNodesChanged)

    def forgetScene(self):
        """The scene is about to be closed."""
        self._table.clear()
        self.clearNote()

    def clearNote(self):
        """What was said of another run is over."""
        self._say("")

    def update(self):
        """Show the recipe and the queue of the scene."""
        if self._parameters is not None:
            self._recipe.update()
            self._showTable()
            self._watch.follow(*shownVolumes())

    def onVolumeModified(self):
        """It may have been renamed; while voxels change, nothing is to be done."""
        if self._table.names() != [volume.GetName() for volume in shownVolumes()]:
            self._showTable()

    def showState(self, job, isBeginning=False):
        """What can be clicked now.

        :param job: the run that goes on, or None.
        :param isBeginning: whether one is about to begin.
        """
        self._job, self._isBeginning = job, isBeginning
        ui, parameters = self.ui, self._parameters
        isFree = job is None and not isBeginning and parameters is not None
        hasSteps = isFree and bool(self._recipe.steps)
        hasInput = isFree and parameters.inputVolume is not None
        ui.runSequenceButton.enabled = isFree and parameters.sequence is not None
        ui.runRecipeButton.enabled = hasSteps and hasInput
        ui.queueRecipeCheckBox.enabled = isFree
        isUsable = isFree and (hasSteps or not parameters.queueRecipe)
        ui.runQueueButton.enabled = isUsable and bool(self._table.tickedIds())
        ui.resumeQueueButton.enabled = isFree and bool(self._queue().open)
        ui.cancelQueueButton.enabled = isinstance(job, QueueChain) and not job.cancelling
        for name in ("sequenceSelector", "keepIntermediateCheckBox"):
            getattr(ui, name).enabled = isFree
        self._recipe.setFree(isFree)

    def onNodesChanged(self, caller, event):
        """Volumes came or went."""
        if not slicer.mrmlScene.IsBatchProcessing():
            self.update()
            self.showState(self._job, self._isBeginning)

    def onTicked(self, item=None):
        self.showState(self._job, self._isBeginning)

    def onTickAll(self, checked=None):
        self._table.tickAll()

    def onTickNone(self, checked=None):
        self._table.tickNone()

    def onRunSequence(self, checked=None):
        def start():
            parameters, step = self._parameters, self._currentStep()
            guide = parameters.guideVolume if step.task is Task.DENOISE else None
            sequence, _browser = sequenceAndBrowser(parameters.sequence)
            first = firstFrame(sequence, parameters.region)
            if not self._isInstalled([step], [first], guide=guide):
                return None
            return self.logic.processSequence(
                parameters.sequence,
                step.task.value,
                step.model,
                step.options,
                parameters.region,
                wait=False,
                onEvent=self._onEvent,
                guideVolume=guide,
            )

        self._begin(start)

    def onRunRecipe(self, checked=None):
        def start():
            parameters, steps = self._parameters, self._recipe.steps
            volumes, guide = [parameters.inputVolume], parameters.guideVolume
            if not self._isInstalled(steps, volumes, parameters.region, guide):
                return None
            return self.logic.runRecipe(
                parameters.inputVolume,
                steps,
                parameters.keepIntermediate,
                parameters.region,
                wait=False,
                onEvent=self._onEvent,
                guideVolume=guide,
            )

        self._begin(start)

    def onRunQueue(self, checked=None):
        def start():
            parameters = self._parameters
            steps = self._recipe.steps if parameters.queueRecipe else [self._currentStep()]
            volumes = self._table.tickedVolumes()
            if not self._isInstalled(steps, volumes, parameters.region):
                return None
            isDenoised = any(step.task is Task.DENOISE for step in steps)
            if parameters.guideVolume is not None and isDenoised:
                self._say(_("The guide is not used here: it is of one patient, a queue of many."))
            return self.logic.queue(
                volumes,
                steps=steps,
                keepIntermediate=parameters.keepIntermediate,
                region=parameters.region,
                wait=False,
                onEvent=self._onEvent,
            )

        self._begin(start)

    def onResumeQueue(self, checked=None):
        def start():
            queue = self._queue()
            volumes = [queue.volume(index) for index in queue.open]
            if not self._isInstalled(queue.steps, volumes, queue.region):
                return None
            return self.logic.resumeQueue(wait=False, onEvent=self._onEvent)

        self._begin(start)

    def onCancelQueue(self, checked=None):
        if isinstance(self._job, Chain):
            job = self._job
            job.cancel()
            if not job.finished:
                self._onEvent(job)

    def _showTable(self):
        self._table.show(self._queue())

    def _queue(self):
        """The queue that runs, or else that of the scene."""
        chain = self.logic.runner.chain
        isQueue = isinstance(chain, QueueChain)
        return chain.queue if isQueue else QueueState(self._parameters.parameterNode)

    def _currentStep(self):
        """The step that the panel's settings describe."""
        takeTyped(self.ui)
        parameters = self._parameters
        task = parameters.task.task
        ids = [model.id for model in self.logic.catalog.models(task)]
        model = parameters.model if parameters.model in ids else AUTOMATIC_MODEL
        return Step(task, model, optionsFromParameters(parameters).to_json())

    def _isInstalled(self, steps, volumes, region=None, guide=None):
        """Install what the models need, after asking; False when Slicer must be restarted.

        :param volumes: nodes, or Volumes of the library, that the steps would work on.
        """
        for step in steps:
            isGuided = guide is not None and step.task is Task.DENOISE
            for model in self._modelsOf(step, volumes, region, isGuided):
                advice = dependencies.ensureFor(model, self._tell)
                if advice:
                    self._say(advice)
                    return False
        return True

    def _modelsOf(self, step, volumes, region, isGuided):
        """The models that a step would run; for a later step, as far as the input tells."""
        models = self.logic.catalog.models(step.task)
        named = [model for model in models if model.id == step.model]
        # Looking at volumes takes time, which is spared where all models can run.
        if named or not any(dependencies.missingFor(model) for model in models):
            yield from named
            return
        for volume in volumes:
            choice = self.logic.choose(volume, step.task, step.model, isGuided, region)
            if choice.mayRun:
                yield choice.model

    def _say(self, text):
        self.ui.batchLabel.text = text
        self.ui.batchLabel.styleSheet = wording.bannerStyle("warning") if text else ""
        self.ui.batchLabel.visible = bool(text)
