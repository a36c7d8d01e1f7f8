"""Segmentations as 3D Slicer stores them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from MedEnhanceLib.errors import FileError, VolumeError
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.io import looks_like_labels, read_labelmap, read_volume, write_image
from MedEnhanceLib.volume import Label, LabelMap, Volume

ANTERIOR = Label(
    1,
    "anterior hippocampus",
    (216, 101, 79),
    ("SCT", "123037004", "Anatomical Structure"),
    ("SCT", "255549009", "Anterior"),
)
POSTERIOR = Label(2, "posterior", (128, 174, 128))
ABSENT = Label(7, "absent", (0, 0, 255))


@pytest.fixture
def hippocampus() -> LabelMap:
    voxels = np.zeros((4, 5, 6), np.uint8)
    voxels[1:3, 1:4, 2:5] = 1
    voxels[3, 4, 5] = 2
    return LabelMap(voxels, Geometry((6, 5, 4), (1, 2, 3)), (ANTERIOR, POSTERIOR, ABSENT))


def test_names_colours_and_codes_survive(tmp_path: Path, hippocampus: LabelMap) -> None:
    write_image(hippocampus, tmp_path / "h.seg.nrrd")
    back = read_labelmap(tmp_path / "h.seg.nrrd")
    assert back.labels == hippocampus.labels
    np.testing.assert_array_equal(back.voxels, hippocampus.voxels)


def test_the_header_has_slicers_fields(tmp_path: Path, hippocampus: LabelMap) -> None:
    write_image(hippocampus, tmp_path / "h.seg.nrrd")
    image = sitk.ReadImage(str(tmp_path / "h.seg.nrrd"))
    assert image.GetMetaData("Segmentation_ContainedRepresentationNames") == "Binary labelmap|"
    assert image.GetMetaData("Segmentation_SourceRepresentation") == "Binary labelmap"
    assert image.GetMetaData("Segment0_ID") == "Segment_1"
    assert image.GetMetaData("Segment0_Extent") == "2 4 1 3 1 2"
    assert image.GetMetaData("Segment0_Layer") == "0"
    assert image.GetMetaData("Segment0_Color") == "0.847059 0.396078 0.309804"
    assert image.GetMetaData("Segment0_Tags") == (
        "TerminologyEntry:Segmentation category and type - 3D Slicer General Anatomy list"
        "~SCT^123037004^Anatomical Structure~SCT^255549009^Anterior~^^"
        "~Anatomic codes - DICOM master list~^^~^^|"
    )
    assert image.GetMetaData("Segment2_Extent") == "0 -1 0 -1 0 -1"


def test_modifiers_and_the_region_survive(tmp_path: Path, hippocampus: LabelMap) -> None:
    kind, side = ("SCT", "5366008", "Hippocampus"), ("SCT", "7771000", "Left")
    sided = dataclasses.replace(
        ANTERIOR, type=kind, modifier=ANTERIOR.type, region=kind, region_modifier=side
    )
    given = LabelMap(hippocampus.voxels, hippocampus.geometry, (sided, POSTERIOR))
    write_image(given, tmp_path / "h.seg.nrrd")
    assert read_labelmap(tmp_path / "h.seg.nrrd").labels == given.labels
    assert (
        sitk.ReadImage(str(tmp_path / "h.seg.nrrd"))
        .GetMetaData("Segment0_Tags")
        .endswith(
            "~SCT^5366008^Hippocampus~SCT^255549009^Anterior~Anatomic codes - DICOM master list"
            "~SCT^5366008^Hippocampus~SCT^7771000^Left|"
        )
    )
    assert Label.from_json(sided.to_json()) == sided


def test_a_name_cannot_break_the_header(tmp_path: Path, hippocampus: LabelMap) -> None:
    nasty = Label(1, "left|right\nSegment1_Name:=x~^")
    write_image(
        LabelMap(hippocampus.voxels, hippocampus.geometry, (nasty,)), tmp_path / "n.seg.nrrd"
    )
    (label,) = read_labelmap(tmp_path / "n.seg.nrrd").labels
    assert label.name == "left right Segment1_Name:=x "


def test_other_files_hold_no_table(tmp_path: Path, hippocampus: LabelMap) -> None:
    write_image(hippocampus, tmp_path / "h.nrrd")
    assert read_labelmap(tmp_path / "h.nrrd").labels == ()


def test_overlapping_segments_are_refused(tmp_path: Path, hippocampus: LabelMap) -> None:
    image = sitk.GetImageFromArray(hippocampus.voxels)
    image.SetMetaData("Segment0_LabelValue", "1")
    image.SetMetaData("Segment0_Layer", "1")
    sitk.WriteImage(image, str(tmp_path / "o.seg.nrrd"))
    layers = sitk.GetImageFromArray(np.stack([hippocampus.voxels] * 2, axis=-1), isVector=True)
    sitk.WriteImage(layers, str(tmp_path / "p.seg.nrrd"))
    for name in ("o.seg.nrrd", "p.seg.nrrd"):
        with pytest.raises(VolumeError, match=f"'{name}' has segments that overlap"):
            read_labelmap(tmp_path / name)


@pytest.mark.parametrize("label", ["0", "000", "-1", "1.5", "one"])
def test_segments_whose_label_is_none(tmp_path: Path, hippocampus: LabelMap, label: str) -> None:
    image = sitk.GetImageFromArray(hippocampus.voxels)
    image.SetMetaData("Segment0_LabelValue", label)
    sitk.WriteImage(image, str(tmp_path / "x.seg.nrrd"))
    with pytest.raises(VolumeError, match=rf"'x\.seg\.nrrd' has a segment .* '{label}', not a"):
        read_labelmap(tmp_path / "x.seg.nrrd")


def test_a_segmentation_is_not_read_as_an_image(tmp_path: Path, hippocampus: LabelMap) -> None:
    write_image(hippocampus, tmp_path / "h.seg.nrrd")
    with pytest.raises(VolumeError, match="is a segmentation, not an image"):
        read_volume(tmp_path / "h.seg.nrrd")


def test_an_image_is_not_written_as_a_segmentation(tmp_path: Path) -> None:
    volume = Volume(np.zeros((2, 2, 2), np.float32), Geometry((2, 2, 2)))
    with pytest.raises(FileError, match=r"name it 'x\.nrrd'"):
        write_image(volume, tmp_path / "x.seg.nrrd")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("value", "said"), [(-3, "smallest voxel is -3"), (1.5, "such as 1.5")])
def test_an_image_is_not_read_as_a_segmentation(tmp_path: Path, value: float, said: str) -> None:
    voxels = np.zeros((3, 3, 3), np.float32)
    voxels[1, 1, 1] = value
    write_image(Volume(voxels, Geometry((3, 3, 3))), tmp_path / "x.nii")
    with pytest.raises(VolumeError, match=said):
        read_labelmap(tmp_path / "x.nii")


def test_labels_are_told_from_images(hippocampus: LabelMap) -> None:
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 40, (12, 12, 12))
    scan = np.where(noise > 5, rng.normal(300, 30, noise.shape), 0)
    assert looks_like_labels(hippocampus.voxels)
    assert looks_like_labels(hippocampus.voxels.astype(np.float64))
    assert looks_like_labels(hippocampus.voxels > 0)
    assert not looks_like_labels(noise)
    assert not looks_like_labels(np.where(noise > 20, noise, 0))
    assert not looks_like_labels(scan)
    assert not looks_like_labels(scan.astype(np.int16))
    assert not looks_like_labels(np.zeros((4, 4, 4)))
    assert not looks_like_labels(hippocampus.voxels.astype(np.int16) - 1000)
    assert not looks_like_labels(np.full((3, 3, 3), np.nan))
