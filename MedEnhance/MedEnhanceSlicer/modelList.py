"""The list of models of a task, and which of them suits the chosen volume."""

import logging

from slicer.i18n import tr as _

from MedEnhanceLib.assessment import Suitability, suitability
from MedEnhanceLib.errors import MedEnhanceError, UnsuitableError, VolumeError
from MedEnhanceLib.volume import Volume

from .parameters import AUTOMATIC_MODEL
from .region import volumeInRegion


class ModelList:
    """Keeps a combo box filled with the models of a task.

    :param comboBox: QComboBox; the id of each model is its entry's data.
    :param catalog: MedEnhanceLib Catalog.
    """

    def __init__(self, comboBox, catalog):
        self._comboBox = comboBox
        self._catalog = catalog
        self._shown = None

    @property
    def selected(self):
        """Id of the chosen model, or "auto"."""
        return self._comboBox.currentData or AUTOMATIC_MODEL

    def show(self, task, modelId, best):
        """List the models of the task, with the best one named, and choose one."""
        entries = [(self._automaticText(best), AUTOMATIC_MODEL)]
        entries += [(model.title, model.id) for model in self._catalog.models(task)]
        wasBlocked = self._comboBox.blockSignals(True)
        if entries != self._shown:
            self._comboBox.clear()
            for text, identity in entries:
                self._comboBox.addItem(text, identity)
            self._shown = entries
        ids = [identity for _text, identity in entries]
        self._comboBox.currentIndex = ids.index(modelId) if modelId in ids else 0
        self._comboBox.blockSignals(wasBlocked)

    @staticmethod
    def _automaticText(best):
        return _("Automatic: {model}").format(model=best.title) if best else _("Automatic")


class Choice:
    """The model that would run on a node, or on a Volume of the library, and whether it suits.

    Attributes:
        model: MedEnhanceLib Model, or None when no model can be taken.
        best: the model that "auto" stands for, or None.
        error: why no model can be taken, or None.
        suitability: verdict and reasons.
    """

    def __init__(self, catalog, node, task, modelId, guided=False, region=None):
        self.model = None
        self.best = None
        self.error = None
        try:
            volume = node if isinstance(node, Volume) else volumeInRegion(node, region)
            self.best, refusal = self._best(catalog, task, volume, guided)
            if modelId == AUTOMATIC_MODEL:
                self.model = self.best
                if refusal is not None:
                    raise refusal
            else:
                self.model = self._named(catalog, task, modelId)
            self.suitability = suitability(volume, self.model)
        except MedEnhanceError as error:
            self._refuse(error)
        except Exception as error:
            logging.exception("MedEnhance: a volume could not be examined")
            self._refuse(
                VolumeError(
                    f"The volume could not be examined ({error}); see the error log, or choose "
                    "another."
                )
            )

    def _refuse(self, error):
        self.error = error
        self.suitability = Suitability("refused", (str(error),))

    @staticmethod
    def _named(catalog, task, modelId):
        model = catalog.find(modelId)
        if model.task is not task:
            raise UnsuitableError(
                f"The model '{model.title}' is for {model.task}, not for {task}; choose another."
            )
        return model

    @staticmethod
    def _best(catalog, task, volume, guided):
        try:
            return catalog.best(task, volume, guided), None
        except MedEnhanceError as error:
            return None, error

    @property
    def mayRun(self):
        return self.model is not None and self.suitability.verdict != "refused"

    def require(self):
        """The model; raises what speaks against running it."""
        if self.error is not None:
            raise self.error
        if not self.mayRun:
            raise UnsuitableError(" ".join(self.suitability.reasons))
        return self.model
