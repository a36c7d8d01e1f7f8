"""The form that asks how a network that comes alone, as one file, is to be used."""

from slicer.i18n import tr as _

from MedEnhanceLib.importing import NetworkForm, import_network
from MedEnhanceLib.intensity import SCALINGS

from .parameters import TaskChoice

MODALITIES = ("", "MR", "CT")
DIMENSIONS = (3, 2)


class ImportForm:
    """Fields below the import button; shown while a file waits to be added.

    :param ui: child widgets by name, see slicer.util.childWidgetVariables.
    :param add: called with what adds the network and returns its bundle.
    """

    def __init__(self, ui, add):
        self.ui = ui
        self._add = add
        self._file = None
        for task in TaskChoice:
            ui.importTaskComboBox.addItem(task.label())
        for name in SCALINGS:
            ui.importNormalisationComboBox.addItem(name)
        ui.importTaskComboBox.connect("currentIndexChanged(int)", self.onTask)
        ui.importAddButton.connect("clicked(bool)", self.onAdd)
        self.hide()

    def ask(self, file, task):
        """Show the form for a file.

        :param task: MedEnhanceLib.Task to begin with.
        """
        self._file = file
        ui = self.ui
        ui.importTitleLineEdit.text = file.stem
        ui.importTaskComboBox.currentIndex = [t.task for t in TaskChoice].index(task)
        names = list(SCALINGS)
        ui.importNormalisationComboBox.currentIndex = names.index(NetworkForm.normalisation)
        ui.importFormWidget.visible = True
        self.onTask()

    def hide(self):
        """Forget the file."""
        self._file = None
        self.ui.importFormWidget.visible = False

    def onTask(self, index=None):
        """Only a segmentation has structures."""
        isSegment = self._task() is TaskChoice.SEGMENT
        self.ui.importLabelsLabel.visible = isSegment
        self.ui.importLabelsLineEdit.visible = isSegment

    def onAdd(self, checked=None):
        if self._file is not None:
            self._add(lambda: import_network(self._file, self.form()))

    def form(self):
        """What was filled in; raises OptionsError when it makes no sense."""
        ui = self.ui
        labels = [name.strip() for name in ui.importLabelsLineEdit.text.split(",")]
        isSegment = self._task() is TaskChoice.SEGMENT
        return NetworkForm(
            title=ui.importTitleLineEdit.text.strip() or _("Network"),
            task=self._task().task,
            modality=MODALITIES[ui.importModalityComboBox.currentIndex],
            normalisation=list(SCALINGS)[ui.importNormalisationComboBox.currentIndex],
            dimensions=DIMENSIONS[ui.importDimensionsComboBox.currentIndex],
            labels=tuple(name for name in labels if name) if isSegment else (),
        )

    def _task(self):
        return list(TaskChoice)[self.ui.importTaskComboBox.currentIndex]
