"""What a result node carries, what is refused as an output, and what survives saving."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from MedEnhanceSlicer import bridge, outputs

from MedEnhanceLib.errors import VolumeError
from MedEnhanceLib.result import Measure, Result
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Label, LabelMap
from Testing.slicer.grids import SHAPE_KJI, add_volume, corners, world_point
from Testing.slicer.saving import through_bundle
from Testing.slicer_scene import set_modality, subject_hierarchy

LABELS = (
    Label(1, "Anterior hippocampus", (230, 159, 0), ("SCT", "91772007", "Anatomical structure"),
          ("SCT", "5928000", "Hippocampus"), modifier=("SCT", "255549009", "Anterior"),
          region=("SCT", "5928000", "Hippocampus"), region_modifier=("SCT", "7771000", "Left")),
    Label(2, "Posterior hippocampus", (0, 114, 178)),
    Label(3, "Not there"),
)  # fmt: skip


def segmented(node: Any, output: Any = None) -> Any:
    voxels = np.zeros(SHAPE_KJI, np.uint8)
    voxels[1:4, 1:4, 1:3] = 1
    voxels[1:4, 1:4, 3:6] = 2
    labels = LabelMap(voxels, bridge.volumeFromNode(node).geometry, LABELS)
    return outputs.storeResult(Result(Task.SEGMENT, labels), node, "Head segmentation", output)


def denoised(node: Any, output: Any = None) -> Any:
    volume = bridge.volumeFromNode(node)
    result = Result(
        Task.DENOISE,
        volume.with_voxels(volume.voxels),
        (Measure("noise", 10.0, 4.0, "", "standard deviation"),),
        {"model": "mr-denoise", "options": {"strength": 1.0}},
        ("A warning; with: punctuation",),
    )
    return outputs.storeResult(result, node, "Head denoised (AI-processed)", output)


def segments_of(node: Any) -> dict[str, Any]:
    segmentation = node.GetSegmentation()
    found = [segmentation.GetNthSegment(i) for i in range(segmentation.GetNumberOfSegments())]
    return {segment.GetName(): segment for segment in found}


def test_segments_have_names_colours_and_codes(scene: Any) -> None:
    segments = segments_of(segmented(add_volume()))
    assert set(segments) == {"Anterior hippocampus", "Posterior hippocampus"}
    anterior = segments["Anterior hippocampus"]
    assert np.allclose(anterior.GetColor(), np.array([230, 159, 0]) / 255)
    entry = slicer.vtkSlicerTerminologyEntry()
    slicer.vtkSlicerTerminologiesModuleLogic().DeserializeTerminologyEntry(
        anterior.GetTerminology(), entry
    )
    kind = entry.GetTypeObject()
    code = (kind.GetCodingSchemeDesignator(), kind.GetCodeValue(), kind.GetCodeMeaning())
    assert code == ("SCT", "5928000", "Hippocampus")
    assert entry.GetCategoryObject().GetCodeValue() == "91772007"
    assert entry.GetTypeModifierObject().GetCodeMeaning() == "Anterior"
    assert entry.GetAnatomicRegionObject().GetCodeMeaning() == "Hippocampus"
    assert entry.GetAnatomicRegionModifierObject().GetCodeMeaning() == "Left"


def test_segments_cover_the_labelled_voxels(scene: Any) -> None:
    node = add_volume()
    output = segmented(node)
    array = slicer.util.arrayFromSegmentBinaryLabelmap(
        output, segment_id(output, "Posterior hippocampus"), node
    )
    expected = np.zeros(SHAPE_KJI)
    expected[1:4, 1:4, 3:6] = 1
    assert np.array_equal(array, expected)


def segment_id(node: Any, name: str) -> str:
    return str(node.GetSegmentation().GetSegmentIdBySegmentName(name))


def test_segments_lie_on_the_patient_under_a_transform(scene: Any) -> None:
    node = add_volume()
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Registration")
    transform.SetMatrixTransformToParent(
        slicer.util.vtkMatrixFromArray(
            np.array([[0, -1, 0, 7], [1, 0, 0, 8], [0, 0, 1, 9], [0, 0, 0, 1.0]])
        )
    )
    node.SetAndObserveTransformNodeID(transform.GetID())
    output = segmented(node)
    assert output.GetTransformNodeID() == transform.GetID()
    image = output.GetBinaryLabelmapInternalRepresentation(
        segment_id(output, "Anterior hippocampus")
    )
    image_to_local = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(image_to_local)
    first = image.GetExtent()[0::2]
    local = image_to_local.MultiplyPoint((*first, 1.0))
    world = transform.GetMatrixTransformToParent().MultiplyPoint(local)[:3]
    voxels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(
        output, segment_id(output, "Anterior hippocampus")
    )
    padding = np.argwhere(voxels == 1).min(axis=0)[::-1]
    expected = world_point(node, tuple(np.array([1, 1, 1]) - padding))
    assert np.abs(np.array(world) - expected).max() < 1e-4


def test_small_segmentations_get_a_surface(scene: Any) -> None:
    output = segmented(add_volume())
    name = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    assert output.GetSegmentation().ContainsRepresentation(name)
    assert output.GetClosedSurfaceInternalRepresentation(
        segment_id(output, "Anterior hippocampus")
    ).GetNumberOfPoints()


def test_nothing_found_leaves_an_empty_segmentation(scene: Any) -> None:
    node = add_volume()
    nothing = LabelMap(np.zeros(SHAPE_KJI, np.uint8), bridge.volumeFromNode(node).geometry, LABELS)
    output = outputs.storeResult(Result(Task.SEGMENT, nothing), node, "Head segmentation")
    assert output.GetSegmentation().GetNumberOfSegments() == 0


def test_no_helper_nodes_are_left_behind(scene: Any) -> None:
    node = add_volume()
    output = segmented(node)
    assert scene.GetNumberOfNodesByClass("vtkMRMLLabelMapVolumeNode") == 0
    segmented(node, output)
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1
    assert set(segments_of(output)) == {"Anterior hippocampus", "Posterior hippocampus"}


def test_output_is_in_the_same_study(scene: Any) -> None:
    node = add_volume()
    hierarchy = subject_hierarchy()
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Patient")
    study = hierarchy.CreateStudyItem(patient, "Study")
    hierarchy.CreateItem(study, node)
    for output in (denoised(node), segmented(node)):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(output)) == study


def test_modality_and_units_are_read_from_the_scene(scene: Any) -> None:
    node = add_volume()
    set_modality(node, "MR")
    assert bridge.volumeFromNode(node).modality == "MR"
    hounsfield = slicer.vtkCodedEntry()
    hounsfield.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    node.SetVoxelValueUnits(hounsfield)
    volume = bridge.volumeFromNode(node)
    assert (volume.modality, volume.units) == ("CT", "HU")


def test_a_result_is_of_the_modality_of_its_input(scene: Any) -> None:
    pet, plain = add_volume("PET"), add_volume()
    set_modality(pet, "PT")
    output = denoised(pet)
    assert bridge.modalityOfNode(output) == ("PT", "")
    assert bridge.seriesModality(segmented(pet)) == ""
    assert bridge.modalityOfNode(denoised(plain, output)) == ("", "")
    set_modality(plain, "MR")
    assert bridge.modalityOfNode(denoised(plain, output)) == ("MR", "")
    set_modality(plain, "")
    assert bridge.modalityOfNode(denoised(plain, output)) == ("", "")


def test_output_looks_like_the_input(scene: Any) -> None:
    node = add_volume()
    display = node.GetScalarVolumeDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(77, 33)
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeInvertedGrey")
    display.SetInterpolate(False)
    display.SetInvertDisplayScalarRange(True)
    display.SetThreshold(5, 50)
    display.SetApplyThreshold(True)
    shown = denoised(node).GetScalarVolumeDisplayNode()
    assert (shown.GetWindow(), shown.GetLevel(), shown.GetAutoWindowLevel()) == (77, 33, 0)
    assert shown.GetColorNodeID() == "vtkMRMLColorTableNodeInvertedGrey"
    assert shown is not display
    assert not shown.GetInterpolate() and shown.GetInvertDisplayScalarRange()
    assert (shown.GetLowerThreshold(), shown.GetUpperThreshold()) == (5, 50)
    assert shown.GetApplyThreshold()


def test_values_of_an_output_are_of_the_kind_of_the_inputs(scene: Any) -> None:
    node, kind = add_volume(), slicer.vtkCodedEntry()
    kind.SetValueSchemeMeaning("112031", "DCM", "Attenuation Coefficient")
    node.SetVoxelValueQuantity(kind)
    assert denoised(node).GetVoxelValueQuantity().GetCodeValue() == "112031"


def test_input_is_untouched(scene: Any) -> None:
    node = add_volume()
    before = slicer.util.arrayFromVolume(node).copy()
    names = list(node.GetAttributeNames())
    modified = node.GetImageData().GetMTime()
    denoised(node)
    segmented(node)
    assert np.array_equal(slicer.util.arrayFromVolume(node), before)
    assert list(node.GetAttributeNames()) == names
    assert node.GetImageData().GetMTime() == modified
    assert node.GetName() == "Head"


def test_names_are_unique_and_say_how_they_were_made(scene: Any) -> None:
    node = add_volume()
    network, nothing = {"weights_sha256": "0123"}, {"unchanged": True}
    for runs, name in (
        ([network], "Head denoised (AI-processed)"),
        ([network, {}, nothing], "Head denoised (AI-processed)"),
        ([{}, nothing], "Head denoised (filtered)"),
        ([nothing], "Head denoised (unchanged)"),
    ):
        assert outputs.outputName(node, Task.DENOISE, runs) == name
    first, second = denoised(node), denoised(node)
    assert first.GetName() == "Head denoised (AI-processed)"
    assert second.GetName() != first.GetName()


def test_provenance_is_on_the_node(scene: Any) -> None:
    node = add_volume()
    output = denoised(node)
    assert json.loads(output.GetAttribute("MedEnhance.Provenance"))["model"] == "mr-denoise"
    assert json.loads(output.GetAttribute("MedEnhance.Evidence"))[0]["after"] == 4.0
    assert output.GetAttribute("MedEnhance.Use") == "Research use only"
    assert output.GetNodeReference("MedEnhance.Input") is node


def test_a_chosen_output_is_filled(scene: Any) -> None:
    node, target = add_volume(), add_volume("Target", shape=(2, 2, 2))
    assert denoised(node, target) is target
    assert target.GetName() == "Target"
    assert slicer.util.arrayFromVolume(target).shape == SHAPE_KJI


def test_voxels_that_an_output_shares_with_the_input_stay(scene: Any) -> None:
    node, target = add_volume(), add_volume("Target")
    target.SetAndObserveImageData(node.GetImageData())
    before = bridge.volumeFromNode(node)
    after = before.with_voxels(before.voxels + 1)
    outputs.storeResult(Result(Task.DENOISE, after), node, "Head denoised", target)
    assert np.array_equal(slicer.util.arrayFromVolume(target), after.voxels)
    assert np.array_equal(slicer.util.arrayFromVolume(node), after.voxels - 1)


def test_a_chosen_output_no_longer_names_the_images_it_came_from(scene: Any) -> None:
    target = add_volume("Scan")
    target.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    denoised(add_volume(), target)
    assert target.GetAttribute("DICOM.instanceUIDs") is None


def test_a_chosen_output_is_no_longer_of_the_series_it_came_from(scene: Any) -> None:
    target = add_volume("Scan")
    set_modality(target, "CT")
    hierarchy = subject_hierarchy()
    item = hierarchy.GetItemByDataNode(target)
    hierarchy.SetItemUID(item, "DICOM", "1.2.3")
    hierarchy.SetItemAttribute(item, "DICOM.SeriesNumber", "7")
    node = add_volume()
    set_modality(node, "MR")
    denoised(node, target)
    assert hierarchy.GetItemUID(item, "DICOM") == "" and hierarchy.GetItemByDataNode(target) == item
    assert not hierarchy.HasItemAttribute(item, "DICOM.SeriesNumber")
    assert bridge.seriesModality(target) == "MR"


def test_a_name_made_here_follows_what_fills_the_node(scene: Any) -> None:
    node = add_volume()
    filtered = denoised(node)
    filtered.SetName("Head denoised (filtered)_1")
    renamed = denoised(node, filtered).GetName()
    assert renamed.startswith("Head denoised (AI-processed)")
    assert denoised(node, filtered).GetName() == renamed
    filtered.SetName("Mine")
    assert denoised(node, filtered).GetName() == "Mine"


def test_a_name_is_marked_once(scene: Any) -> None:
    for name in ("Head denoised (AI-processed)", "Head denoised (filtered)_2", "Head denoised"):
        named = outputs.outputName(add_volume(name), Task.SEGMENT, [{}])
        assert named == "Head denoised segmentation (filtered)"


def test_the_input_is_refused_as_output(scene: Any) -> None:
    node = add_volume()
    with pytest.raises(VolumeError, match="input volume itself"):
        denoised(node, node)
    with pytest.raises(VolumeError, match="needs a vtkMRMLSegmentationNode"):
        segmented(node, add_volume("Other"))
    with pytest.raises(VolumeError, match="'Other' is no output"):
        outputs.checkOutputNode("Other", node, Task.DENOISE)


def test_a_copy_of_a_segment_is_the_users_own(scene: Any) -> None:
    node = add_volume()
    made = segmented(node)
    copy = slicer.vtkSegment()
    copy.DeepCopy(made.GetSegmentation().GetNthSegment(0))
    made.GetSegmentation().AddSegment(copy)
    with pytest.raises(VolumeError, match="has segments that MedEnhance did not make"):
        segmented(node, made)


def test_segments_of_others_are_never_replaced(scene: Any, tmp_path: Path) -> None:
    node = add_volume()
    mine = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mine")
    segmented(node, mine)
    through_bundle(scene, tmp_path)
    node, mine = scene.GetFirstNodeByName("Head"), scene.GetFirstNodeByName("Mine")
    segmented(node, mine)
    mine.GetSegmentation().AddEmptySegment("tumour", "Tumour")
    with pytest.raises(VolumeError, match="'Mine' has segments that MedEnhance did not make"):
        segmented(node, mine)
    assert "Tumour" in segments_of(mine)


def test_a_file_that_was_loaded_is_not_saved_over(scene: Any, tmp_path: Path) -> None:
    target = add_volume("Scan")
    target.AddDefaultStorageNode()
    target.GetStorageNode().SetFileName(str(tmp_path / "scan.nrrd"))
    node = add_volume()
    denoised(node, target)
    assert target.GetStorageNode() is None
    assert scene.GetNumberOfNodesByClass("vtkMRMLVolumeArchetypeStorageNode") == 0
    target.AddDefaultStorageNode()
    kept = target.GetStorageNode()
    denoised(node, target)
    assert target.GetStorageNode() is kept


def test_the_input_of_another_result_is_refused_as_output(scene: Any) -> None:
    node = add_volume()
    first = denoised(node)
    before = slicer.util.arrayFromVolume(node).copy()
    with pytest.raises(VolumeError, match="'Head' is the input of 'Head denoised"):
        denoised(first, node)
    assert np.array_equal(slicer.util.arrayFromVolume(node), before)
    scene.RemoveNode(first)
    assert denoised(add_volume("Other"), node) is node


def test_a_node_that_shows_a_sequence_is_refused_as_output(scene: Any) -> None:
    logic = slicer.vtkSlicerSequencesLogic()
    logic.SetMRMLScene(scene)
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Perfusion")
    sequence.SetDataNodeAtValue(add_volume("Frame"), "0")
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    shown = browser.GetProxyNode(sequence)
    with pytest.raises(VolumeError, match=f"'{shown.GetName()}' shows the frames of a sequence"):
        denoised(add_volume(), shown)
    scene.RemoveNode(browser)
    assert denoised(add_volume(), shown) is shown


def test_outputs_survive_a_scene_bundle(scene: Any, tmp_path: Path) -> None:
    node = add_volume()
    expected = [world_point(node, index) for index in corners(SHAPE_KJI)]
    denoised(node)
    segmented(node)
    for i in range(scene.GetNumberOfNodesByClass("vtkMRMLStorableNode")):
        storable = scene.GetNthNodeByClass(i, "vtkMRMLStorableNode")
        if storable.GetClassName() in ("vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode"):
            storable.AddDefaultStorageNode()
    bundle = tmp_path / "scene.mrb"
    assert scene.WriteToMRB(str(bundle))
    scene.Clear(0)
    assert scene.ReadFromMRB(str(bundle))
    volume = scene.GetFirstNodeByName("Head denoised (AI-processed)")
    segmentation = scene.GetFirstNodeByName("Head segmentation")
    for index, point in zip(corners(SHAPE_KJI), expected, strict=True):
        assert np.abs(world_point(volume, index) - point).max() < 1e-4
    assert json.loads(volume.GetAttribute("MedEnhance.Warnings")) == [
        "A warning; with: punctuation"
    ]
    assert volume.GetNodeReference("MedEnhance.Input").GetName() == "Head"
    anterior = segments_of(segmentation)["Anterior hippocampus"]
    assert "5928000" in anterior.GetTerminology()
    assert np.allclose(anterior.GetColor(), np.array([230, 159, 0]) / 255, atol=1e-3)
