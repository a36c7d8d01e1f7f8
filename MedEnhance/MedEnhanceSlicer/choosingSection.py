"""The part of the panel where volume, task, model and settings are chosen."""

from pathlib import Path

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from MedEnhanceLib.errors import MedEnhanceError
from MedEnhanceLib.tasks.finer_grid import target_geometry

from . import modelCard, wording
from .bridge import modalityOfNode
from .forecasts import forecastRun
from .labelList import LabelList
from .modelList import ModelList
from .parameters import (
    AUTOMATIC_MODEL,
    NoiseChoice,
    ResolutionChoice,
    TaskChoice,
    optionsFromParameters,
)
from .region import geometryInRegion

ICONS = Path(__file__).resolve().parent.parent / "Resources" / "Icons"
TASK_BUTTONS = {
    TaskChoice.DENOISE: ("denoiseButton", "Denoise.png"),
    TaskChoice.SUPER_RESOLUTION: ("superResolutionButton", "SuperResolution.png"),
    TaskChoice.SEGMENT: ("segmentButton", "Segment.png"),
}
TYPED = ("noiseLevel", "spacingI", "spacingJ", "spacingK", "factorI", "factorJ", "factorK", "tile")


class ChoosingSection:
    """Keeps the upper half of the panel equal to the parameters, and says what would run.

    :param ui: child widgets by name, see slicer.util.childWidgetVariables.
    :param logic: MedEnhanceLogic.

    Attributes:
        choice: `Choice` of the model and its suitability, None without parameters.
    """

    def __init__(self, ui, logic):
        self.ui = ui
        self.logic = logic
        self.choice = None
        self._parameters = None
        self._choiceKey = None
        self._targetProblem = ""
        self._labelled = None
        self._models = ModelList(ui.modelListWidget, ui.modelSearchLineEdit)
        self._labels = LabelList(ui.labelsListWidget)
        for task, (name, icon) in TASK_BUTTONS.items():
            button = getattr(ui, name)
            button.icon = qt.QIcon(str(ICONS / icon))
            button.connect("clicked(bool)", self._choosesTask(task))
        ui.modelListWidget.connect("currentRowChanged(int)", self.onModelChosen)
        ui.labelsListWidget.connect("itemChanged(QListWidgetItem*)", self.onLabelsChosen)

    def setParameters(self, parameters):
        """Follow another parameter node, or none while the scene is closed or the panel hidden."""
        self._parameters = parameters
        self._labelled = None

    def update(self):
        """Show what belongs to the chosen task, model and volume."""
        if self._parameters is None:
            return
        self._showTask()
        self._showModel()
        self._showTarget()
        self._showForecast()

    def modelId(self):
        """The chosen model; "auto" when it was chosen for another task."""
        task = self._parameters.task.task
        ids = [model.id for model in self.logic.catalog.models(task)]
        chosen = self._parameters.model
        return chosen if chosen in ids else AUTOMATIC_MODEL

    def modelNamed(self):
        """The model the user has named, None for the one that suits best."""
        chosen = self.modelId()
        return None if chosen == AUTOMATIC_MODEL else self.logic.catalog.find(chosen)

    @property
    def mayRun(self):
        """Whether Apply makes sense: the model suits, or only the user's trust is missing."""
        return self.choice is not None and (self.choice.mayRun or self.choice.needsTrust)

    def onModelChosen(self, row=None):
        if self._parameters is not None:
            self._parameters.model = self._models.selected

    def onLabelsChosen(self, item=None):
        if self._parameters is not None:
            self._parameters.labels = self._labels.chosenText

    def _choosesTask(self, task):
        def choose(checked=None):
            if self._parameters is not None:
                self._parameters.task = task

        return choose

    def _showTask(self):
        ui, parameters = self.ui, self._parameters
        task = parameters.task
        isSegment = task is TaskChoice.SEGMENT
        getattr(ui, TASK_BUTTONS[task][0]).checked = True
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
        choice = self._judged()
        self._models.show(
            self.logic.catalog.models(parameters.task.task), self.modelId(), choice.best
        )
        model = choice.model
        self._forgetTicks(model)
        labels = model.labels if model is not None else ()
        self._labels.show(labels, parameters.labels)
        ui.labelsListWidget.visible = bool(labels)
        ui.labelsLabel.visible = bool(labels)
        ui.modelTextLabel.text = wording.modelText(model) if model is not None else ""
        ui.modelTextLabel.visible = model is not None
        ui.modelCardCollapsibleButton.visible = model is not None
        ui.modelCardLabel.text = modelCard.text(model) if model is not None else ""
        fit = choice.suitability
        ui.suitabilityLabel.visible = parameters.inputVolume is not None
        ui.suitabilityLabel.text = wording.bannerText(
            fit.verdict, model.title if model is not None else "", fit.reasons
        )
        ui.suitabilityLabel.styleSheet = wording.bannerStyle(fit.verdict)

    def _forgetTicks(self, model):
        """Structures ticked for one model are others, or none, for the next."""
        if model is None or self._parameters.task is not TaskChoice.SEGMENT:
            return
        if self._labelled not in (None, model.id) and self._parameters.labels:
            self._parameters.labels = ""
        self._labelled = model.id

    def _showTarget(self):
        """Which grid super-resolution would make of this volume, or why it cannot."""
        ui = self.ui
        isUsed = self._parameters.task is TaskChoice.SUPER_RESOLUTION
        isUsed = isUsed and self.choice.model is not None
        ui.targetLabel.visible = isUsed
        self._targetProblem = ""
        if not isUsed:
            return
        try:
            ui.targetLabel.text = wording.targetText(*self._grids())
            ui.targetLabel.styleSheet = ""
        except MedEnhanceError as error:
            self._targetProblem = ui.targetLabel.text = str(error)
            ui.targetLabel.styleSheet = wording.bannerStyle("refused")

    def _showForecast(self):
        """How long it would take and how much memory, before Apply."""
        text = ""
        if self.choice.mayRun:
            try:
                target = self._grids()[1]
                forecast = forecastRun(self.choice.model, target, self._parameters)
                text = wording.forecastText(forecast, self._parameters.device.label())
            except MedEnhanceError:
                # What is wrong stands in the target's label.
                text = ""
        self.ui.forecastLabel.text = text
        self.ui.forecastLabel.visible = bool(text)

    def _grids(self):
        """The grid of the input and that of the output."""
        source = geometryInRegion(self._parameters.inputVolume, self._parameters.region)
        if self._parameters.task is not TaskChoice.SUPER_RESOLUTION:
            return source, source
        return source, target_geometry(source, optionsFromParameters(self._parameters))

    def _judged(self):
        """The model and its suitability; worked out anew only when what it is about has changed."""
        parameters, guide = self._parameters, self._parameters.guideVolume
        key = (
            volumeState(parameters.inputVolume),
            regionState(parameters.region),
            guide.GetID() if guide is not None else None,
            parameters.task.task,
            self.modelId(),
            self.logic.catalog,
        )
        if key != self._choiceKey:
            self._choiceKey = key
            self.choice = self.choose()
        return self.choice

    def choose(self):
        """The model for the chosen volume, region and guide; see `Choice`."""
        parameters = self._parameters
        isGuided = parameters.task is TaskChoice.DENOISE and parameters.guideVolume is not None
        return self.logic.choose(
            parameters.inputVolume,
            parameters.task.task,
            self.modelId(),
            isGuided,
            parameters.region,
        )

    def applyTip(self):
        """What Apply would do, or why it cannot."""
        if self._parameters is None or self._parameters.inputVolume is None:
            return _("Load or select a volume first.")
        if not self.choice.mayRun:
            return " ".join(self.choice.suitability.reasons)
        if self._targetProblem:
            # Apply can be clicked all the same: it takes what is being typed.
            return self._targetProblem
        return _("Run {model} on this volume.").format(model=self.choice.model.title)


def volumeState(node):
    """What is another one whenever a volume must be judged anew; looking at voxels takes time."""
    if node is None:
        return None
    image, ijkToRas = node.GetImageData(), vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(ijkToRas)
    return (
        node.GetID(),
        # Refusals name it.
        node.GetName(),
        image.GetMTime() if image is not None else None,
        slicer.util.arrayFromVTKMatrix(ijkToRas).tolist(),
        modalityOfNode(node),
        transformState(node),
    )


def regionState(region):
    """What is another one whenever a region was changed or moved."""
    return None if region is None else (region.GetID(), region.GetMTime(), transformState(region))


def transformState(node):
    """Which parent transform a node has, and when it was changed last."""
    parent = node.GetParentTransformNode()
    return None if parent is None else (parent.GetID(), parent.GetTransformToWorldMTime())


def takeTyped(ui):
    """Let the settings have the numbers that were typed, also where a field was not left yet.

    Fields do not tell of every key, since Slicer would put the text in order under the user's
    fingers. And on macOS a click on a button leaves no field.
    """
    for name in TYPED:
        getattr(ui, name + "SpinBox").interpretText()
