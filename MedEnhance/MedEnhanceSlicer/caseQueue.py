"""A queue: the same steps on several volumes, one after another; what fails does not stop the rest.

The cases and how far they are live in the module's parameter node, so that they survive saving the
scene and can be resumed: statuses as JSON, volumes and results as node references.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import slicer
from slicer.i18n import tr as _

from MedEnhanceLib.errors import MedEnhanceError, OptionsError, VolumeError

from .bridge import checkNode
from .chain import Chain
from .recipe import runSteps, stepsOf
from .region import checkRegion
from .run import CANCELLED, DONE, FAILED, RUNNING

WAITING = "waiting"
PARAMETER = "queue"
CASE_ROLE = "MedEnhance.Case"
RESULT_ROLE = "MedEnhance.CaseResult"
REGION_ROLE = "MedEnhance.QueueRegion"


@dataclass
class Case:
    """One volume of a queue.

    Attributes:
        name: the volume's name.
        status: WAITING, RUNNING, DONE, FAILED or CANCELLED.
        message: why it failed, or the warnings of its result.
    """

    name: str
    status: str = WAITING
    message: str = ""


class QueueState:
    """The cases of a queue and what is done with them, kept in a node of the scene.

    :param node: vtkMRMLScriptedModuleNode, the module's parameter node.

    Attributes:
        cases: list of Case.
        steps: list of Step, see `recipe`.
        keep: whether the results of steps before the last are kept.
        isRegional: whether it works on a region only.
    """

    def __init__(self, node):
        self._node = node
        self._text = node.GetParameter(PARAMETER)
        self.cases, self.steps, self.keep, self.isRegional = [], [], False, False
        try:
            self._read(json.loads(self._text or "{}"))
        except (ValueError, TypeError, KeyError, AttributeError, MedEnhanceError):
            # Written by another version of MedEnhance: there is nothing to resume.
            self.cases, self.steps = [], []
        self._readNodes()

    def begin(self, volumes, steps, keep=False, region=None):
        """Replace the queue by a new one, in which all cases wait.

        Whether a volume can be worked on is told when its turn comes.

        :raises MedEnhanceError: when there are no volumes, or steps or region make no sense; the
            queue is as before then.
        """
        steps, volumes = stepsOf(steps), nodesOf(volumes)
        if not volumes:
            raise OptionsError("No volume is chosen for the queue; tick at least one.")
        if region is not None:
            checkRegion(region)
        for index in range(len(self.cases)):
            self._refer(CASE_ROLE, index, None)
            self._refer(RESULT_ROLE, index, None)
        self.cases = [Case(volume.GetName()) for volume in volumes]
        self.steps, self.keep, self.isRegional = steps, keep, region is not None
        for index, volume in enumerate(volumes):
            self._refer(CASE_ROLE, index, volume)
        self._refer(REGION_ROLE, "", region)
        self._readNodes()
        self._write()

    def set(self, index, status, message="", result=None):
        """Note how far a case is; not in the scene when that has another queue by now."""
        case = self.cases[index]
        case.status, case.message = status, message
        self._nodes[f"{RESULT_ROLE}{index}"] = result
        if self._node.GetParameter(PARAMETER) == self._text:
            self._refer(RESULT_ROLE, index, result)
            self._write()

    def volume(self, index):
        """The volume of a case, or None when it was removed from the scene."""
        return self._present(f"{CASE_ROLE}{index}")

    def result(self, index):
        """The result of a case, or None while there is none."""
        return self._present(f"{RESULT_ROLE}{index}")

    @property
    def region(self):
        """Where the volumes are worked on; None for everywhere.

        :raises VolumeError: when it was removed from the scene.
        """
        region = self._present(REGION_ROLE)
        if region is None and self.isRegional:
            raise VolumeError(
                _("The region of the queue was removed from the scene; start a new queue.")
            )
        return region

    @property
    def open(self):
        """Indices of the cases that are not done and whose volume is there."""
        return [index for index in self._notDone() if self.volume(index) is not None]

    @property
    def gone(self):
        """Indices of the cases that are not done and whose volume was removed from the scene."""
        return [index for index in self._notDone() if self.volume(index) is None]

    def indexOf(self, volume):
        """The case of a volume node, or None."""
        indices = range(len(self.cases))
        return next((index for index in indices if self.volume(index) is volume), None)

    def _notDone(self):
        return [index for index, case in enumerate(self.cases) if case.status != DONE]

    def _read(self, data):
        self.cases = [Case(**case) for case in data.get("cases", ())]
        self.steps = stepsOf(data["steps"]) if self.cases else []
        self.keep = bool(data.get("keep"))
        self.isRegional = bool(data.get("isRegional"))
        for case in self.cases:
            # A run that went on did not outlive the scene it was saved with.
            case.status = case.status if case.status in (DONE, FAILED, CANCELLED) else WAITING

    def _write(self):
        data = {
            "cases": [vars(case) for case in self.cases],
            "steps": [step.toJson() for step in self.steps],
            "keep": self.keep,
            "isRegional": self.isRegional,
        }
        self._text = json.dumps(data)
        self._node.SetParameter(PARAMETER, self._text)

    def _readNodes(self):
        """Hold the nodes: a scene that is imported while the queue runs replaces the references."""
        indices = range(len(self.cases))
        numbered = [f"{role}{index}" for role in (CASE_ROLE, RESULT_ROLE) for index in indices]
        self._nodes = {r: self._node.GetNodeReference(r) for r in (REGION_ROLE, *numbered)}

    def _present(self, role):
        node = self._nodes.get(role)
        return node if node is not None and slicer.mrmlScene.IsNodePresent(node) else None

    def _refer(self, role, index, node):
        self._node.SetNodeReferenceID(f"{role}{index}", node.GetID() if node is not None else None)


def nodesOf(volumes):
    """The nodes of a queue as a list; of a single node, too.

    :raises VolumeError: when something else is among them.
    """
    isList = isinstance(volumes, Iterable) and not isinstance(volumes, str)
    nodes = list(volumes) if isList else [volumes]
    for node in nodes:
        checkNode(node, "volume")
    return nodes


class QueueChain(Chain):
    """Runs the cases of a queue that are open; in the end `node` is the QueueState.

    :param logic: MedEnhanceLogic.
    :param queue: QueueState.
    :raises OptionsError: when nothing is left to be done.
    """

    def __init__(self, logic, queue, onEvent=None):
        self.logic = logic
        self.queue = queue
        self.todo = queue.open
        if not self.todo:
            raise OptionsError("Nothing is left to be done in the queue; tick volumes, run them.")
        super().__init__(logic.runner, len(self.todo) * len(queue.steps), _("the queue"), onEvent)

    def story(self):
        queue = self.queue
        for index in self.todo:
            queue.set(index, WAITING)
        for position, index in enumerate(self.todo):
            self.partsDone = position * len(queue.steps)
            told = len(self.warnings)
            queue.set(index, RUNNING)
            try:
                node = yield from self._case(position, index)
            except MedEnhanceError as error:
                if self.cancelling:
                    queue.set(index, CANCELLED, str(error))
                    raise
                queue.set(index, FAILED, str(error))
            else:
                queue.set(index, DONE, " ".join(self.warnings[told:]), node)
        return queue

    def summary(self):
        cases, gone = self.queue.cases, len(self.queue.gone)
        done = [case.status for case in cases].count(DONE)
        failed = [cases[index].status for index in self.queue.open].count(FAILED)
        text = _("Queue: {done} done").format(done=done)
        if gone:
            # Their rows are gone with them.
            text += _(", {gone} removed from the scene").format(gone=gone)
        if failed:
            text += _(", {failed} failed; the list tells why").format(failed=failed)
        return text + ".", "warning" if gone or failed else "good"

    def _case(self, position, index):
        volume = self.queue.volume(index)
        if volume is None:
            raise VolumeError(_("The volume was removed from the scene."))
        # Without its name, which may be a patient's: this text goes into logs.
        where = _("Case {number} of {count}").format(number=position + 1, count=len(self.todo))
        queue = self.queue
        return (yield from runSteps(self, volume, queue.steps, queue.keep, queue.region, where))
