"""What the logic offers for more than one run: sequences, recipes and queues."""

from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.task import Task

from .caseQueue import QueueChain, QueueState
from .parameters import AUTOMATIC_MODEL, optionsOf
from .recipe import RecipeChain, Step
from .sequences import SequenceChain


class MoreThanOne:
    """Methods of MedEnhanceLogic; all of them also work without a main window."""

    def processSequence(
        self,
        sequence,
        task,
        model=AUTOMATIC_MODEL,
        options=None,
        region=None,
        wait=True,
        outputName=None,
        onEvent=None,
        guideVolume=None,
    ):
        """Run a model on every frame of a volume sequence (4D).

        .. code-block:: python

            logic = MedEnhance.MedEnhanceLogic()
            result = logic.processSequence(getNode("CTPCardioSeq"), "denoise")
            print(result.GetNumberOfDataNodes(), result.GetNthIndexValue(0))

        All frames take the model that suits the first. Each frame's noise is estimated anew; give
        ``options={"noise": 12}`` to treat all alike. When a frame fails, or on cancelling, the
        scene stays as it was. A map of uncertainty is not made for frames.

        :param sequence: vtkMRMLSequenceNode, or a vtkMRMLSequenceBrowserNode (its master sequence).
        :param others: as for `process`.
        :return: a new vtkMRMLSequenceNode with the same index values, played by the same browser;
            without `wait`, the `Chain` that works on it.
        :raises MedEnhanceError: says in one sentence what is wrong and what to do.
        """
        task = Task.named(str(task))
        options = optionsOf(task, options)
        chain = SequenceChain(
            self, sequence, task, model, options, region, outputName, onEvent, guideVolume
        )
        return self._run(chain, wait)

    def runRecipe(
        self,
        inputVolume,
        steps,
        keepIntermediate=False,
        region=None,
        wait=True,
        outputName=None,
        onEvent=None,
        guideVolume=None,
    ):
        """Run several steps on a volume, each on what the one before has made.

        .. code-block:: python

            steps = [
                {"task": "denoise", "options": {"strength": 0.8}},
                {"task": "super-resolution", "options": {"factor": [1, 1, 2]}},
                {"task": "segment", "model": "filter-otsu"},
            ]
            segmentation = MedEnhance.MedEnhanceLogic().runRecipe(getNode("Head"), steps)

        :param steps: dictionaries with "task" and perhaps "model" and "options", or their JSON
            text; a segmentation can only be last.
        :param keepIntermediate: keep the results of all steps, rather than only the last volume
            and the segmentation.
        :param region: ROI node; the first step cuts it out, the others go on with what came out.
        :param guideVolume: as for `process`, for the steps that denoise.
        :param others: as for `process`.
        :return: the last step's node; without `wait`, the `Chain` that works on it.
        :raises MedEnhanceError: names the step that failed; nothing of the others is left then.
        """
        chain = RecipeChain(
            self, inputVolume, steps, keepIntermediate, region, outputName, onEvent, guideVolume
        )
        return self._run(chain, wait)

    def queue(
        self,
        volumes,
        task=None,
        model=AUTOMATIC_MODEL,
        options=None,
        steps=None,
        keepIntermediate=False,
        region=None,
        wait=True,
        onEvent=None,
    ):
        """Run the same on several volumes, one after another; a failure does not stop the rest.

        .. code-block:: python

            volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
            volumes = [node for node in volumes if not node.IsA("vtkMRMLLabelMapVolumeNode")]
            queue = MedEnhance.MedEnhanceLogic().queue(volumes, "denoise", model="filter-median")
            for index, case in enumerate(queue.cases):
                print(case.name, case.status, case.message, queue.result(index))

        The queue is kept in the scene's parameter node: `resumeQueue` goes on with what is not
        done, also after the scene was saved and loaded. It takes no guide, which is of one patient.

        :param volumes: list of vtkMRMLScalarVolumeNode, or a single one.
        :param task, model, options: as for `process`; or
        :param steps: a recipe, as for `runRecipe`.
        :return: `QueueState`; without `wait`, the `Chain` that works on it.
        :raises MedEnhanceError: when the queue cannot begin, or was cancelled. What went wrong
            with a case is only written down.
        """
        if (task is None) == (steps is None):
            raise OptionsError("A queue needs either a task or steps; give one of them.")
        if steps is None:
            data = optionsOf(Task.named(str(task)), options).to_json()
            steps = [Step.of({"task": str(task), "model": model, "options": data})]
        self.runner.checkFree()
        self._queueState().begin(volumes, steps, keepIntermediate, region)
        return self.resumeQueue(wait, onEvent)

    def resumeQueue(self, wait=True, onEvent=None):
        """Go on with what is not done in the scene's queue: waiting, cancelled or failed cases.

        .. code-block:: python

            slicer.util.loadScene("unfinished.mrb")
            MedEnhance.MedEnhanceLogic().resumeQueue()

        :return: as for `queue`.
        """
        return self._run(QueueChain(self, self._queueState(), onEvent), wait)

    def _queueState(self):
        return QueueState(self.getParameterNode().parameterNode)

    def _run(self, chain, wait):
        chain.start()
        return chain.wait() if wait else chain
