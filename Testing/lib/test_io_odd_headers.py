"""Headers of intact files that ITK would misread in silence, or call damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from MedEnhanceLib.errors import FileError, VolumeError
from MedEnhanceLib.io import read_volume

from .test_io_bad_input import META, NRRD, SHAPE, STRAIGHT, patched_nifti, refuse

HEADERS = {
    ".nrrd": NRRD.format(axes="(1,0,0) (0,1,0) (0,0,1)"),
    ".mha": META.format(size="2 2 2", spacing="1 1 1", axes=STRAIGHT),
}
BEFORE = {".nrrd": "kinds:", ".mha": "DimSize"}


def stating(folder: Path, extension: str, line: str) -> Path:
    """A file of eight voxels, 0 to 7, whose header has one more line."""
    next_line = BEFORE[extension]
    path = folder / f"x{extension}"
    header = HEADERS[extension].replace(next_line, f"{line}\n{next_line}")
    path.write_bytes(header.encode() + bytes(range(8)))
    return path


@pytest.mark.parametrize("start", [0.0, 16.0, 348.0, float("nan")])
def test_voxels_that_begin_within_the_header(tmp_path: Path, start: float) -> None:
    path = patched_nifti(tmp_path / "x.nii", (108, "f", (start,)))
    refuse(path, FileError, "where its header of 352 bytes still is")


@pytest.mark.parametrize(("kind", "said"), [(1, "single bits"), (1536, "128-bit floats")])
def test_types_of_nifti_that_are_not_read(tmp_path: Path, kind: int, said: str) -> None:
    refuse(patched_nifti(tmp_path / "x.nii", (70, "h", (kind,))), FileError, said)


def test_bzip2_is_named(tmp_path: Path) -> None:
    path = stating(tmp_path, ".nrrd", "# packed")
    path.write_bytes(path.read_bytes().replace(b"encoding: raw", b"encoding: bzip2"))
    refuse(path, FileError, "with bzip2")


@pytest.mark.parametrize(
    ("extension", "line", "said"),
    [
        (".nrrd", 'space units: "cm" "cm" "cm"', "lengths in 'cm'"),
        (".nrrd", 'space units: "mm" "mm" "m"', "lengths in 'm'"),
        (".mha", "DistanceUnits = cm", "lengths in 'cm'"),
        (".mha", "ElementToIntensityFunctionSlope = 2", "Slope = 2"),
        (".mha", "ElementToIntensityFunctionOffset = -1000", "Offset = -1000"),
    ],
)
def test_other_units_and_scales(tmp_path: Path, extension: str, line: str, said: str) -> None:
    refuse(stating(tmp_path, extension, line), VolumeError, said)


@pytest.mark.parametrize(
    ("extension", "line"),
    [
        (".nrrd", 'space units: "mm" "mm" "mm"'),
        (".mha", "DistanceUnits = mm"),
        (".mha", "ElementToIntensityFunctionSlope = 1.0\nElementToIntensityFunctionOffset = 0"),
    ],
)
def test_units_and_scales_as_they_are_read(tmp_path: Path, extension: str, line: str) -> None:
    path = stating(tmp_path, extension, line)
    np.testing.assert_array_equal(read_volume(path).voxels.ravel(), range(8))


@pytest.mark.parametrize("sizes", [(3, 2, -2, 2), (3, 0, 2, 2), (4, 2, 2, 2, -1)])
def test_sizes_that_no_image_has(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    path = patched_nifti(tmp_path / "x.nii", (40, f"{len(sizes)}h", sizes))
    refuse(path, FileError, " x ".join(map(str, sizes[1:])) + " voxels, which no image has")


def test_axes_that_are_counted_but_left_empty(tmp_path: Path) -> None:
    path = patched_nifti(tmp_path / "x.nii", (40, "h", (4,)), (48, "h", (0,)))
    assert read_volume(path).voxels.shape == SHAPE
