"""The part of the panel for more than one volume."""


class BatchSection:
    """Work on several volumes.

    :param ui: child widgets by name, see slicer.util.childWidgetVariables.
    :param logic: MedEnhanceLogic.
    """

    def __init__(self, ui, logic):
        self.ui = ui
        self.logic = logic

    def setParameters(self, parameters):
        """Follow another parameter node, or none while the scene is closed or the panel hidden."""
