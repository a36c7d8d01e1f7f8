"""Headers of intact files that ITK would misread in silence, or call damaged."""

from __future__ import annotations

import gzip
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


def detached(folder: Path, extension: str, named: str) -> Path:
    """A header that names its data, and two files with four voxels each beside it."""
    for number in range(2):
        (folder / f"s{number}.raw").write_bytes(bytes(range(4 * number, 4 * number + 4)))
    header = {
        ".nhdr": f"{HEADERS['.nrrd'].rstrip()}\ndata file: {named}\n",
        ".mhd": HEADERS[".mha"].replace("LOCAL", named),
    }
    path = folder / f"x{extension}"
    path.write_bytes(header[extension].encode())
    return path


def changed(path: Path, before: str, after: str) -> Path:
    """The file, with something else in its header."""
    raw = path.read_bytes()
    assert before.encode() in raw
    path.write_bytes(raw.replace(before.encode(), after.encode()))
    return path


@pytest.mark.parametrize(
    "named",
    [
        "LIST",
        "LIST\ns0.raw",
        "LIST\ns0.raw\ns1.raw",
        "s%d.raw 0 0 1",
        "%s%s%s%n 1 3 1",
        "= : %s%s%s%n 1 3 1",
        "t2 fat 50%.raw",
    ],
)
def test_metaimages_of_several_files(tmp_path: Path, named: str) -> None:
    """ITK leaves what is missing as it finds it in memory, and prints by what is no pattern."""
    path = detached(tmp_path, ".mhd", named)
    refuse(path, FileError, "in several files, or in one that is named like .* as one file")
    refuse(path.rename(tmp_path / "x.mha"), FileError, "in several files, .* as one file")


@pytest.mark.parametrize(
    "before",
    [
        "Comment = a\rElementDataFile = LOCAL\n",
        "ElementDataFile \0x = LOCAL\n",
        "ElementDataFile\x0b = LOCAL\n",
        "elementdatafile = LOCAL\n",
        "\r",
    ],
)
@pytest.mark.parametrize("after", ["", "\rx", "\0x"])
def test_metaimage_headers_are_checked_as_they_are_read(
    tmp_path: Path, before: str, after: str
) -> None:
    """ITK finds the pattern behind what looks like the end, and crashes."""
    path = stating(tmp_path, ".mha", "Comment = 1")
    pattern = f"{before}ElementDataFile{after} = %s%s%s%n 1 3 1"
    refuse(changed(path, "ElementDataFile = LOCAL", pattern), FileError, "in several files")


@pytest.mark.parametrize("line", ["Comment", "ElementDataFile", "\nComment"])
def test_lines_of_metaimage_without_a_separator(tmp_path: Path, line: str) -> None:
    """ITK goes on in the next line."""
    number = 3 + line.count("\n")
    refuse(stating(tmp_path, ".mha", line), FileError, f"Line {number} of the .* delete that line")


@pytest.mark.parametrize("line", ["ElementDataFile =", "Comment = more\n" * 100_000])
def test_metaimage_headers_that_cannot_be_followed(tmp_path: Path, line: str) -> None:
    """ITK goes on in the next line, or far behind all that is looked at here."""
    path = stating(tmp_path, ".mha", line)
    refuse(path, FileError, "does not begin with a header of MetaImage")


def test_text_that_is_no_metaimage(tmp_path: Path) -> None:
    path = tmp_path / "x.mha"
    path.write_text("A letter\nof two lines\n")
    refuse(path, FileError, "does not begin with a header of MetaImage")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_metaimage_headers_as_others_write_them(tmp_path: Path, end: str) -> None:
    path = stating(tmp_path, ".mha", "Comment = 50% of: it\n\nName =")
    header = path.read_bytes()[:-8].replace(b"\n", end.encode())
    path.write_bytes(header + bytes(range(8)))
    np.testing.assert_array_equal(read_volume(path).voxels.ravel(), range(8))


@pytest.mark.parametrize(
    "named", ["s%99999999d.raw 0 1 1", "s%d.raw 0 1 1", "%%%d.raw 0 1 1", "%s%n%5d.raw 0 1 1"]
)
@pytest.mark.parametrize("key", ["data file", "DataFile"])
def test_patterns_of_nrrd(tmp_path: Path, key: str, named: str) -> None:
    path = changed(detached(tmp_path, ".nhdr", named), "data file", key)
    refuse(path, FileError, "in several files, .* as one file")


@pytest.mark.parametrize("named", ["t2 fat 50%.raw", "%s%n.raw", "%9i.raw 0 1 1", "%-9d", "%%"])
def test_a_file_of_nrrd_whose_name_is_no_pattern(tmp_path: Path, named: str) -> None:
    path = detached(tmp_path, ".nhdr", named)
    (tmp_path / named).write_bytes(bytes(range(8)))
    np.testing.assert_array_equal(read_volume(path).voxels.ravel(), range(8))


def test_a_pattern_far_behind_the_start_of_a_nrrd_file(tmp_path: Path) -> None:
    path = detached(tmp_path, ".nhdr", "s%99999999d.raw 0 1 1")
    changed(path, "data file", "# more\n" * 200_000 + "data file")
    refuse(path, FileError, "does not begin with a header of NRRD")


def test_lists_of_nrrd_are_read_when_they_are_whole(tmp_path: Path) -> None:
    path = detached(tmp_path, ".nhdr", "LIST\ns0.raw\ns1.raw")
    np.testing.assert_array_equal(read_volume(path).voxels.ravel(), range(8))
    refuse(changed(path, "\ns1.raw", ""), FileError, "damaged or incomplete")


def test_lists_of_compressed_files_are_not_read(tmp_path: Path) -> None:
    """ITK does not see whether they are intact."""
    path = detached(tmp_path, ".nhdr", "LIST\ns0.raw\ns1.raw")
    for number in range(2):
        raw = tmp_path / f"s{number}.raw"
        raw.write_bytes(gzip.compress(raw.read_bytes()))
    refuse(changed(path, "encoding: raw", "encoding: gzip"), FileError, "in several files")


@pytest.mark.parametrize("key", ["Offset", "Position", "Origin"])
@pytest.mark.parametrize(
    "value", ["10,5 20,5 30,5", "10.5", "1 2", "1 2 x", "abc", "nan nan nan", ""]
)
def test_positions_of_metaimage_that_are_none(tmp_path: Path, key: str, value: str) -> None:
    path = stating(tmp_path, ".mha", f"{key} = {value}")
    refuse(path, VolumeError, f"position as '{value}', which is not a finite number for each axis")


@pytest.mark.parametrize("beyond", ["", " 4", " x"])
def test_positions_of_metaimage(tmp_path: Path, beyond: str) -> None:
    path = stating(tmp_path, ".mha", f"Offset = -1.5 +2e1 .25{beyond}")
    assert read_volume(path).geometry.origin == (-1.5, 20, 0.25)


@pytest.mark.parametrize("value", ["(nan,nan,nan)", "none", "(1,2,x)"])
def test_positions_of_nrrd_that_are_none(tmp_path: Path, value: str) -> None:
    path = changed(stating(tmp_path, ".nrrd", "# place"), "(0,0,0)\n\n", f"{value}\n\n")
    refuse(path, VolumeError, "not a finite number for each axis")


@pytest.mark.parametrize("value", ["(1e308,0,0)", "(0,-1e160,0)"])
def test_a_spacing_of_nrrd_that_itk_cannot_square(tmp_path: Path, value: str) -> None:
    path = changed(stating(tmp_path, ".nrrd", "# place"), "(1,0,0)", value)
    refuse(path, VolumeError, r"spacing of 1e\+\d+ mm, which is beyond 1000 mm")


CODES, QUATERNION, OFFSET = 252, 256, 268


@pytest.mark.parametrize("at", range(QUATERNION, OFFSET + 12, 4))
def test_a_qform_that_is_no_number(tmp_path: Path, at: int) -> None:
    path = patched_nifti(tmp_path / "x.nii", (CODES, "2h", (1, 0)), (at, "f", (float("nan"),)))
    refuse(path, VolumeError, "not a finite number for each axis")
    path = patched_nifti(tmp_path / "x.nii", (CODES, "2h", (0, 0)), (at, "f", (float("nan"),)))
    assert read_volume(path).geometry.origin == (0, 0, 0)


def test_a_qform_that_is_no_rotation(tmp_path: Path) -> None:
    def turned(*quaternion: float) -> Path:
        changes = (CODES, "2h", (1, 0)), (QUATERNION, "3f", quaternion)
        return patched_nifti(tmp_path / "x.nii", *changes)

    refuse(turned(2, 2, 2), VolumeError, "a rotation that is none")
    assert read_volume(turned(0.6, 0.8, 1e-4)).voxels.shape == SHAPE
