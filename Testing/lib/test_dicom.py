"""DICOM series: found, chosen, put in order; and refused when they are no straight stack."""

from __future__ import annotations

import errno
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from MedEnhanceLib.errors import FileError, MedEnhanceError, VolumeError
from MedEnhanceLib.io import ImageWarning, Series, list_series, read_volume

from .dicom_files import CT_IMAGE, MR_IMAGE, ROOT, set_text, write_series
from .test_io_round_trip import corners, placed, rotation

STACK = np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4) * 10 - 1000
DIRECTORY = "1.2.840.10008.1.3.10"
MR = {"0008|0060": "MR", "0008|0016": MR_IMAGE, "0008|103e": "T1 MPRAGE", "0020|0011": "12"}


def along_z(places: list[float]) -> list[np.ndarray]:
    return [np.array([1.0, 2.0, z]) for z in places]


def refuse(path: Path, kind: type[MedEnhanceError], said: str, series: str | None = None) -> str:
    with pytest.raises(kind, match=said) as caught:
        read_volume(path, series)
    sentence = str(caught.value)
    assert "\n" not in sentence and "ITK" not in sentence
    assert "DOE" not in sentence and "4711" not in sentence
    return sentence


def unreadable_as(kind: str, file: Path, to: Path) -> Path:
    """The same header, but another kind of object; and no pixels."""
    raw = file.read_bytes()
    named = kind.encode().ljust(len(CT_IMAGE), b"\0")
    to.write_bytes(raw.replace(CT_IMAGE.encode(), named)[:-60])
    return to


@pytest.mark.parametrize(
    "axes",
    [np.eye(3), rotation(0.3, -0.2, 0.7), np.eye(3)[:, [2, 0, 1]], np.diag([-1.0, -1.0, 1.0])],
    ids=["straight", "oblique", "sagittal", "feet first"],
)
def test_a_series_is_sorted_and_in_place(tmp_path: Path, axes: np.ndarray) -> None:
    files = write_series(tmp_path / "series", STACK, axes=axes)
    expected = placed((4, 5, 6), (0.7, 0.8, 1.5), (-20.5, 10.25, 300.0), axes)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ImageWarning)
        for path in (tmp_path / "series", files[2]):
            volume = read_volume(path)
            np.testing.assert_array_equal(volume.voxels, STACK)
            assert volume.voxels.dtype == np.int16
            assert np.abs(corners(volume.geometry) - corners(expected)).max() < 1e-4
            assert (volume.modality, volume.units) == ("CT", "HU")


def test_slices_stored_from_last_to_first_end_up_right_handed(tmp_path: Path) -> None:
    downwards = [np.array([0.0, 0.0, -1.5 * k]) for k in range(6)]
    write_series(tmp_path, STACK, positions=downwards)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.voxels, STACK[::-1])
    np.testing.assert_allclose(volume.geometry.origin, (0, 0, -7.5))
    assert np.linalg.det(np.array(volume.geometry.direction)) == pytest.approx(1)


def test_values_are_rescaled_to_hounsfield_units(tmp_path: Path) -> None:
    files = write_series(tmp_path, STACK, tags={"0028|1052": "-1024", "0028|1053": "2"})
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(files[0]))).min() == -1000
    for file in files:
        raw = file.read_bytes()
        file.write_bytes(raw.replace(b"-1024 ", b"-1000 "))
    np.testing.assert_array_equal(read_volume(tmp_path).voxels, STACK + 24)


@pytest.mark.parametrize(("kind", "unit"), [("HU", "HU"), ("MGML", ""), ("US", "")])
def test_ct_is_in_the_unit_that_it_states(
    tmp_path: Path, kind: str, unit: str, recwarn: pytest.WarningsRecorder
) -> None:
    write_series(tmp_path, STACK, tags={"0028|1054": kind})
    volume = read_volume(tmp_path)
    assert (volume.modality, volume.units) == ("CT", unit)
    assert any(f"Rescale Type '{kind}'" in str(w.message) for w in recwarn) == (unit == "")


def test_mr_has_no_units(tmp_path: Path) -> None:
    write_series(tmp_path, STACK, tags=MR)
    volume = read_volume(tmp_path)
    assert (volume.modality, volume.units) == ("MR", "")


def test_one_slice_takes_its_thickness(tmp_path: Path) -> None:
    (file,) = write_series(tmp_path, STACK[:1], spacing=(0.5, 0.5, 4.0))
    assert read_volume(file).geometry.spacing == (0.5, 0.5, 4.0)


@pytest.mark.parametrize("thickness", ["", "-4"])
def test_one_slice_without_a_thickness_is_told(tmp_path: Path, thickness: str) -> None:
    (file,) = write_series(tmp_path, STACK[:1])
    for tag in ("0018|0050", "0018|0088"):
        set_text(file, tag, thickness)
    with pytest.warns(ImageWarning, match="how thick its slice is, and 1 mm is taken"):
        assert read_volume(file).geometry.spacing[2] == 1


class TestSeveralSeries:
    @pytest.fixture
    def study(self, tmp_path: Path) -> Path:
        write_series(tmp_path / "a", STACK, uid=f"{ROOT}.11112222", tags=MR)
        write_series(tmp_path / "b", STACK[:4] + 1, uid=f"{ROOT}.33332222")
        return tmp_path

    def test_are_listed_without_identity(self, study: Path) -> None:
        assert list_series(study) == [
            Series(f"{ROOT}.33332222", 3, "Abdomen thin", "CT", 4),
            Series(f"{ROOT}.11112222", 12, "T1 MPRAGE", "MR", 6),
        ]
        assert "DOE" not in repr(list_series(study))

    def test_must_be_chosen_from(self, study: Path) -> None:
        sentence = refuse(study, FileError, "holds 2 DICOM series")
        assert "3: 'Abdomen thin' CT, 4 slices (UID ...32222)" in sentence
        assert "12: 'T1 MPRAGE' MR, 6 slices (UID ...12222)" in sentence
        assert "series=" in sentence and "--series" in sentence

    @pytest.mark.parametrize("wanted", ["12", "12222", f"{ROOT}.11112222"])
    def test_are_chosen_by_number_or_end_of_uid(self, study: Path, wanted: str) -> None:
        np.testing.assert_array_equal(read_volume(study, wanted).voxels, STACK)

    def test_the_folder_one_stands_in_has_a_name(
        self, study: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(study)
        with pytest.raises(FileError, match=f"'{study.name}' holds 2 DICOM series"):
            read_volume(".")

    def test_a_wrong_or_ambiguous_choice_lists_them(self, study: Path) -> None:
        assert "T1 MPRAGE" in refuse(study, FileError, "No series in .* called '99'", "99")
        assert "T1 MPRAGE" in refuse(study, FileError, "More than one series", "2222")

    def test_the_end_of_a_uid_is_no_number(self, tmp_path: Path) -> None:
        write_series(tmp_path / "a", STACK, uid=f"{ROOT}.8015", tags={"0020|0011": "7"})
        write_series(tmp_path / "b", STACK, uid=f"{ROOT}.8014", tags={"0020|0011": "3"})
        refuse(tmp_path, FileError, "No series in .* called '5'", "5")
        assert read_volume(tmp_path, "8015").voxels.shape == STACK.shape

    def test_a_file_means_its_own_series(self, study: Path) -> None:
        file = next((study / "b").iterdir())
        np.testing.assert_array_equal(read_volume(file).voxels, STACK[:4] + 1)


def test_the_patients_name_and_number_are_cut_from_descriptions(tmp_path: Path) -> None:
    said = "Doe Jane 4711-0815 T2 born 1970-03-12 or 12.03.1970"
    write_series(tmp_path, STACK, tags={"0008|103e": said, "0010|0030": "19700312"})
    (series,) = list_series(tmp_path)
    assert series.description == "*** *** *** T2 born *** or ***"


def test_short_names_are_cut_where_they_stand_alone(tmp_path: Path) -> None:
    tags = {"0010|0010": "LI^WU", "0008|103e": "Li_Wu brain, clinical li"}
    write_series(tmp_path, STACK, tags=tags)
    (series,) = list_series(tmp_path)
    assert series.description == "***_*** brain, clinical ***"


def test_copies_and_other_files_do_no_harm(tmp_path: Path) -> None:
    files = write_series(tmp_path, STACK)
    (tmp_path / "copy of first").write_bytes(files[0].read_bytes())
    (tmp_path / "readme.txt").write_text("scanned on a sunny day")
    (tmp_path / ".hidden").write_bytes(files[1].read_bytes())
    np.testing.assert_array_equal(read_volume(tmp_path).voxels, STACK)


class TestOneUidForDifferentImages:
    """As a program leaves them that processes images and keeps their headers."""

    def test_in_two_folders(self, tmp_path: Path) -> None:
        write_series(tmp_path / "original", STACK[:3])
        write_series(tmp_path / "processed", STACK + 900)
        said = refuse(tmp_path, FileError, "different images under one UID")
        assert "'original/IM0000' and 'processed/IM0000'" in said
        np.testing.assert_array_equal(read_volume(tmp_path / "processed").voxels, STACK + 900)

    def test_in_one_folder(self, tmp_path: Path) -> None:
        (original,) = write_series(tmp_path, STACK[:1])
        original.rename(tmp_path / "original")
        (processed,) = write_series(tmp_path, STACK[:1] + 900)
        refuse(tmp_path, FileError, "'IM0000' and 'original'")
        refuse(processed, FileError, "different images under one UID")

    def test_other_series_of_the_folder_can_still_be_chosen(self, tmp_path: Path) -> None:
        write_series(tmp_path / "a", STACK[:3])
        write_series(tmp_path / "b", STACK + 900)
        write_series(tmp_path / "c", STACK, uid=f"{ROOT}.2", tags=MR)
        np.testing.assert_array_equal(read_volume(tmp_path, "12").voxels, STACK)


def test_a_table_of_contents_stands_for_its_folder(tmp_path: Path) -> None:
    files = write_series(tmp_path / "images", STACK)
    contents = unreadable_as(DIRECTORY, files[0], tmp_path / "DICOMDIR")
    np.testing.assert_array_equal(read_volume(contents).voxels, STACK)


def test_missing_slices_are_named(tmp_path: Path) -> None:
    places = [0.0, 1.5, 3.0, 7.5, 9.0, 10.5]
    write_series(tmp_path, STACK, positions=along_z(places))
    sentence = refuse(tmp_path, VolumeError, "lacks about 2 slices")
    assert "1.50 mm apart, but not from 3.00 to 7.50 mm (4.50 mm)" in sentence


def test_uneven_slices_are_named(tmp_path: Path) -> None:
    write_series(tmp_path, STACK, positions=along_z([0.0, 2.0, 4.0, 6.5, 8.5, 10.5]))
    assert "4.00 to 6.50 mm" in refuse(tmp_path, VolumeError, "unevenly spaced")


def test_many_gaps_are_counted_rather_than_listed(tmp_path: Path) -> None:
    stack = np.zeros((20, 3, 3), np.int16)
    places = [2.0 * k + (3.0 * (k // 2) if k < 16 else 21.0) for k in range(20)]
    write_series(tmp_path, stack, positions=along_z(places))
    assert "and 2 more" in refuse(tmp_path, VolumeError, "slices lie 2.00 mm apart")


def test_slightly_uneven_slices_give_a_warning(tmp_path: Path) -> None:
    write_series(tmp_path, STACK, positions=along_z([0.0, 2.0, 4.0, 6.1, 8.1, 10.1]))
    with pytest.warns(ImageWarning, match=r"2\.000 to 2\.100 mm apart"):
        volume = read_volume(tmp_path)
    assert volume.geometry.spacing[2] == pytest.approx(2.02)


def test_rounding_of_positions_is_passed_over(tmp_path: Path) -> None:
    write_series(tmp_path, STACK, positions=along_z([0.0, 0.33, 0.67, 1.0, 1.33, 1.67]))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ImageWarning)
        assert read_volume(tmp_path).geometry.spacing[2] == pytest.approx(1.67 / 5)


def test_several_images_at_one_place(tmp_path: Path) -> None:
    write_series(tmp_path, STACK, positions=along_z([0.0, 0.0, 2.0, 2.0, 4.0, 4.0]))
    refuse(tmp_path, VolumeError, "3 slices at the place of another .*4D")


def test_a_tilted_gantry(tmp_path: Path) -> None:
    tilted = [np.array([0.0, 0.6 * k, 2.0 * k]) for k in range(6)]
    write_series(tmp_path, STACK, positions=tilted)
    refuse(tmp_path, VolumeError, "gantry tilted by 16.7 degrees")


def test_a_slice_shifted_sideways(tmp_path: Path) -> None:
    positions = along_z([0.0, 2.0, 4.0, 6.0, 8.0, 10.0])
    positions[2][0] += 5
    write_series(tmp_path, STACK, positions=positions)
    refuse(tmp_path, VolumeError, "shifted sideways by up to 5.0 mm")


def test_directions_sizes_and_spacings_that_differ(tmp_path: Path) -> None:
    def pair(name: str, first: dict, second: dict) -> Path:
        for number, kind in enumerate((first, second)):
            kind = {"voxels": STACK[:3], "origin": (0.0, 0.0, 10.0 * number), **kind}
            tags = {"0008|0018": f"{ROOT}.5.{number}"}
            for at, plane in enumerate(kind.pop("voxels")):
                tags["0008|0018"] += f"{at}"
                folder = tmp_path / name / f"{number}{at}"
                write_series(folder, plane[None], tags=tags, **kind)
        return tmp_path / name

    turned = pair("turned", {}, {"axes": np.eye(3)[:, [2, 0, 1]]})
    refuse(turned, VolumeError, "slices in different directions")
    larger = pair("larger", {}, {"voxels": np.zeros((3, 7, 9), np.int16)})
    refuse(larger, VolumeError, r"different sizes \(4 x 5, 9 x 7\)")
    coarser = pair("coarser", {}, {"spacing": (1.4, 1.6, 1.5)})
    refuse(coarser, VolumeError, "different pixel spacing")


def test_colour(tmp_path: Path) -> None:
    write_series(tmp_path, np.zeros((2, 5, 4, 3), np.uint8))
    refuse(tmp_path, VolumeError, "in colour")


def test_a_negative(tmp_path: Path) -> None:
    """ITK makes of the value 5 the value -6, and of bone in HU something like air."""
    for file in write_series(tmp_path, STACK):
        file.write_bytes(file.read_bytes().replace(b"MONOCHROME2", b"MONOCHROME1"))
    refuse(tmp_path, VolumeError, "MONOCHROME1")


def test_an_image_without_a_place(tmp_path: Path) -> None:
    (file,) = write_series(tmp_path, STACK[:1])
    position, unknown = b"\x20\x00\x32\x00", b"\x20\x00\x33\x00"
    file.write_bytes(file.read_bytes().replace(position, unknown))
    refuse(tmp_path, VolumeError, "does not say in numbers where")


def test_an_image_without_the_size_of_its_pixels(tmp_path: Path) -> None:
    """ITK takes 1 mm, which would put every structure in another place."""
    for file in write_series(tmp_path, STACK):
        spacing, unknown = b"\x28\x00\x30\x00", b"\x28\x00\x2f\x00"
        file.write_bytes(file.read_bytes().replace(spacing, unknown))
    refuse(tmp_path, VolumeError, "how large its pixels are")


@pytest.mark.parametrize(
    ("tag", "value", "said"),
    [
        ("0028|0030", "", "how large its pixels are"),
        ("0028|0030", "0,7\\0,8", "how large its pixels are"),
        ("0028|0030", "0.7", "how large its pixels are"),
        ("0028|0030", "-0.7\\0.8", "how large its pixels are"),
        ("0020|0032", "", "where its images lie"),
        ("0020|0032", "nan\\0\\0", "where its images lie"),
        ("0020|0037", "", "where its images lie"),
        ("0020|0037", "1\\0\\0\\0\\1", "where its images lie"),
    ],
)
def test_geometry_that_is_not_in_numbers(tmp_path: Path, tag: str, value: str, said: str) -> None:
    """ITK takes 1 mm, 7 mm for "0,7", and straight axes, without a word."""
    for file in write_series(tmp_path, STACK):
        set_text(file, tag, value)
    refuse(tmp_path, VolumeError, said)


def test_a_damaged_slice_is_not_passed_over_even_at_the_end(tmp_path: Path) -> None:
    files = write_series(tmp_path, STACK)
    raw = files[-1].read_bytes()
    for length in (len(raw) - 8, 700, 420, 200):
        files[-1].write_bytes(raw[:length])
        refuse(tmp_path, FileError, "damaged")
        refuse(files[-1], FileError, "copy or export it again")


def test_a_report_in_the_folder_is_not_a_damaged_slice(tmp_path: Path) -> None:
    files = write_series(tmp_path, STACK)
    unreadable_as("1.2.840.10008.5.1.4.1.1.8", files[0], tmp_path / "report")
    np.testing.assert_array_equal(read_volume(tmp_path).voxels, STACK)


class TestFilesOfWhichNothingCanBeRead:
    """At an end of the stack nothing else shows that slices are missing."""

    @pytest.fixture
    def last(self, tmp_path: Path) -> Path:
        return write_series(tmp_path, STACK)[-1]

    def told(self, path: Path, count: str, name: str) -> None:
        with pytest.warns(ImageWarning, match=f"incomplete, with {count} .*such as '{name}'"):
            assert read_volume(path).voxels.shape[0] == len(STACK) - 1

    @pytest.mark.parametrize("length", [0, 100, 900])
    def test_as_a_copy_that_was_broken_off_leaves_them(self, last: Path, length: int) -> None:
        last.write_bytes(bytes(length))
        self.told(last.parent, "1 file", last.name)
        self.told(last.with_name("IM0000"), "1 file", last.name)

    @pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
    def test_links_to_what_is_not_there(self, last: Path) -> None:
        last.unlink()
        last.symlink_to("nowhere")
        self.told(last.parent, "1 file", last.name)
        self.told(last.with_name("IM0000"), "1 file", last.name)

    def test_a_folder_that_is_locked(self, last: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        locked = last.parent / "locked"
        locked.mkdir()
        last.rename(locked / last.name)
        # Permissions do not bind the administrator, who may be running this.
        scan = os.scandir
        monkeypatch.setattr(os, "scandir", lambda path: scan(denied(path, locked)))
        self.told(last.parent, "1 file", "locked")

    def test_what_is_plainly_something_else(self, last: Path) -> None:
        (last.parent / ".DS_Store").touch()
        (last.parent / ".git").mkdir()
        (last.parent / ".git" / "lock").touch()
        (last.parent / "readme.txt").write_text("scanned on a sunny day")
        with warnings.catch_warnings():
            warnings.simplefilter("error", ImageWarning)
            for path in (last.parent, last):
                np.testing.assert_array_equal(read_volume(path).voxels, STACK)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
    def test_a_file_that_never_ends(self, last: Path) -> None:
        os.mkfifo(last.parent / "pipe")
        np.testing.assert_array_equal(read_volume(last.parent).voxels, STACK)


def denied(path: str, locked: Path) -> str:
    if Path(path) == locked:
        raise PermissionError(errno.EACCES, "Permission denied", path)
    return path


def test_listing_something_else(tmp_path: Path) -> None:
    assert list_series(tmp_path) == []
    with pytest.raises(FileError, match="is not a folder"):
        list_series(tmp_path / "none")
