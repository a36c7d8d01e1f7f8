"""The evidence as a table in the panel, and as a table node in the scene."""

import math

import qt
import vtk
from slicer.i18n import tr as _

from MedEnhanceLib.report.facts import value_text
from MedEnhanceLib.result import Measure

from .nodes import USE, USE_ATTRIBUTE, placeInStudy
from .resultMaps import OWNER_REFERENCE_ROLE, TABLE_REFERENCE_ROLE, mapOf
from .segmentTable import segmentsOf
from .wording import tip


def measuresOf(result):
    """All that was measured of a result, comparison with a reference last."""
    return [*result.measures, *result.referenceMeasures]


def fillTable(table, measures):
    """Show measures in a table widget; without the column "before" when nothing has one.

    :param table: QTableWidget of three columns: measure, before, after.
    :param measures: MedEnhanceLib Measures.
    """
    table.setRowCount(len(measures))
    for row, measure in enumerate(measures):
        name = measure.name[:1].upper() + measure.name[1:]
        # The unit stands with the name, so that the columns of numbers stay narrow.
        titled = f"{name} ({measure.unit})" if measure.unit else name
        cells = (titled, value_text(measure.before), value_text(measure.after))
        for column, text in enumerate(cells):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(tip(f"{name}: {measure.meaning}" if measure.meaning else name))
            if column:
                item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
            table.setItem(row, column, item)
    table.setColumnHidden(1, all(measure.before is None for measure in measures))
    table.updateGeometry()


def storeTable(result):
    """Put the measures, and the present volumes of segments, into a table node of the study.

    The node of an earlier call is filled again.
    """
    node = mapOf(result.node, TABLE_REFERENCE_ROLE)
    if node is None:
        scene = result.node.GetScene()
        name = _("{name} evidence").format(name=result.node.GetName())
        node = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(name))
        node.SetNodeReferenceID(OWNER_REFERENCE_ROLE, result.node.GetID())
        result.node.SetNodeReferenceID(TABLE_REFERENCE_ROLE, node.GetID())
    placeInStudy(node, result.node)
    node.SetAttribute(USE_ATTRIBUTE, USE)
    table = vtk.vtkTable()
    for column in columns(_withSegments(result)):
        table.AddColumn(column)
    node.SetAndObserveTable(table)
    return node


def columns(measures):
    """VTK arrays: measure, before, after, unit, meaning; no number is "not a number"."""
    texts = {
        _("Measure"): [m.name for m in measures],
        _("Unit"): [m.unit for m in measures],
        _("Meaning"): [m.meaning for m in measures],
    }
    numbers = {
        _("Before"): [m.before for m in measures],
        _("After"): [m.after for m in measures],
    }
    first, *rest = [_column(vtk.vtkStringArray(), name, v) for name, v in texts.items()]
    values = [
        _column(vtk.vtkDoubleArray(), name, [math.nan if v is None else v for v in column])
        for name, column in numbers.items()
    ]
    return [first, *values, *rest]


def _withSegments(result):
    measures = measuresOf(result)
    if not result.isSegmentation:
        return measures
    segments = [
        Measure(_("Segment {name}").format(name=segment.name), None, segment.ml, "ml")
        for segment in segmentsOf(result.node)
    ]
    return [*measures, *segments]


def _column(array, name, values):
    array.SetName(name)
    for value in values:
        array.InsertNextValue(value)
    return array
