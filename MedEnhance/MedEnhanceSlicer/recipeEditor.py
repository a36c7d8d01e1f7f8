"""The list of a recipe's steps in the panel: add, remove, move, copy and paste."""

import json

import qt
from slicer.i18n import tr as _

from MedEnhanceLib.errors import MedEnhanceError

from .parameters import AUTOMATIC_MODEL, TaskChoice
from .recipe import stepsOf, textOf
from .wording import tip


class RecipeEditor:
    """Keeps the list equal to the recipe in the scene.

    :param ui: child widgets by name, see slicer.util.childWidgetVariables.
    :param logic: MedEnhanceLogic, which knows the models' titles.
    :param currentStep: called for the Step that the panel's settings describe.
    :param say: called with a sentence when something cannot be done, "" otherwise.
    """

    def __init__(self, ui, logic, currentStep, say):
        self.ui = ui
        self._logic = logic
        self._currentStep = currentStep
        self._say = say
        self._parameters = None
        self._isFree = False
        self._list = ui.recipeListWidget
        self._list.connect("currentRowChanged(int)", self.showState)
        for name, slot in (
            ("addStep", self.onAdd),
            ("removeStep", self.onRemove),
            ("stepUp", self.onUp),
            ("stepDown", self.onDown),
            ("clearRecipe", self.onClear),
            ("copyRecipe", self.onCopy),
            ("pasteRecipe", self.onPaste),
        ):
            getattr(ui, name + "Button").connect("clicked(bool)", slot)

    @property
    def steps(self):
        """The steps, perhaps none, perhaps in an order that cannot run yet."""
        try:
            data = json.loads(self._parameters.recipe or "[]")
            return [step for each in data for step in stepsOf([each])]
        except (ValueError, TypeError, MedEnhanceError):
            # Written by another version of MedEnhance.
            return []

    def setParameters(self, parameters):
        """Follow another parameter node, or none while the scene is closed or the panel hidden."""
        self._parameters = parameters

    def update(self):
        """Show the recipe of the scene."""
        texts = [self._text(n, step) for n, step in enumerate(self.steps, start=1)]
        shown = [self._list.item(row).text() for row in range(self._list.count)]
        if texts == shown:
            return
        row = self._list.currentRow
        wasBlocked = self._list.blockSignals(True)
        self._list.clear()
        for text, step in zip(texts, self.steps, strict=True):
            self._list.addItem(text)
            self._list.item(self._list.count - 1).setToolTip(tip(json.dumps(step.toJson())))
        self._list.setCurrentRow(min(row, len(texts) - 1))
        self._list.blockSignals(wasBlocked)

    def setFree(self, isFree):
        """Let the recipe be changed, or not while something runs."""
        self._isFree = isFree
        self.showState()

    def showState(self, row=None):
        """What can be clicked now."""
        ui, count, row, isFree = self.ui, self._list.count, self._list.currentRow, self._isFree
        ui.addStepButton.enabled = ui.pasteRecipeButton.enabled = isFree
        ui.removeStepButton.enabled = isFree and row >= 0
        ui.stepUpButton.enabled = isFree and row > 0
        ui.stepDownButton.enabled = isFree and 0 <= row < count - 1
        ui.clearRecipeButton.enabled = isFree and count > 0
        ui.copyRecipeButton.enabled = count > 0

    def onAdd(self, checked=None):
        try:
            step = self._currentStep()
        except MedEnhanceError as error:
            self._say(str(error))
            return
        self._store([*self.steps, step], len(self.steps))

    def onRemove(self, checked=None):
        steps, row = self.steps, self._list.currentRow
        self._store(steps[:row] + steps[row + 1 :], row)

    def onUp(self, checked=None):
        self._swap(self._list.currentRow, -1)

    def onDown(self, checked=None):
        self._swap(self._list.currentRow, 1)

    def onClear(self, checked=None):
        self._store([], -1)

    def onCopy(self, checked=None):
        qt.QApplication.clipboard().setText(textOf(self.steps))

    def onPaste(self, checked=None):
        try:
            steps = stepsOf(qt.QApplication.clipboard().text())
        except MedEnhanceError as error:
            self._say(str(error))
            return
        self._store(steps, 0)

    def _swap(self, row, offset):
        steps = self.steps
        steps[row], steps[row + offset] = steps[row + offset], steps[row]
        self._store(steps, row + offset)

    def _store(self, steps, row):
        self._say("")
        self._parameters.recipe = textOf(steps) if steps else ""
        self.update()
        self._list.setCurrentRow(min(row, self._list.count - 1))
        self.showState()

    def _text(self, number, step):
        """A line of the list: the task and the model by its title."""
        task = TaskChoice(step.task.value).label()
        if step.model == AUTOMATIC_MODEL:
            model = _("best fit")
        else:
            titles = {model.id: model.title for model in self._logic.catalog.models(step.task)}
            model = titles.get(step.model, _("{id} (missing)").format(id=step.model))
        return _("{number}. {task}: {model}").format(number=number, task=task, model=model)
