"""The slider that changes the strength of a denoised result at once."""

import qt

from .blending import Blend, blendable

PAUSE_MS = 30
"""The slider moves faster than a large volume can be blended; only where it rests is shown."""


class StrengthPart:
    """Blends the result with its input.

    :param ui: child widgets by name.
    :param told: called without arguments after the voxels were changed.
    """

    def __init__(self, ui, told):
        self.ui = ui
        self._told = told
        self._blend = None
        self._faded = []
        self._timer = qt.QTimer()
        self._timer.singleShot = True
        self._timer.setInterval(PAUSE_MS)
        self._timer.connect("timeout()", self._apply)
        ui.blendSlider.connect("valueChanged(double)", self.onMoved)
        ui.keepButton.connect("clicked(bool)", self.onKeep)
        ui.resetButton.connect("clicked(bool)", self.onReset)

    def show(self, result):
        """Show another result, or none."""
        if self._shows(result):
            return
        self.stop()
        self._keepFaded()
        self._blend = None if result is None else self._blendOf(result)
        self.ui.blendWidget.visible = self._blend is not None
        if self._blend is not None:
            self._showState()

    def stop(self):
        self._timer.stop()

    def onMoved(self, value=None):
        self._timer.start()

    def onKeep(self, checked=None):
        self._blend.keep()
        self._showState()

    def onReset(self, checked=None):
        self.stop()
        if self._isUsable():
            self._blend.reset()
            self._showState()
            self._told()

    def _keepFaded(self):
        """Keep what a result at strength 0 has lost, until it is shown again."""
        self._faded = [blend for blend in self._faded if blend.isCurrent()]
        if self._blend is not None and self._blend.isNeeded and self._blend.isCurrent():
            self._faded.append(self._blend)

    def _blendOf(self, result):
        """The blend that was kept for a result, else a new one, or None where there can be none."""
        for blend in self._faded:
            if blend.result.node is result.node and result.inputVoxels is not None:
                self._faded.remove(blend)
                return blend
        return Blend(result) if blendable(result) else None

    def _shows(self, result):
        """Whether this is the result that the slider is for, as it was left."""
        return result is not None and self._isUsable() and self._blend.result.node is result.node

    def _isUsable(self):
        """Whether nobody else has changed the result or its input since the slider began."""
        blend = self._blend
        return blend is not None and blend.isCurrent() and blend.result.inputVoxels is not None

    def _apply(self):
        if self._isUsable():
            self._blend.apply(round(self.ui.blendSlider.value, 2))
            self._showState()
            self._told()

    def _showState(self):
        ui, blend = self.ui, self._blend
        wasBlocked = ui.blendSlider.blockSignals(True)
        ui.blendSlider.value = blend.result.strength
        ui.blendSlider.blockSignals(wasBlocked)
        ui.keepButton.enabled = blend.isChanged
        ui.resetButton.enabled = blend.isChanged
