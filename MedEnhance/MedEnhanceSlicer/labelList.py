"""The structures of a segmentation model, to be ticked."""

import qt

from .parameters import labelsFromText, labelsToText


class LabelList:
    """Keeps a list widget equal to a model's labels and the user's choice of them.

    :param listWidget: QListWidget.
    """

    def __init__(self, listWidget):
        self._list = listWidget
        self._labels = ()

    def show(self, labels, chosenText):
        """Show the labels, ticking the chosen ones.

        :param labels: MedEnhanceLib Labels.
        :param chosenText: values as text ("1,2"), "" for all but unions.
        """
        chosen = labelsFromText(chosenText)
        wasBlocked = self._list.blockSignals(True)
        if labels != self._labels:
            self._labels = labels
            self._list.clear()
            for label in labels:
                self._list.addItem(label.name)
        for row, label in enumerate(labels):
            ticked = label.value in chosen if chosen is not None else not label.union
            self._list.item(row).setCheckState(qt.Qt.Checked if ticked else qt.Qt.Unchecked)
        self._list.blockSignals(wasBlocked)

    @property
    def chosenText(self):
        """The ticked values as text; "" when all but unions are ticked, or none."""
        ticked = [
            label.value
            for row, label in enumerate(self._labels)
            if self._list.item(row).checkState() == qt.Qt.Checked
        ]
        usual = [label.value for label in self._labels if not label.union]
        return "" if ticked == usual else labelsToText(ticked)
