"""A recipe: several steps on one volume, each on what the one before has made.

As JSON, for the scene, the clipboard and scripts:

    [{"task": "denoise", "model": "auto", "options": {"strength": 0.8}},
     {"task": "super-resolution", "model": "auto", "options": {}}]
"""

import json
from dataclasses import dataclass, field

import slicer
from slicer.i18n import tr as _

from MedEnhanceLib.errors import MedEnhanceError, OptionsError
from MedEnhanceLib.options import options_from_json
from MedEnhanceLib.task import Task

from .bridge import checkVolumeNode
from .chain import Chain, checkThere
from .history import provenanceOf
from .nodes import removeNode
from .outputs import FIRST_INPUT_ATTRIBUTE, INPUT_REFERENCE_ROLE, REGION_ATTRIBUTE
from .parameters import AUTOMATIC_MODEL
from .resultMaps import UNCERTAINTY_REFERENCE_ROLE, mapOf


@dataclass(frozen=True)
class Step:
    """One step of a recipe.

    Attributes:
        task: MedEnhanceLib Task.
        model: its id, or "auto".
        options: the library's options as a dictionary; those left out have their defaults.
    """

    task: Task
    model: str = AUTOMATIC_MODEL
    options: dict = field(default_factory=dict)

    @classmethod
    def of(cls, data):
        """From a Step or a dictionary with "task" and perhaps "model" and "options".

        :raises OptionsError: when the task or an option is unknown, or a value makes no sense.
        """
        if isinstance(data, cls):
            return data
        if not isinstance(data, dict) or not isinstance(data.get("task"), str):
            raise OptionsError(f'A step needs a "task", e.g. {{"task": "denoise"}}; got {data!r}.')
        unknown = sorted(set(data) - {"task", "model", "options"})
        if unknown:
            raise OptionsError(f'A step has "task", "model" and "options", not "{unknown[0]}".')
        model, options = data.get("model", AUTOMATIC_MODEL), data.get("options") or {}
        if not isinstance(model, str) or not isinstance(options, dict):
            raise OptionsError("A step's model is a text, and its options are a dictionary.")
        step = cls(Task.named(data["task"]), model, options)
        options_from_json(step.task, step.options)
        return step

    def toJson(self):
        return {"task": self.task.value, "model": self.model, "options": self.options}


def stepsOf(steps):
    """A recipe from JSON text or a list of steps or dictionaries.

    :raises OptionsError: when it cannot be read, is empty or goes on after a segmentation.
    """
    if isinstance(steps, str):
        try:
            steps = json.loads(steps)
        except ValueError as error:
            raise OptionsError(
                f"This text is no recipe (no JSON in line {error.lineno}); copy one first."
            ) from None
    if not isinstance(steps, (list, tuple)) or not steps:
        raise OptionsError("The recipe has no steps; add one first.")
    steps = [Step.of(step) for step in steps]
    for number, step in enumerate(steps[:-1], start=1):
        if step.task is Task.SEGMENT:
            raise OptionsError(
                f"Step {number} is a segmentation, which gives no image to go on with; move it to "
                "the end."
            )
    return steps


def textOf(steps):
    """A recipe as JSON text; the inverse of :func:`stepsOf`."""
    return json.dumps([step.toJson() for step in steps])


class RecipeChain(Chain):
    """Runs a recipe on a volume; in the end `node` is the last step's node.

    :param others: as for `MedEnhanceLogic.runRecipe`.
    """

    def __init__(
        self,
        logic,
        inputNode,
        steps,
        keep=False,
        region=None,
        name=None,
        onEvent=None,
        guide=None,
    ):
        checkVolumeNode(inputNode)
        self.logic = logic
        self.inputNode = inputNode
        self.steps = stepsOf(steps)
        self.keep = keep
        self.region = region
        self.name = name
        self.guide = guide
        super().__init__(logic.runner, len(self.steps), inputNode.GetName(), onEvent)

    def story(self):
        return (
            yield from runSteps(
                self,
                self.inputNode,
                self.steps,
                self.keep,
                self.region,
                name=self.name,
                guide=self.guide,
            )
        )

    @property
    def shown(self):
        return self.lastJob


def runSteps(chain, inputNode, steps, keep, region=None, prefix="", name=None, guide=None):
    """Generator for a chain's story: the steps on one volume; gives the last step's node.

    When a step fails nothing of the earlier ones is left, unless all are kept.

    :param prefix: what the user is told before the number of the step.
    :param guide: volume node with another contrast of the patient, for the steps that denoise.
    """
    made, current = [], inputNode
    try:
        for number, step in enumerate(steps, start=1):
            where = stepText(number, steps)
            chain.where = ", ".join(part for part in (prefix, where) if part)
            job = newStepJob(chain.logic, current, step, region if number == 1 else None, guide)
            job.outputName = name if number == len(steps) else None
            current = yield job
            made.append(current)
    except Exception as error:
        if not keep:
            removeNodes(made)
        if len(steps) > 1 and isinstance(error, MedEnhanceError) and not chain.cancelling:
            raise type(error)(f"{where}: {error}") from error
        raise
    if not keep:
        removeIntermediate(made, inputNode)
    return current


def newStepJob(logic, node, step, region, guide):
    """The job of a step."""
    checkThere(node)
    return logic.newJob(
        node,
        step.task.value,
        step.model,
        dict(step.options),
        guideVolume=guide if step.task is Task.DENOISE else None,
        region=region,
    )


def stepText(number, steps):
    """Which step, for the user; nothing when there is only one."""
    if len(steps) == 1:
        return ""
    return _("Step {number} of {count} ({task})").format(
        number=number, count=len(steps), task=str(steps[number - 1].task)
    )


def removeIntermediate(made, inputNode):
    """Keep only the last volume and the last segmentation, and let them point to the input."""
    volumes = [node for node in made if not node.IsA("vtkMRMLSegmentationNode")]
    removeNodes(volumes[:-1])
    for node in made:
        if slicer.mrmlScene.IsNodePresent(node) and len(made) > 1:
            source = volumes[-1] if node not in volumes else inputNode
            node.SetNodeReferenceID(INPUT_REFERENCE_ROLE, source.GetID())
    if len(volumes) > 1:
        first, last = volumes[0], volumes[-1]
        last.SetAttribute(REGION_ATTRIBUTE, first.GetAttribute(REGION_ATTRIBUTE))
        last.SetAttribute(FIRST_INPUT_ATTRIBUTE, provenanceOf(first).get("input_sha256", ""))


def removeNodes(nodes):
    """Take results, and the uncertainty beside them, out of the scene."""
    scene = slicer.mrmlScene
    for node in nodes:
        if scene.IsNodePresent(node):
            uncertainty = mapOf(node, UNCERTAINTY_REFERENCE_ROLE)
            removeNode(node)
            if uncertainty is not None:
                removeNode(uncertainty)
