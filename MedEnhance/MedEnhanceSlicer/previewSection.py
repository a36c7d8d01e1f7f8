"""The part of the panel that shows what a model would make of the slice in view."""

import logging

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from MedEnhanceLib.errors import CancelledError, MedEnhanceError

from . import dependencies, wording
from .choosingSection import takeTyped
from .parameters import optionsFromParameters
from .preview import Layers, PreviewJob, shownSlice
from .run import DONE

SETTLE_MS = 300
"""The view must rest this long before the preview follows it."""


class PreviewSection:
    """Previews on request, and on further slices when asked.

    :param ui: child widgets by name, see slicer.util.childWidgetVariables.
    :param logic: MedEnhanceLogic.
    :param chosenModel: called for the model that would run, with whether the user may be asked for
        trust in it; raises MedEnhanceError.
    """

    def __init__(self, ui, logic, chosenModel):
        self.ui = ui
        self.logic = logic
        self.job = None
        self._chosenModel = chosenModel
        self._parameters = None
        self._layers = Layers()
        self._isShown = False
        self._isStale = False
        self._afterwards = None
        self._volume = None
        self._observed = []
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(SETTLE_MS)
        self._timer.connect("timeout()", self.onRest)
        ui.previewLabel.visible = False
        ui.previewButton.connect("clicked(bool)", self.onPreview)
        ui.hidePreviewButton.connect("clicked(bool)", self.hide)

    def setParameters(self, parameters):
        """Follow another parameter node, or none while the scene is closed or the panel hidden."""
        if parameters is None:
            self.hide()
        self._parameters = parameters

    def onPreview(self, checked=None):
        """Begin a preview of the slice in view, as was asked for."""
        self._begin(mayAsk=True)

    def _begin(self, mayAsk):
        """Begin a preview; what speaks against it is said."""
        takeTyped(self.ui)
        self._isStale = False
        try:
            self._start(mayAsk)
        except MedEnhanceError as error:
            self._say(str(error), "warning")
        except Exception as error:
            logging.exception("MedEnhance: the preview could not start")
            told = _("No preview ({reason}); see the error log.").format(reason=error)
            self._say(told, "refused")
        self.update()

    def hide(self, checked=None):
        """Take the preview away, and stop one that is being made."""
        self._timer.stop()
        self._watch(None)
        self.stop()
        if self._isShown:
            self._layers.restore()
        self._isShown = False
        self._say("", None)
        self.update()

    def stop(self):
        """Stop a preview that is being made; one that is shown stays."""
        if self.job is not None:
            self.job.cancel()

    def hideThen(self, action):
        """Take the preview away, and do something as soon as the inference process is free."""
        self.hide()
        if self.job is None:
            action()
        else:
            self._afterwards = action

    def forgetWaiting(self):
        """Drop what was to be done after the preview; whether there was something."""
        waited, self._afterwards = self._afterwards is not None, None
        return waited

    def update(self):
        """What can be clicked now."""
        isReady = self._parameters is not None and self._parameters.inputVolume is not None
        # Not by whether another run is at work: nothing would tell when that has ended.
        self.ui.previewButton.enabled = isReady and self.job is None
        self.ui.hidePreviewButton.enabled = self._isShown or self.job is not None

    def settingsChanged(self):
        """The preview that is shown is that of other settings; follow if asked."""
        if self._isShown and self._parameters is not None and self._parameters.previewFollow:
            self._timer.start()

    def onRest(self):
        """The view has come to rest on another slice, or a setting has another value."""
        if self._parameters is None or not self._isShown or not self._parameters.previewFollow:
            return
        if self.logic.runner.busy:
            self._isStale = True
            return
        self._begin(mayAsk=False)

    def _start(self, mayAsk):
        parameters = self._parameters
        view = shownSlice()
        model = self._chosenModel(mayAsk)
        dependencies.checkFor(model)
        job = PreviewJob(
            parameters.inputVolume,
            parameters.task.task,
            model,
            optionsFromParameters(parameters),
            view,
            onEvent=self.onJobEvent,
            region=parameters.region,
        )
        if not self._isShown:
            # Anew each time: the user may have shown something else since a preview that failed.
            self._layers.remember(parameters.inputVolume)
        self.logic.runner.start(job)
        self.job = job
        self._watch(view, parameters.inputVolume)
        self._say(_("Looking..."), None)

    def onJobEvent(self, job):
        """News of the preview."""
        if not job.finished:
            return
        self.job = None
        if job.state == DONE:
            self._isShown = True
            self._say(self._doneText(job), "good")
        elif isinstance(job.error, CancelledError):
            self._say("", None)
        else:
            self._say(str(job.error), "refused")
        self.update()
        afterwards, self._afterwards = self._afterwards, None
        if afterwards is not None:
            afterwards()
        elif self._isStale and self._isShown:
            self._isStale = False
            self._timer.start()

    def _doneText(self, job):
        """Which slice, counted from 0 as in Slicer's Data Probe and the lists of the results."""
        parameters = self._parameters
        isGuided = parameters is not None and parameters.guideVolume is not None
        if isGuided and job.model.takes_guide:
            text = _("Preview of slice {number}, without the guide, which Apply uses.")
        else:
            text = _("Preview of slice {number}.")
        return text.format(number=job.index)

    def _watch(self, view, volume=None):
        """Hear when another slice is shown, and when the volume is removed."""
        for observed, tag in self._observed:
            observed.RemoveObserver(tag)
        self._volume, self._observed = volume, []
        if view is not None:
            scene = slicer.mrmlScene
            self._observed = [
                (view, view.AddObserver(vtk.vtkCommand.ModifiedEvent, self.onViewMoved)),
                (scene, scene.AddObserver(scene.NodeRemovedEvent, self.onNodeRemoved)),
            ]

    def onNodeRemoved(self, caller, event):
        """A preview goes with its volume."""
        if not caller.IsNodePresent(self._volume):
            self.hide()

    def onViewMoved(self, caller=None, event=None):
        if self._parameters is not None and self._parameters.previewFollow:
            self._timer.start()

    def _say(self, text, verdict):
        label = self.ui.previewLabel
        label.text = text
        label.visible = bool(text)
        label.styleSheet = wording.bannerStyle(verdict) if verdict else ""
