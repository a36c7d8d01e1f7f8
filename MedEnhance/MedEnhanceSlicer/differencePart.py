"""Widgets to see what a run changed: side by side, faded, flickering, and as maps."""

import slicer
from slicer.i18n import tr as _

from MedEnhanceLib.report.facts import value_text

from .comparison import (
    Flicker,
    SideBySide,
    centreViews,
    fade,
    fadeMap,
    shownShare,
    unfade,
)
from .differenceMap import (
    hasRemovedSignal,
    showRemovedSignal,
    showUncertainty,
    spotsOf,
)
from .nodeWatch import NodeWatch
from .resultNode import worldPoint

BEFORE_AFTER, REMOVED, UNCERTAINTY = "before and after", "removed signal", "uncertainty"


class DifferencePart:
    """Shows one result against its input.

    :param ui: child widgets by name.
    """

    def __init__(self, ui):
        self.ui = ui
        self._result = None
        self._fadedSegments = None
        self._offered = None
        self._mapNode = None
        self._spots = []
        self._spotsStrength = 1.0
        self._sideBySide = SideBySide()
        self._flicker = Flicker(self._showShare)
        self._watch = NodeWatch(self._showLayout)
        ui.compareButton.connect("clicked(bool)", self.onCompare)
        ui.fadeComboBox.connect("currentIndexChanged(int)", self.onFadeChosen)
        ui.fadeSlider.connect("valueChanged(double)", self.onFaded)
        ui.flickerCheckBox.connect("toggled(bool)", self.onFlicker)
        ui.spotsListWidget.connect("itemClicked(QListWidgetItem*)", self.onSpotChosen)
        ui.spotsListWidget.connect("itemActivated(QListWidgetItem*)", self.onSpotChosen)

    def setActive(self, isActive):
        """Follow the layout while the panel is open."""
        self._watch.follow(self._sideBySide.layoutNode if isActive else None)
        if not isActive:
            # Nobody would do it when the layout is left.
            self._sideBySide.release()

    def show(self, result):
        """Show another result, or none."""
        isOther = (result and result.node) is not (self._result and self._result.node)
        if isOther:
            self._unfade()
        self._result = result
        if result is None:
            self.stop()
            self._mapNode = None
            return
        isAnew = isOther or (self._mapNode is not None and not self._mapIsThere())
        self._offerFades(self._fades(), isAnew)
        if not self._offered:
            self.stop()
        if isAnew:
            self._setSlider(shownShare(result))
        if isOther and self._sideBySide.isShown and result.inputNode is not None:
            self._sideBySide.show(result)
        self._showLayout()
        self._showSpots()

    def leave(self):
        """Go back to the usual views: there is nothing left to compare, nor a button to do it."""
        self._sideBySide.leave()

    def stop(self):
        """End the flickering."""
        self.ui.flickerCheckBox.checked = False

    def strengthChanged(self):
        """The map was scaled with the strength."""
        self._showSpots()

    def onCompare(self, checked=None):
        if self._sideBySide.isShown:
            self._sideBySide.leave()
        else:
            self._sideBySide.show(self._result)
        self._showLayout()

    def onFadeChosen(self, index=None):
        """Make the chosen map if there is none yet, and show it."""
        if self._result is None:
            return
        self.stop()
        self._makeMap()
        self._setSlider(1.0)
        self._showShare(1.0)
        self._showSpots()
        self._enableFading(self._sideBySide.isShown)

    def onFaded(self, value=None):
        self.stop()
        self._showShare(self.ui.fadeSlider.value)

    def onFlicker(self, checked=None):
        if self.ui.flickerCheckBox.checked:
            self._flicker.start()
        else:
            wasOn = self._flicker.isOn
            self._flicker.stop()
            if wasOn:
                self._showShare(self.ui.fadeSlider.value)

    def onSpotChosen(self, item=None):
        row = self.ui.spotsListWidget.currentRow
        if self._mapIsThere() and 0 <= row < len(self._spots):
            centreViews(worldPoint(self._mapNode, self._spots[row].index))

    @property
    def _fade(self):
        return self.ui.fadeComboBox.currentData

    def _fades(self):
        """What can be faded between, as entries of the list."""
        result, fades = self._result, []
        if result.inputNode is not None:
            fades.append((_("Before and after"), BEFORE_AFTER))
        if hasRemovedSignal(result):
            fades.append((_("Removed signal"), REMOVED))
        if result.uncertaintyNode is not None:
            fades.append((_("Uncertainty"), UNCERTAINTY))
        return fades

    def _offerFades(self, fades, isAnew):
        combo = self.ui.fadeComboBox
        if fades == self._offered and not isAnew:
            return
        wasBlocked = combo.blockSignals(True)
        combo.clear()
        for text, key in fades:
            combo.addItem(text, key)
        combo.currentIndex = 0 if fades else -1
        combo.blockSignals(wasBlocked)
        self._offered = fades
        self._mapNode, self._spots = None, []

    def _makeMap(self):
        """Takes a second or two on a large volume, under a wait cursor."""
        self._mapNode, self._spots = None, []
        make = {REMOVED: showRemovedSignal, UNCERTAINTY: showUncertainty}.get(self._fade)
        # What was offered may be gone by now.
        if make is None or self._fade not in [key for _text, key in self._fades()]:
            return
        with slicer.util.WaitCursor():
            self._mapNode = make(self._result)
            self._spots = spotsOf(self._mapNode)
        self._spotsStrength = self._strength

    @property
    def _strength(self):
        """By what the map scales."""
        return self._result.strength if self._result.isDenoised else 1.0

    def _showShare(self, share):
        """Show this much of what is on the right of the slider."""
        result = self._result
        if result is None or not slicer.mrmlScene.IsNodePresent(result.node):
            self.stop()
        elif self._mapIsThere():
            fadeMap(result, self._mapNode, float(share))
        elif result.inputNode is not None and self._fade == BEFORE_AFTER:
            fade(result, float(share))
            self._fadedSegments = result.node if result.isSegmentation else None
        else:
            self.stop()

    def _unfade(self):
        """Segments keep their opacity, while volumes are faded in the views alone."""
        if self._fadedSegments is not None:
            unfade(self._fadedSegments)
        self._fadedSegments = None

    def _mapIsThere(self):
        return self._mapNode is not None and slicer.mrmlScene.IsNodePresent(self._mapNode)

    def _setSlider(self, value):
        slider = self.ui.fadeSlider
        wasBlocked = slider.blockSignals(True)
        slider.value = value
        slider.blockSignals(wasBlocked)

    def _showLayout(self):
        """Whether the views are side by side, also when Slicer's own buttons changed that."""
        button, result = self.ui.compareButton, self._result
        isShown = self._sideBySide.isShown
        if not isShown:
            self._sideBySide.release()
        hasInput = result is not None and result.inputNode is not None
        button.enabled = isShown or (self._sideBySide.isPossible and hasInput)
        button.checked = isShown
        button.text = _("Back to the usual views") if isShown else _("Compare side by side")

        self._enableFading(isShown)

    def _enableFading(self, isSideBySide):
        """Side by side there is nothing to fade but a map, on the right."""
        ui, canChoose = self.ui, bool(self._offered)
        canFade = canChoose and not (isSideBySide and self._fade == BEFORE_AFTER)
        ui.fadeComboBox.enabled = canChoose
        ui.fadeSlider.enabled = canFade
        ui.flickerCheckBox.enabled = canFade
        if not canFade:
            self.stop()

    def _showSpots(self):
        """The slices where the map is largest."""
        ui, isShown = self.ui, self._mapIsThere() and bool(self._spots)
        ui.spotsLabel.visible = isShown
        ui.spotsListWidget.visible = isShown
        if not isShown:
            return
        row = ui.spotsListWidget.currentRow
        ui.spotsListWidget.clear()
        scale = self._strength / self._spotsStrength if self._spotsStrength else 1.0
        units = unitsOf(self._result)
        for spot in self._spots:
            value = value_text(scale * spot.value, units)
            text = _("Slice {number}: {value}").format(number=spot.index[2], value=value)
            ui.spotsListWidget.addItem(text)
        ui.spotsListWidget.currentRow = row


def unitsOf(result):
    """Unit of a volume's values, "" where there is none; segments are unsure in probability."""
    volume = result.inputVolume
    return "" if volume is None or result.isSegmentation else volume.units
