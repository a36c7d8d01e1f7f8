"""The part of the panel that tells what a run changed."""

from . import views


class ResultsSection:
    """Shows the evidence of a result.

    :param ui: child widgets by name, see slicer.util.childWidgetVariables.
    :param logic: MedEnhanceLogic.
    """

    def __init__(self, ui, logic):
        self.ui = ui
        self.logic = logic
        self.clear()

    def setParameters(self, parameters):
        """Follow another parameter node, or none while the scene is closed or the panel hidden."""

    def show(self, job):
        """Show what a job that is done has made."""
        text = views.evidenceText(job.result)
        self.ui.evidenceLabel.text = text
        self.ui.evidenceLabel.toolTip = views.evidenceTip(job.result)
        self.ui.resultsCollapsibleButton.visible = bool(text)

    def clear(self):
        """Show nothing."""
        self.ui.evidenceLabel.text = ""
        self.ui.resultsCollapsibleButton.visible = False
