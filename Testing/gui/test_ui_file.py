"""The .ui file, the parameter node and the code agree, without running anything."""

from __future__ import annotations

import ast
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[2] / "MedEnhance"
FILES = {
    path.stem: ElementTree.parse(path).getroot()
    for path in sorted((MODULE / "Resources" / "UI").glob("*.ui"))
}
WIDGETS = {w.get("name", ""): w for root in FILES.values() for w in root.iter("widget")}
INTERACTIVE = (
    "QCheckBox",
    "QComboBox",
    "QDoubleSpinBox",
    "QListWidget",
    "QLineEdit",
    "QPlainTextEdit",
    "QPushButton",
    "QTableWidget",
    "QToolButton",
    "ctkSliderWidget",
    "qMRMLNodeComboBox",
)


def parameter_names() -> set[str]:
    file = MODULE / "MedEnhanceSlicer" / "parameterNode.py"
    tree = ast.parse(file.read_text("utf-8"))
    wrapped = next(
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name == "MedEnhanceParameterNode"
    )
    return {
        item.target.id
        for item in wrapped.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }


def connected_parameters() -> list[str]:
    return [
        prop.findtext("string", "")
        for widget in WIDGETS.values()
        for prop in widget.findall("property")
        if prop.get("name") == "SlicerParameterName"
    ]


def widgets_used_in_code() -> set[str]:
    """Every `ui.name` in the module's Python files."""
    names = set()
    for path in MODULE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Attribute):
                continue
            owner = node.value
            if getattr(owner, "id", "") == "ui" or getattr(owner, "attr", "") == "ui":
                names.add(node.attr)
    return names


def test_every_connected_parameter_exists_and_is_connected_once() -> None:
    connected = connected_parameters()
    assert len(connected) == len(set(connected)) > 10
    assert set(connected) <= parameter_names()


def test_parameters_without_a_widget_are_those_kept_in_step_by_code() -> None:
    assert parameter_names() - set(connected_parameters()) == {
        "task",
        "model",
        "labels",
        "recipe",
        "queue",
    }


def test_every_widget_used_in_code_exists() -> None:
    used = widgets_used_in_code()
    assert len(used) > 15
    assert used <= set(WIDGETS)


def test_names_are_unique() -> None:
    """All files share one namespace in the code."""
    names = [w.get("name") for root in FILES.values() for w in root.iter("widget")]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("file", FILES)
def test_every_mrml_widget_gets_the_scene(file: str) -> None:
    root = FILES[file]
    connections = {
        (c.findtext("sender"), c.findtext("signal"), c.findtext("receiver"), c.findtext("slot"))
        for c in root.iter("connection")
    }
    for widget in root.iter("widget"):
        if widget.get("class") == "qMRMLNodeComboBox":
            name = widget.get("name")
            scene = ("mrmlSceneChanged(vtkMRMLScene*)", name, "setMRMLScene(vtkMRMLScene*)")
            assert (file, *scene) in connections


@pytest.mark.parametrize("file", FILES)
def test_custom_widgets_are_declared(file: str) -> None:
    declared = {w.findtext("class") for w in FILES[file].iter("customwidget")}
    used = {w.get("class", "") for w in FILES[file].iter("widget")}
    assert {name for name in used if not name.startswith("Q")} == declared


@pytest.mark.parametrize("name", WIDGETS)
def test_interactive_widgets_explain_themselves(name: str) -> None:
    widget = WIDGETS[name]
    if widget.get("class") in INTERACTIVE:
        tips = [p for p in widget.findall("property") if p.get("name") == "toolTip"]
        assert tips and tips[0].findtext("string"), f"{name} has no tooltip"


def test_labels_that_may_tell_names_show_them_as_they_are() -> None:
    """A name such as "<MPR Thick Range[1]>" would be taken for HTML."""
    formats = {}
    for name, widget in WIDGETS.items():
        told = {p.get("name"): "".join(p.itertext()).strip() for p in widget.findall("property")}
        if widget.get("class") == "QLabel" and not told.get("text"):
            formats[name] = told.get("textFormat")
    html = {"modelCardLabel", "howMadeLabel", "setupLabel"}
    assert {name for name, told in formats.items() if told != "Qt::PlainText"} == html


def test_buddies_exist() -> None:
    buddies = [
        prop.findtext("cstring")
        for widget in WIDGETS.values()
        for prop in widget.findall("property")
        if prop.get("name") == "buddy"
    ]
    assert buddies
    assert set(buddies) <= set(WIDGETS)
