"""MedEnhance: denoise, super-resolve and segment medical volumes in 3D Slicer.

From Slicer's Python console:

    import MedEnhance
    logic = MedEnhance.MedEnhanceLogic()
    node = logic.process(getNode("Head"), "denoise")
    job = logic.process(getNode("Head"), "segment", wait=False, onEvent=print)
    labels = job.wait()
    part = logic.process(getNode("Head"), "denoise", region=getNode("R"))
    queue = logic.queue([getNode("Head"), getNode("Neck")], "denoise")

`processSequence`, `runRecipe` and `queue` are explained in `MedEnhanceSlicer.moreThanOne`.
"""

import logging
from types import SimpleNamespace

import slicer
import vtk
from MedEnhanceSlicer import comparison, dependencies, jobs, modelFolders, remembered, sampleData
from MedEnhanceSlicer.modelList import Choice
from MedEnhanceSlicer.moreThanOne import MoreThanOne
from MedEnhanceSlicer.nodes import isOwn
from MedEnhanceSlicer.outputs import checkOutputNode
from MedEnhanceSlicer.panel import Panel
from MedEnhanceSlicer.parameterNode import parametersOf
from MedEnhanceSlicer.parameters import AUTOMATIC_MODEL, optionsOf
from MedEnhanceSlicer.preview import PreviewJob, shownSlice
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import SlicerParameterNamePropertyName
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from MedEnhanceLib.task import Task

UI_FILES = ("MedEnhance", "MedEnhanceResults", "MedEnhanceBatch", "MedEnhanceSetup")


class MedEnhance(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "MedEnhance"
        parent.categories = ["Filtering", "Segmentation"]
        parent.dependencies = []
        parent.contributors = ["The MedEnhance contributors"]
        parent.helpText = _(
            "Denoise, super-resolve and segment medical volumes with trained networks, and "
            "measure what was changed. Choose a volume and a task, and press Apply. The input is "
            "never changed. Research use only; not for diagnosis. Needs Slicer 5.10 or newer. "
            '<a href="https://github.com/MedEnhance/SlicerMedEnhance">Documentation</a>'
        )
        parent.acknowledgementText = _(
            "Networks are built with PyTorch and MONAI; the manner of the panel owes much to "
            "SlicerNNUnet, TotalSegmentator and TorchIO."
        )
        slicer.app.connect("startupCompleted()", sampleData.register)
        slicer.app.connect("startupCompleted()", comparison.registerLayout)


class MedEnhanceWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The module's panel: its life in Slicer. What it shows and does is in `Panel`."""

    def __init__(self, parent=None):
        self.logic = None
        self.panel = None
        self._parameterNode = None
        self._guiTag = None
        VTKObservationMixin.__init__(self)
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.ui = self.loadSections()
        self.logic = self.createLogic()
        self.panel = Panel(self.ui, self.logic)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.StartImportEvent, self.onSceneStartImport)
        # Later than the lists of nodes, which are empty until they hear of it.
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndImport, priority=-1.0)
        self.addObserver(scene, scene.NodeAddedEvent, self.onNodeAdded)
        leaving = scene.NodeAboutToBeRemovedEvent
        self.addObserver(scene, leaving, self.onNodeAboutToBeRemoved, priority=1.0)
        self.initializeParameterNode()

    def loadSections(self):
        """Put the parts of the panel below each other; all their widgets by name."""
        widgets = SimpleNamespace()
        for name in UI_FILES:
            uiWidget = slicer.util.loadUI(self.resourcePath(f"UI/{name}.ui"))
            self.layout.addWidget(uiWidget)
            vars(widgets).update(vars(slicer.util.childWidgetVariables(uiWidget)))
            uiWidget.setMRMLScene(slicer.mrmlScene)
        self.layout.addStretch(1)
        return widgets

    def createLogic(self):
        return MedEnhanceLogic()

    def cleanup(self):
        self.setParameterNode(None)
        self.removeObservers()
        self.panel.close()
        # Another panel or a script may be at work on the process that all share.
        if self.panel.isAtWork or not self.logic.runner.busy:
            self.logic.close()

    def enter(self):
        self.initializeParameterNode()

    def exit(self):
        self.setParameterNode(None)

    def onSceneStartClose(self, caller, event):
        self.setParameterNode(None)
        self.panel.forgetScene()

    def onSceneEndClose(self, caller, event):
        self.logic.sceneWasClosed()
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneStartImport(self, caller, event):
        """The lists of nodes are emptied and filled anew, which is no choice of the user."""
        self.disconnectGui()
        self.panel.setImporting(True)

    def onSceneEndImport(self, caller, event):
        """All nodes of a scene are complete now, its settings and volumes among them."""
        self.panel.setImporting(False)
        if self._parameterNode is not None:
            self.initializeParameterNode()

    def onNodeAdded(self, caller, event):
        """Select the first volume that is loaded while the panel is open."""
        if self._parameterNode is not None and not caller.IsImporting():
            self.selectFirstVolume()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, caller, event, node):
        """Let go of a node before the lists do, which would choose its neighbour instead."""
        parameters = self._parameterNode
        if parameters is not None:
            for name in parameters.allParameters:
                if getattr(parameters, name) is node:
                    setattr(parameters, name, None)

    def initializeParameterNode(self):
        self.setParameterNode(self.logic.getParameterNode())
        self.selectFirstVolume()

    def selectFirstVolume(self):
        if self._parameterNode.inputVolume is None:
            first = firstVolume()
            if first is not None:
                self._parameterNode.inputVolume = first

    def setParameterNode(self, parameterNode):
        """Connect the panel to a parameter node, or to none."""
        modified = vtk.vtkCommand.ModifiedEvent
        self.disconnectGui()
        if self._parameterNode is not None:
            self.removeObserver(self._parameterNode, modified, self.onParametersModified)
        self._parameterNode = parameterNode
        if parameterNode is not None:
            # Not connectGui, which gives no tag to disconnect by in some versions of Slicer.
            self._guiTag = parameterNode.connectParametersToGui(self.boundWidgets())
            self.addObserver(parameterNode, modified, self.onParametersModified)
        self.panel.setParameters(parameterNode)

    def disconnectGui(self):
        """Take nothing that the widgets show for a setting any more."""
        if self._guiTag is not None:
            self._parameterNode.disconnectGui(self._guiTag)
            self._guiTag = None

    def boundWidgets(self):
        """The widgets that a setting is bound to, by its name."""
        widgets = vars(self.ui).values()
        bound = ((w.property(SlicerParameterNamePropertyName), w) for w in widgets)
        return {name: widget for name, widget in bound if name}

    def onParametersModified(self, caller=None, event=None):
        # While a scene is loaded, settings may be there before the volume they are meant for.
        if not slicer.mrmlScene.IsImporting():
            self.panel.update()

    def onReload(self):
        """Forget the helper packages too, so that all code is read again."""
        # Also while a script is at work: the code that is read now would not know of its process.
        self.logic.close()
        forgetHelpers()
        super().onReload()


class MedEnhanceLogic(MoreThanOne, ScriptedLoadableModuleLogic):
    """Runs models on volume nodes, from the panel and from Python.

    :param runner: a JobRunner; by default the one shared by this Slicer.
    :param catalog: a MedEnhanceLib Catalog; by default the shipped and the user's models.
    """

    def __init__(self, runner=None, catalog=None):
        ScriptedLoadableModuleLogic.__init__(self)
        self.runner = runner or jobs.sharedRunner()
        self._catalog = catalog

    @property
    def catalog(self):
        if self._catalog is None:
            self._catalog = modelFolders.readCatalog()
        return self._catalog

    def forgetModels(self):
        """Look for models anew when they are needed next."""
        self._catalog = None

    def trust(self, model):
        """Let a model run code of its own, now and in later sessions."""
        modelFolders.trust(model)
        self.forgetModels()

    def getParameterNode(self):
        """The settings of this scene; a new one starts with the choices of the last run."""
        node = super().getParameterNode()
        # A new wrapper gives the node all that it lacks, so this must be asked before.
        isNew = not node.HasParameter("task") or node.HasParameter(remembered.EMPTIED)
        parameters = parametersOf(node)
        if isNew:
            node.UnsetParameter(remembered.EMPTIED)
            remembered.recall(parameters)
        return parameters

    def sceneWasClosed(self):
        """The settings of the next scene start with the choices of the last run."""
        super().getParameterNode().SetParameter(remembered.EMPTIED, "true")

    def choose(self, inputVolume, task, model=AUTOMATIC_MODEL, guided=False, region=None):
        """The model that would run, and whether it suits the volume; see `Choice`.

        :param guided: whether a guide is given along.
        :param region: ROI node of the part that is to be worked on, or None for the whole volume.
        """
        return Choice(self.catalog, inputVolume, Task.named(str(task)), model, guided, region)

    def process(
        self,
        inputVolume,
        task,
        model=AUTOMATIC_MODEL,
        options=None,
        wait=True,
        outputName=None,
        onEvent=None,
        outputNode=None,
        guideVolume=None,
        region=None,
    ):
        """Run a model on a volume.

        :param inputVolume: vtkMRMLScalarVolumeNode; it is not changed.
        :param task: "denoise", "super-resolution" or "segment".
        :param model: id from the list of models, or "auto" for the one that suits best.
        :param options: the library's options, or a dictionary of them, e.g. ``{"strength": 0.7}``.
        :param wait: return the result's node when it is there (Slicer stays responsive), rather
            than a `Job` at once.
        :param outputName: name of the new node.
        :param onEvent: called with the `Job` at every progress and at its end.
        :param outputNode: node to fill instead of making a new one.
        :param guideVolume: for denoising, a volume node with another contrast of the same patient,
            registered to the input; its parent transform is taken into account.
        :param region: vtkMRMLMarkupsROINode: work only on the smallest box of voxels that holds it.
            Nothing is resampled; the result covers that box, and noise is judged inside it.
        :return: the new node, or the `Job`.
        :raises MedEnhanceError: says in one sentence what is wrong and what to do.
        """
        job = self.newJob(
            inputVolume, task, model, options, outputName, onEvent, outputNode, guideVolume, region
        )
        self.runner.start(job)
        return job.wait() if wait else job

    def newJob(
        self,
        inputVolume,
        task,
        model=AUTOMATIC_MODEL,
        options=None,
        outputName=None,
        onEvent=None,
        outputNode=None,
        guideVolume=None,
        region=None,
    ):
        """The job that `process` starts with the same arguments, checked but not started."""
        task = Task.named(str(task))
        options = optionsOf(task, options)
        chosen = self.choose(inputVolume, task, model, guideVolume is not None, region).require()
        dependencies.checkFor(chosen)
        checkOutputNode(outputNode, inputVolume, task, guideVolume)
        return jobs.Job(
            inputVolume,
            task,
            chosen,
            options,
            outputName,
            outputNode,
            onEvent,
            guideVolume,
            region,
        )

    def preview(
        self,
        inputVolume,
        task,
        model=AUTOMATIC_MODEL,
        options=None,
        sliceNode=None,
        wait=True,
        onEvent=None,
        region=None,
    ):
        """Lay what a model makes of one slice over the slice views; nothing is saved.

        :param sliceNode: vtkMRMLSliceNode whose plane is looked at; by default the red one.
        :param region: as for `process`; noise is judged inside it, while the whole slice is shown.
        :param others: as for `process`.
        :return: the preview's hidden node, or the `Job`. Take it off the views again with
            ``slicer.mrmlScene.RemoveNode(node)``.
        :raises MedEnhanceError: when there is no slice view, it shows nothing of the volume, or the
            model needs to see all of it.
        """
        task = Task.named(str(task))
        chosen = self.choose(inputVolume, task, model, region=region).require()
        dependencies.checkFor(chosen)
        options = optionsOf(task, options)
        view = sliceNode or shownSlice()
        job = PreviewJob(inputVolume, task, chosen, options, view, onEvent, region)
        self.runner.start(job)
        return job.wait() if wait else job

    def close(self):
        """End the inference process and give back its memory; the next run starts another."""
        self.runner.close()


class MedEnhanceTest(ScriptedLoadableModuleTest):
    """Runs the shipped models on the shipped samples, in this Slicer."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        from MedEnhanceSlicer import selfTest

        checks, left = selfTest.checksHere()
        for check in left:
            self.delayDisplay(f"Left out, since PyTorch or MONAI is missing: {check.__doc__}")
        for check in checks:
            self.setUp()
            self.delayDisplay(check.__doc__)
            check(self, MedEnhanceLogic())
        MedEnhanceLogic().close()
        self.delayDisplay("MedEnhance self test passed")


def firstVolume():
    """The first plain scalar volume of the scene that is not hidden and not made here, or None."""
    scene = slicer.mrmlScene
    for i in range(scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")):
        node = scene.GetNthNodeByClass(i, "vtkMRMLScalarVolumeNode")
        isPlain = node.GetClassName() == "vtkMRMLScalarVolumeNode" and not isOwn(node)
        if isPlain and not node.GetHideFromEditors() and node.GetImageData() is not None:
            return node
    return None


def forgetHelpers():
    """Drop MedEnhance's packages from Python's memory."""
    import sys

    for name in list(sys.modules):
        if name.split(".")[0] in ("MedEnhanceSlicer", "MedEnhanceLib"):
            del sys.modules[name]
    logging.debug("MedEnhance: helper packages will be read again")
