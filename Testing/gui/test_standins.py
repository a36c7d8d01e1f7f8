"""The stand-ins refuse what PythonQt refuses, so that the panel's tests mean something."""

from __future__ import annotations

from typing import Any

import pytest


def test_properties_are_attributes_and_not_methods(scene: Any) -> None:
    import qt

    button = qt.QPushButton("Apply")
    assert button.text == "Apply"
    with pytest.raises(TypeError):
        button.text()
    with pytest.raises(AttributeError, match="use the property 'checked'"):
        button.isChecked()
    button.setText("Cancel")
    assert button.text == "Cancel"


def test_unknown_names_raise(scene: Any) -> None:
    import ctk
    import qt

    label = qt.QLabel("x")
    with pytest.raises(AttributeError):
        label.txet = "y"
    with pytest.raises(AttributeError):
        label.txet  # noqa: B018
    with pytest.raises(AttributeError):
        label.connect("missing()", print)
    with pytest.raises(AttributeError):
        ctk.ctkMissing  # noqa: B018
    with pytest.raises(AttributeError):
        qt.QMissing  # noqa: B018


def test_wrong_types_raise(scene: Any) -> None:
    import qt

    label = qt.QLabel("x")
    for value in (5, None):
        with pytest.raises(TypeError):
            label.text = value
    with pytest.raises(TypeError):
        label.visible = "yes"


def test_enumerators_are_numbers(scene: Any) -> None:
    import qt

    assert int(qt.Qt.Checked) == 2
    assert qt.Qt.Checked == 2


def test_slots_get_the_arguments_they_take(scene: Any) -> None:
    import qt

    heard: list[Any] = []
    box = qt.QCheckBox("x")
    box.connect("toggled(bool)", heard.append)
    box.connect("toggled(bool)", lambda: heard.append("none"))
    box.checked = True
    assert heard == [True, "none"]
    box.disconnect("toggled(bool)", heard.append)


def test_a_list_of_nodes_goes_on_to_a_neighbour_and_tells_when_its_node_has_another_row(
    scene: Any,
) -> None:
    import slicer

    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.setMRMLScene(scene)
    one, two, three = (
        scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name) for name in ("One", "Two", "Three")
    )
    selector.setCurrentNode(three)
    heard: list[Any] = []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", heard.append)
    scene.RemoveNode(one)
    scene.RemoveNode(three)
    assert heard == [three, two]
    selector.setMRMLScene(None)


def test_a_list_of_nodes_follows_the_attributes_of_nodes(scene: Any) -> None:
    import slicer

    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.addAttribute("vtkMRMLScalarVolumeNode", "Made")
    selector.setMRMLScene(scene)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "One")
    assert selector.nodeCount() == 0
    node.SetAttribute("Made", "here")
    assert selector.nodeCount() == 1
    selector.setMRMLScene(None)


def test_a_list_of_nodes_loses_its_node_at_the_end_of_an_import(scene: Any) -> None:
    import slicer

    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.setMRMLScene(scene)
    selector.setCurrentNode(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "One"))
    counts: list[int] = []
    added = scene.AddObserver(scene.NodeAddedEvent, lambda *_: counts.append(selector.nodeCount()))
    scene.SetSceneXMLString(
        '<MRML version="Slicer4"><Volume id="vtkMRMLScalarVolumeNode2"/></MRML>'
    )
    scene.SetLoadFromXMLString(1)
    scene.Import()
    scene.RemoveObserver(added)
    assert set(counts) == {1} and selector.nodeCount() == 2
    assert selector.currentNode() is None
    selector.setMRMLScene(None)


def test_unfolding_shows_what_was_not_hidden(scene: Any) -> None:
    import ctk
    import qt

    group = ctk.ctkCollapsibleButton()
    group.setLayout(qt.QVBoxLayout())
    labels = [qt.QLabel(text) for text in ("kept", "hidden", "hidden while folded", "shown")]
    for label in labels:
        group.layout().addWidget(label)
    group.show()
    labels[1].visible = labels[3].visible = False
    group.collapsed = True
    labels[2].visible, labels[3].visible = False, True
    assert not any(label.visible for label in labels)
    group.collapsed = False
    assert [label.visible for label in labels] == [True, False, False, True]


def test_values_of_parameters_are_checked(scene: Any) -> None:
    import MedEnhance

    parameters = MedEnhance.MedEnhanceLogic().getParameterNode()
    with pytest.raises(ValueError):
        parameters.strength = 1.5
    with pytest.raises(TypeError):
        parameters.task = "denoise"
    assert parameters.inputVolume is None
