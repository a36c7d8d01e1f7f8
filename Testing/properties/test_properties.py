"""What must hold for any geometry, any cut, any values: generated, the same in every run."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from MedEnhanceLib import Geometry, MedEnhanceError, Volume
from MedEnhanceLib.cli.outputs import json_text
from MedEnhanceLib.io import read_labelmap, read_volume, write_image
from MedEnhanceLib.itk import from_itk, to_itk
from MedEnhanceLib.orientation import LETTERS, turn_towards
from MedEnhanceLib.resample import resample
from MedEnhanceLib.tasks.tidying import fill_holes, keep_largest
from MedEnhanceLib.tiles import Box, whole
from MedEnhanceLib.volume import Label, LabelMap
from MedEnhanceLib.worker import folder
from MedEnhanceLib.worker.folder import store_voxels, take_voxels
from MedEnhanceLib.worker.protocol import from_line, to_line

CODES = ["".join(code) for code in ("RAS", "LPS", "SAR", "ILP", "PIR", "ALS", "SRA", "IPL")]
sizes = st.tuples(*[st.integers(1, 9)] * 3)
seeds = st.integers(0, 2**32 - 1)
KINDS = ("u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8", "bool", ">i2", ">f4")


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Any place: turned, mirrored, far away, of very different spacings."""
    angles = draw(st.tuples(*[st.floats(-180, 180)] * 3))
    direction = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    direction[:, draw(st.integers(0, 2))] *= draw(st.sampled_from([1, -1]))
    spacing = draw(st.tuples(*[st.floats(0.05, 20)] * 3))
    origin = draw(st.tuples(*[st.floats(-900, 900)] * 3))
    return Geometry(draw(sizes), spacing, origin, direction.tolist())


def voxels(geometry: Geometry, seed: int, kind: str = "f4") -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 100, geometry.shape)
    return (values > 50 if kind == "bool" else values).astype(kind)


@given(geometries(), st.sampled_from(CODES))
def test_turning_there_and_back(geometry: Geometry, code: str) -> None:
    turn = turn_towards(geometry, code)
    there = turn.apply_to(geometry)
    array = voxels(geometry, 0)
    assert np.array_equal(turn.undo(turn.apply(array)), array)
    for axis, letter in enumerate(code):
        world, sign = LETTERS[letter]
        # The axis that is named points more that way than against it.
        assert there.direction[world][axis] * sign >= -1e-9
    assert turn_towards(there, code).order == (0, 1, 2)
    assert not any(turn_towards(there, code).flips)


@given(geometries(), st.tuples(*[st.integers(-3, 5)] * 3), sizes)
def test_cropping_moves_no_voxel(geometry: Geometry, start: tuple, size: tuple) -> None:
    cropped = geometry.cropped(start, size)
    for index in ((0, 0, 0), tuple(n - 1 for n in size)):
        there = geometry.to_world(np.add(index, start))
        assert np.allclose(cropped.to_world(index), there, atol=1e-6)


@given(geometries(), sizes)
def test_resizing_keeps_the_field_of_view(geometry: Geometry, size: tuple) -> None:
    other = geometry.resized(size)
    assert np.allclose(other.extent, geometry.extent)
    assert other.resized(geometry.size).is_close(geometry, 1e-6)
    centre = [(n - 1) / 2 for n in geometry.size]
    middle = [(n - 1) / 2 for n in size]
    assert np.allclose(geometry.to_world(centre), other.to_world(middle), atol=1e-6)


@given(geometries(), seeds)
def test_resampling_onto_itself_changes_nothing(geometry: Geometry, seed: int) -> None:
    array = voxels(geometry, seed)
    assert np.allclose(resample(array, geometry, geometry), array, atol=1e-2)


@given(geometries(), seeds, st.sampled_from(KINDS))
def test_simpleitk_there_and_back(geometry: Geometry, seed: int, kind: str) -> None:
    array = voxels(geometry, seed, kind)
    assert np.array_equal(from_itk(to_itk(array, geometry)), array)


@given(geometries(), seeds, st.sampled_from(KINDS), st.sampled_from([".nrrd", ".nii", ".mha"]))
def test_files_keep_values_and_place(
    tmp_path_factory: pytest.TempPathFactory,
    geometry: Geometry,
    seed: int,
    kind: str,
    extension: str,
) -> None:
    path = tmp_path_factory.mktemp("files") / f"x{extension}"
    array = voxels(geometry, seed, kind)
    write_image(Volume(array, geometry), path)
    back = read_volume(path)
    assert np.array_equal(back.voxels, array)
    assert back.geometry.is_close(geometry, 0.01)


@given(geometries(), seeds, st.text("abc äß中^~|\n\"'=:;", min_size=1, max_size=12))
def test_segmentations_keep_their_labels(
    tmp_path_factory: pytest.TempPathFactory, geometry: Geometry, seed: int, name: str
) -> None:
    path = tmp_path_factory.mktemp("files") / "x.seg.nrrd"
    array = voxels(geometry, seed, "u1") % 3
    labels = (Label(1, name, (1, 2, 3)), Label(2, "two", (255, 0, 128)))
    write_image(LabelMap(array, geometry, labels), path)
    back = read_labelmap(path)
    assert np.array_equal(back.voxels, array)
    assert [label.value for label in back.labels] == [1, 2]
    assert [label.color for label in back.labels] == [(1, 2, 3), (255, 0, 128)]


@pytest.mark.parametrize("is_mapped", [True, False])
@given(geometries(), seeds, st.sampled_from(KINDS), st.booleans())
def test_voxels_reach_the_worker_unchanged(
    tmp_path_factory: pytest.TempPathFactory,
    is_mapped: bool,
    geometry: Geometry,
    seed: int,
    kind: str,
    is_turned: bool,
) -> None:
    path = tmp_path_factory.mktemp("voxels") / "x.in.npy"
    array = voxels(geometry, seed, kind)
    array = np.flip(array).T if is_turned else array
    store_voxels(array, path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(folder, "MAPPED_CAN_BE_DELETED", is_mapped)
        taken = take_voxels(path)
    assert np.array_equal(taken, array) and not path.exists() and not taken.flags.writeable


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), values, max_size=4))
def test_lines_are_one_line_and_come_back(data: dict) -> None:
    line = to_line(data)
    assert line.count(b"\n") == 1
    # Not compared directly, since no NaN equals itself.
    assert to_line(from_line(line)) == line
    assert isinstance(json.loads(json_text(data), parse_constant=pytest.fail), dict)


@given(st.tuples(*[st.integers(1, 40)] * 3), st.integers(1, 4))
def test_halves_are_the_whole(shape: tuple, multiple: int) -> None:
    pending, seen = [whole(shape)], np.zeros(shape, int)
    while pending:
        box = pending.pop()
        halves = box.halves(multiple) if box.voxels > 200 else None
        if halves is None:
            seen[box.slices] += 1
        else:
            pending += halves
    assert (seen == 1).all()


@given(st.tuples(*[st.integers(1, 30)] * 3), st.integers(0, 9), st.data())
def test_grown_boxes_stay_inside(shape: tuple, margin: int, data: st.DataObject) -> None:
    start = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    stop = tuple(data.draw(st.integers(a + 1, n)) for a, n in zip(start, shape, strict=True))
    box = Box(start, stop)
    grown = box.grown(margin, shape)
    assert all(0 <= a <= b for a, b in zip(grown.start, box.start, strict=True))
    assert all(b <= c <= n for b, c, n in zip(box.stop, grown.stop, shape, strict=True))
    array = np.arange(np.prod(shape)).reshape(shape)
    assert np.array_equal(array[grown.slices][box.inside(grown).slices], array[box.slices])


@given(st.tuples(*[st.integers(2, 12)] * 3), seeds)
def test_tidied_labels(shape: tuple, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random(shape) < 0.4).astype(np.uint8) * rng.integers(1, 3, shape).astype(np.uint8)
    kept = keep_largest(labels, [(1,), (2,)])
    assert ((kept == 0) | (kept == labels)).all()
    for value in (1, 2):
        sizes = np.bincount(ndimage.label(labels == value, np.ones((3, 3, 3)))[0].ravel())[1:]
        assert (kept == value).sum() == sizes.max(initial=0)
        assert ndimage.label(kept == value, np.ones((3, 3, 3)))[1] <= 1
    filled = fill_holes(labels)
    assert np.array_equal(filled > 0, ndimage.binary_fill_holes(labels > 0))
    assert np.array_equal(filled[labels > 0], labels[labels > 0])
    assert np.array_equal(fill_holes(filled), filled)


@given(
    st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 3),
    st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 3),
    st.tuples(*[st.integers(-(10**7), 10**7)] * 3),
)
def test_a_geometry_is_sound_or_refused(spacing: tuple, origin: tuple, size: tuple) -> None:
    try:
        geometry = Geometry(size, spacing, origin)
    except MedEnhanceError as error:
        assert "\n" not in str(error)
        return
    assert np.isfinite(geometry.matrix).all() and np.linalg.det(geometry.matrix[:3, :3]) > 0
