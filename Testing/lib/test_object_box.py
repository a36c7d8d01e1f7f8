"""The box of what was scanned, which networks that look at a whole volume are shown."""

from __future__ import annotations

from unittest.mock import Mock

import numpy as np
import pytest

from MedEnhanceLib import Volume, enhance
from MedEnhanceLib.engine import inference
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.input_spec import InputSpec
from MedEnhanceLib.tasks.labelling import labels_with_doubt
from MedEnhanceLib.tasks.object_box import MARGIN_MM, object_box
from MedEnhanceLib.tiles import whole

EMPTY = 7
SPACING = (3.0, 3.0, 3.0)


def ball(shape: tuple[int, int, int], radii: tuple[float, float, float]) -> np.ndarray:
    """Distance from the middle, 1 on the surface of an ellipsoid with these radii."""
    axes = [(np.arange(n) - (n - 1) / 2) / r for n, r in zip(shape, radii, strict=True)]
    k, j, i = np.ix_(*[axis**2 for axis in axes])
    return np.sqrt(k + j + i)


def head(seed: int = 0) -> np.ndarray:
    """White matter in grey matter in fluid in a skull in air, with noise of 2 %."""
    shape, rng = (52, 66, 52), np.random.default_rng(seed)
    values = np.select([ball(shape, (r, r + 8, r)) < 1 for r in (16, 20, 22, 25)], [9, 7, 2, 5], 0)
    noise = rng.normal(scale=0.18, size=(2, *shape))
    return np.hypot(values + noise[0], noise[1]).astype(np.float32) * 100


def test_air_beyond_the_margin_is_left_out() -> None:
    """4 mm blocks tell where the object ends, to within one of them."""
    voxels = np.where(ball((40, 128, 128), (8, 24, 24)) < 1, 100.0, 1.0)
    box = object_box(voxels, Geometry((128, 128, 40), (1.0, 1.0, 4.0)))
    for axis, (reach, spacing) in enumerate([(8, 4.0), (24, 1.0), (24, 1.0)]):
        middle = voxels.shape[axis] / 2
        for edge in (middle - box.start[axis], box.stop[axis] - middle):
            assert 0 <= edge * spacing - (reach * spacing + MARGIN_MM) <= 4 or edge == middle


@pytest.mark.parametrize("value", [0, 7])
def test_of_a_constant_volume_all_is_looked_at(value: int) -> None:
    voxels = np.full((5, 6, 7), value, np.int16)
    assert object_box(voxels, Geometry((7, 6, 5))) == whole((5, 6, 7))


def test_noise_of_air_and_single_bright_voxels_are_no_object() -> None:
    rng = np.random.default_rng(1)
    voxels = np.hypot(*rng.normal(scale=9.0, size=(2, 96, 96, 96)))
    voxels += np.where(ball(voxels.shape, (16, 16, 16)) < 1, 100, 0)
    voxels[2, 2, 2] = 150
    box = object_box(voxels, Geometry((96, 96, 96)))
    assert min(box.start) >= 12 and max(box.stop) <= 84


def test_what_the_coil_hardly_reaches_belongs_to_the_object() -> None:
    voxels = np.zeros((64, 64, 192))
    voxels[16:48, 16:48, 32:160] = 100 * 0.5 ** np.linspace(0, 2, 128)
    box = object_box(voxels, Geometry((192, 64, 64)))
    assert box.start[2] <= 32 and box.stop[2] >= 160


def test_a_voxel_thicker_than_the_margin_is_kept() -> None:
    voxels = np.random.default_rng(2).uniform(0, 20, (5, 32, 32))
    voxels[2, 4:28, 4:28] = np.linspace(5, 140, 24)
    box = object_box(voxels, Geometry((32, 32, 5), (4.0, 4.0, 20.0)))
    assert (box.start[0], box.stop[0]) == (1, 4)


def test_empty_space_around_a_head_changes_no_label() -> None:
    """The networks that look at the whole head normalise over all they see."""
    bare = head()
    given = Volume(bare, Geometry(bare.shape[::-1], SPACING), "MR")
    more = [(EMPTY, 3), (0, EMPTY), (5, EMPTY)]
    larger = np.pad(bare, more)
    start = [-before for before, _ in more[::-1]]
    padded = Volume(larger, given.geometry.cropped(start, larger.shape[::-1]), "MR")
    first, second = (
        enhance(v, "segment", "mr-brain-tissue-unet").output.voxels for v in (given, padded)
    )
    inside = tuple(slice(a, a + n) for (a, _), n in zip(more, bare.shape, strict=True))
    assert len(np.unique(first)) == 4
    np.testing.assert_array_equal(second[inside], first)
    assert np.count_nonzero(second) == np.count_nonzero(first)


def test_doubt_is_put_back_where_it_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = Mock(needs_whole_volume=True)
    forward.bundle.input = InputSpec(normalisation="none")

    def seen(_: object, images: list[np.ndarray], *rest: object) -> tuple[np.ndarray, np.ndarray]:
        return np.ones(images[0].shape, np.uint8), images[0]

    monkeypatch.setattr(inference, "classify_with_doubt", seen)
    voxels = np.where(ball((96, 96, 96), (16, 16, 16)) < 1, 100, 0.01).astype(np.float32)
    volume = Volume(voxels, Geometry((96, 96, 96)))
    labels, doubt = labels_with_doubt(volume, forward, None, np.arange(2, dtype=np.uint8))
    box = object_box(voxels, volume.geometry)
    assert labels.sum() == box.voxels < voxels.size
    assert labels[box.slices].all()
    np.testing.assert_array_equal(doubt > 1, voxels > 1)
