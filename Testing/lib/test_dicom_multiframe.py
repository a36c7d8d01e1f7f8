"""Enhanced DICOM files: many frames in one file, each with its own place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from MedEnhanceLib.errors import VolumeError
from MedEnhanceLib.io import list_series, read_volume

from .enhanced_dicom import element, sequence, write_enhanced
from .test_io_round_trip import corners, placed, rotation

STACK = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
AXES = rotation(0.3, -0.2, 0.7)
ORIGIN = np.array([5.0, -3.0, 40.0])


def store(path: Path, places: list[float], slopes=(1, 1, 1, 1), axes=AXES) -> Path:
    positions = [ORIGIN + axes[:, 2] * place for place in places]
    return write_enhanced(path, STACK, positions, axes, slopes)


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [0, 2, 1, 3]])
def test_frames_are_put_in_order_and_in_place(tmp_path: Path, order: list[int]) -> None:
    file = store(tmp_path / "enhanced.dcm", [2.0 * place for place in order])
    volume = read_volume(file)
    np.testing.assert_array_equal(volume.voxels, STACK[np.argsort(order)])
    expected = placed((6, 5, 4), (0.5, 0.6, 2.0), tuple(ORIGIN), AXES)
    assert np.abs(corners(volume.geometry) - corners(expected)).max() < 1e-4
    assert volume.modality == "MR"


def test_it_is_listed_by_its_frames(tmp_path: Path) -> None:
    store(tmp_path / "enhanced.dcm", [0.0, 2.0, 4.0, 6.0])
    (series,) = list_series(tmp_path)
    assert (series.number, series.description, series.slices) == (7, "T2 enhanced", 4)


def test_values_are_rescaled(tmp_path: Path) -> None:
    file = store(tmp_path / "enhanced.dcm", [0.0, 2.0, 4.0, 6.0], slopes=(2, 2, 2, 2))
    np.testing.assert_array_equal(read_volume(file).voxels, STACK * 2)


@pytest.mark.parametrize(
    ("places", "slopes", "said"),
    [
        ([0.0, 2.0, 6.0, 8.0], (1, 1, 1, 1), "lacks about 1 slice"),
        ([0.0, 0.0, 2.0, 2.0], (1, 1, 1, 1), "2 slices at the place of another"),
        ([0.0, 2.0, 4.0, 6.0], (1, 2, 3, 4), "scales the values of each frame differently"),
        ([0.0, 2.0, 4.0, 6.0], (2, None, None, None), "scales the values of each frame differ"),
    ],
)
def test_what_itk_passes_over_is_refused(tmp_path: Path, places, slopes, said: str) -> None:
    file = store(tmp_path / "enhanced.dcm", places, slopes)
    with pytest.raises(VolumeError, match=said):
        read_volume(file)


def test_an_icon_is_not_taken_for_the_image(tmp_path: Path) -> None:
    icon = sequence(0x88, 0x200, [[element(0x7FE0, 0x10, "OW", bytes(8))]])
    positions = [ORIGIN + AXES[:, 2] * place for place in (0.0, 2.0, 4.0, 6.0)]
    file = write_enhanced(tmp_path / "e.dcm", STACK, positions, AXES, (1, 1, 1, 1), before=icon)
    np.testing.assert_array_equal(read_volume(file).voxels, STACK)


def test_a_spacing_that_is_none_is_refused(tmp_path: Path) -> None:
    positions = [ORIGIN + AXES[:, 2] * place for place in (0.0, 2.0, 4.0, 6.0)]
    file = write_enhanced(tmp_path / "e.dcm", STACK, positions, AXES, (1, 1, 1, 1), (-0.5, 0.6))
    with pytest.raises(VolumeError, match="does not state where each frame lies"):
        read_volume(file)


def test_a_film_is_refused(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(STACK)
    image.SetMetaData("0008|0060", "US")
    sitk.WriteImage(image, str(tmp_path / "film.dcm"))
    with pytest.raises(VolumeError, match="does not state where each frame lies"):
        read_volume(tmp_path / "film.dcm")
