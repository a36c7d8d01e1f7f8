"""The list of models of a task, and which of them suits the chosen volume."""

import logging

import qt
from slicer.i18n import tr as _

from MedEnhanceLib.assessment import Suitability, suitability
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.errors import MedEnhanceError, TrustError, UnsuitableError, VolumeError
from MedEnhanceLib.volume import Volume

from .parameters import AUTOMATIC_MODEL
from .region import volumeInRegion
from .wording import tip


class ModelList:
    """Keeps a list filled with the models of a task that match what is searched for.

    :param listWidget: QListWidget; the id of each model is its entry's user data.
    :param searchEdit: QLineEdit.
    """

    def __init__(self, listWidget, searchEdit):
        self._list = listWidget
        self._search = searchEdit
        self._shown = None
        searchEdit.connect("textChanged(QString)", self.search)

    @property
    def selected(self):
        """Id of the chosen model, or "auto"."""
        item = self._list.currentItem()
        return item.data(qt.Qt.UserRole) if item is not None else AUTOMATIC_MODEL

    def show(self, models, modelId, best):
        """List the models, with the best one named first, and choose one."""
        entries = [(self._automaticText(best), AUTOMATIC_MODEL, "")]
        entries += [(self._text(model), model.id, searchedText(model)) for model in models]
        wasBlocked = self._list.blockSignals(True)
        if entries != self._shown:
            self._fill(entries)
        ids = [entry[1] for entry in entries]
        self._list.currentRow = ids.index(modelId) if modelId in ids else 0
        self.search()
        self._list.blockSignals(wasBlocked)

    def search(self, text=None):
        """Hide the models that do not hold every word of the search; never the chosen one."""
        words = self._search.text.lower().split()
        for row, (_text, _identity, searched) in enumerate(self._shown or ()):
            isHit = row == 0 or all(word in searched for word in words)
            isChosen = row == self._list.currentRow
            self._list.item(row).setHidden(not (isHit or isChosen))

    def _fill(self, entries):
        self._shown = entries
        self._list.clear()
        for row, (text, identity, _searched) in enumerate(entries):
            self._list.addItem(text)
            item = self._list.item(row)
            item.setData(qt.Qt.UserRole, identity)
            item.setToolTip(tip(text))

    @staticmethod
    def _text(model):
        pattern = "{title}" if model.is_trained else _("{title} (filter)")
        return pattern.format(title=model.title)

    @staticmethod
    def _automaticText(best):
        return _("Best fit: {model}").format(model=best.title) if best else _("Best fit")


def searchedText(model):
    """What a search looks through."""
    facts = (model.title, model.id, model.method, model.modality, model.body_part)
    contrasts = " ".join(model.contrasts)
    labels = " ".join(label.name for label in model.labels)
    return " ".join((*facts, contrasts, labels, model.description)).lower()


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
                if isinstance(self.model, Bundle):
                    self.model.require_trust()
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
    def needsTrust(self):
        """Whether nothing but the user's trust is missing."""
        return isinstance(self.error, TrustError)

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
