"""What is written is read back exactly where it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.io import read_labelmap, read_volume, write_image
from MedEnhanceLib.volume import Label, LabelMap, Volume

EXTENSIONS = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
TOLERANCE_MM = 1e-4


def rotation(x: float, y: float, z: float) -> np.ndarray:
    sines, cosines = np.sin([x, y, z]), np.cos([x, y, z])
    about_x = np.array([[1, 0, 0], [0, cosines[0], -sines[0]], [0, sines[0], cosines[0]]])
    about_y = np.array([[cosines[1], 0, sines[1]], [0, 1, 0], [-sines[1], 0, cosines[1]]])
    about_z = np.array([[cosines[2], -sines[2], 0], [sines[2], cosines[2], 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def placed(
    size=(7, 5, 4), spacing=(0.8, 1.1, 3.0), origin=(-91.3, 12.7, 401.9), axes=None
) -> Geometry:
    return Geometry(size, spacing, origin, np.eye(3) if axes is None else axes)


PLACES = {
    "straight": placed(),
    "oblique": placed(axes=rotation(0.3, -0.2, 0.7)),
    "flipped": placed(axes=np.diag([-1.0, -1.0, 1.0])),
    "left-handed": placed(axes=rotation(0.1, 0.2, 0.3) @ np.diag([1.0, 1.0, -1.0])),
    "permuted": placed(axes=np.eye(3)[:, [2, 0, 1]]),
    "permuted left-handed": placed(axes=np.eye(3)[:, [1, 0, 2]]),
    "one slice": placed(size=(6, 5, 1), axes=rotation(0.5, 0.1, 0.0)),
    "one row": placed(size=(1, 5, 3)),
}


def corners(geometry: Geometry) -> np.ndarray:
    index = np.array(np.meshgrid(*[(0, n - 1) for n in geometry.size])).reshape(3, -1).T
    return geometry.to_world(index)


def numbers(geometry: Geometry, kind: type = np.float32) -> np.ndarray:
    return (np.arange(np.prod(geometry.shape)) % 251).reshape(geometry.shape).astype(kind)


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("place", PLACES)
def test_a_volume_comes_back_in_place(tmp_path: Path, extension: str, place: str) -> None:
    volume = Volume(numbers(PLACES[place]), PLACES[place])
    write_image(volume, tmp_path / f"head{extension}")
    back = read_volume(tmp_path / f"head{extension}")
    np.testing.assert_array_equal(back.voxels, volume.voxels)
    apart = np.abs(corners(back.geometry) - corners(volume.geometry))
    assert back.geometry.size == volume.geometry.size
    assert apart.max() <= TOLERANCE_MM


angles = st.floats(-np.pi, np.pi)
millimetres = st.floats(-800, 800)


@settings(max_examples=40)
@given(
    size=st.tuples(*[st.integers(1, 6)] * 3),
    spacing=st.tuples(*[st.floats(0.1, 12)] * 3),
    origin=st.tuples(millimetres, millimetres, millimetres),
    turn=st.tuples(angles, angles, angles),
    order=st.permutations([0, 1, 2]),
    signs=st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3),
    extension=st.sampled_from([".nii", ".nii.gz", ".nrrd", ".mha"]),
)
def test_any_straight_grid_comes_back_in_place(
    tmp_path_factory, size, spacing, origin, turn, order, signs, extension
) -> None:
    axes = rotation(*turn)[:, order] @ np.diag(signs)
    geometry = Geometry(size, spacing, origin, axes)
    path = tmp_path_factory.mktemp("grid") / f"grid{extension}"
    write_image(Volume(numbers(geometry), geometry), path)
    back = read_volume(path).geometry
    assert np.abs(corners(back) - corners(geometry)).max() <= TOLERANCE_MM


def test_a_large_grid_far_from_the_origin_stays_within_tolerance_as_nifti(tmp_path: Path) -> None:
    # NIfTI keeps positions as 32-bit floats, whose error grows with the index.
    geometry = placed((512, 1, 1), (0.7, 0.7, 0.7), (-900.0, 900.0, 900.0), rotation(1, 2, 3))
    write_image(Volume(numbers(geometry), geometry), tmp_path / "far.nii.gz")
    back = read_volume(tmp_path / "far.nii.gz").geometry
    assert np.abs(corners(back) - corners(geometry)).max() <= TOLERANCE_MM


@pytest.mark.parametrize(
    ("given_kind", "read_kind"),
    [
        (np.uint8, np.uint8),
        (np.int16, np.int16),
        (np.int32, np.int32),
        (np.float32, np.float32),
        (np.float64, np.float32),
        (np.float16, np.float32),
        (np.bool_, np.uint8),
        (np.int64, np.uint8),
    ],
)
@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mha"])
def test_whole_numbers_stay_whole_and_others_are_floats(
    tmp_path: Path, extension: str, given_kind: type, read_kind: type
) -> None:
    voxels = numbers(placed(), given_kind)
    write_image(Volume(voxels, placed()), tmp_path / f"a{extension}")
    back = read_volume(tmp_path / f"a{extension}")
    assert back.voxels.dtype == read_kind
    np.testing.assert_array_equal(back.voxels, voxels)


def test_numbers_of_more_than_32_bits_and_both_signs_stay_whole(tmp_path: Path) -> None:
    voxels = numbers(placed(), np.int64) - 5
    voxels[0, 0, 0] = 1 << 40
    write_image(Volume(voxels, placed()), tmp_path / "a.nrrd")
    back = read_volume(tmp_path / "a.nrrd").voxels
    assert back.dtype == np.int64
    np.testing.assert_array_equal(back, voxels)


@pytest.mark.parametrize(
    ("largest", "kind"), [(2, np.uint8), (300, np.uint16), (70_000, np.uint32)]
)
def test_labels_take_the_smallest_type_that_holds_them(tmp_path: Path, largest, kind) -> None:
    voxels = np.zeros(placed().shape, np.int64)
    voxels[1, 2, 3] = largest
    write_image(LabelMap(voxels, placed()), tmp_path / "labels.nii.gz")
    back = read_labelmap(tmp_path / "labels.nii.gz")
    assert back.voxels.dtype == kind
    np.testing.assert_array_equal(back.voxels, voxels)


def test_a_label_map_of_whole_floats_is_read_with_the_given_names(tmp_path: Path) -> None:
    voxels = np.zeros(placed().shape, np.float32)
    voxels[0, 0, 1] = 2.0
    write_image(Volume(voxels, placed()), tmp_path / "labels.nii")
    back = read_labelmap(tmp_path / "labels.nii", [Label(2, "posterior")])
    assert back.voxels.dtype == np.uint8
    assert back.volumes_ml() == {"posterior": pytest.approx(0.8 * 1.1 * 3.0 / 1000)}


def test_capital_extensions_and_dots_in_names_work(tmp_path: Path) -> None:
    for name in ("A.B.NII.GZ", "c.1.2.Nrrd", "d.MHA"):
        write_image(Volume(numbers(placed()), placed()), tmp_path / name)
        assert read_volume(tmp_path / name).geometry.size == placed().size


def test_a_detached_header_names_its_own_data_and_survives_overwriting(tmp_path: Path) -> None:
    for extension in (".nhdr", ".mhd"):
        path = tmp_path / f"head{extension}"
        for add in (0, 1):
            write_image(Volume(numbers(placed()) + add, placed()), path)
            np.testing.assert_array_equal(read_volume(path).voxels, numbers(placed()) + add)
