"""Every bad file gives one clear sentence, and ITK keeps quiet."""

from __future__ import annotations

import errno
import gzip
import os
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from MedEnhanceLib.errors import FileError, MedEnhanceError, VolumeError
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.io import ImageWarning, read_labelmap, read_volume, write_image
from MedEnhanceLib.io.formats import format_to_read
from MedEnhanceLib.io.headers import check_header
from MedEnhanceLib.volume import Volume

from .dicom_files import write_series

SHAPE = (4, 5, 6)
ALL = (".nii", ".nii.gz", ".nrrd", ".mha")
META = (
    "ObjectType = Image\nNDims = 3\nDimSize = {size}\nElementType = MET_UCHAR\n"
    "ElementSpacing = {spacing}\nTransformMatrix = {axes}\nElementDataFile = LOCAL\n"
)
NRRD = (
    "NRRD0004\ntype: uchar\ndimension: 3\nspace: left-posterior-superior\nsizes: 2 2 2\n"
    "space directions: {axes}\nkinds: domain domain domain\nencoding: raw\n"
    "space origin: (0,0,0)\n\n"
)
STRAIGHT = "1 0 0 0 1 0 0 0 1"


def store(path: Path, array: np.ndarray, vector: bool = False) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=vector), str(path), True)
    return path


def patched_nifti(path: Path, *changes: tuple[int, str, tuple[float, ...]]) -> Path:
    """A NIfTI file with some bytes of its header changed."""
    store(path, np.zeros(SHAPE, np.int16))
    raw = bytearray(path.read_bytes())
    for offset, kind, values in changes:
        struct.pack_into(f"<{kind}", raw, offset, *values)
    path.write_bytes(raw)
    return path


def refuse(path: Path, kind: type[MedEnhanceError], said: str) -> None:
    with pytest.raises(kind, match=said) as caught:
        read_volume(path)
    sentence = str(caught.value)
    assert "ITK" not in sentence and "\n" not in sentence
    assert (sentence.endswith(".") and path.name in sentence) or kind is VolumeError


@pytest.mark.parametrize("extension", ALL)
class TestKindsOfImage:
    def test_colour(self, tmp_path: Path, extension: str) -> None:
        path = store(tmp_path / f"x{extension}", np.zeros((*SHAPE, 3), np.uint8), vector=True)
        refuse(path, VolumeError, r"colour \(RGB\) image with 3 numbers")

    def test_vectors(self, tmp_path: Path, extension: str) -> None:
        path = store(tmp_path / f"x{extension}", np.zeros((*SHAPE, 2), np.float32), vector=True)
        refuse(path, VolumeError, "vector image with 2 numbers")

    def test_several_time_points(self, tmp_path: Path, extension: str) -> None:
        path = store(tmp_path / f"x{extension}", np.zeros((7, *SHAPE), np.float32))
        refuse(path, VolumeError, "4D series of 7 volumes")

    def test_one_time_point_is_a_volume(self, tmp_path: Path, extension: str) -> None:
        array = np.arange(120, dtype=np.float32).reshape(1, *SHAPE)
        volume = read_volume(store(tmp_path / f"x{extension}", array))
        np.testing.assert_array_equal(volume.voxels, array[0])

    def test_two_dimensions(self, tmp_path: Path, extension: str) -> None:
        path = store(tmp_path / f"x{extension}", np.zeros((5, 6), np.float32))
        refuse(path, VolumeError, "2D image of 6 x 5 pixels")

    def test_nan_and_infinity(self, tmp_path: Path, extension: str) -> None:
        array = np.zeros(SHAPE, np.float32)
        array[0, 0, :3], array[1, 1, 1] = np.nan, np.inf
        path = store(tmp_path / f"x{extension}", array)
        refuse(path, VolumeError, "3 NaN and 1 infinite of 120 voxels")

    def test_truncated(self, tmp_path: Path, extension: str) -> None:
        path = tmp_path / f"x{extension}"
        store(path, np.random.default_rng(0).normal(size=SHAPE).astype(np.float32))
        raw = path.read_bytes()
        path.write_bytes(raw[: len(raw) * 3 // 4])
        refuse(path, FileError, "damaged or incomplete")

    def test_nonsense(self, tmp_path: Path, extension: str) -> None:
        path = tmp_path / f"x{extension}"
        path.write_bytes(b"nonsense" * 100)
        refuse(path, FileError, "again")

    def test_no_bytes(self, tmp_path: Path, extension: str) -> None:
        path = tmp_path / f"x{extension}"
        path.touch()
        refuse(path, FileError, "is an empty file")


def test_complex_numbers(tmp_path: Path) -> None:
    refuse(store(tmp_path / "x.nii", np.zeros(SHAPE, np.complex64)), VolumeError, "complex")


def test_flipped_bits_in_compressed_data(tmp_path: Path) -> None:
    path = store(tmp_path / "x.nii.gz", np.random.default_rng(0).integers(0, 99, (9, 9, 9)))
    raw = bytearray(gzip.decompress(path.read_bytes()))
    packed = bytearray(gzip.compress(bytes(raw)))
    packed[-6] ^= 0xFF  # the checksum at the end
    path.write_bytes(packed)
    refuse(path, FileError, "damaged or incomplete")


@pytest.mark.parametrize("value", [0.0, -2.0, float("nan"), float("inf")])
def test_spacing_in_nifti(tmp_path: Path, value: float) -> None:
    path = patched_nifti(tmp_path / "x.nii", (84, "f", (value,)))
    refuse(path, VolumeError, f"spacing 1 x {value:g} x 1 mm")


@pytest.mark.parametrize("value", ["0", "-2", "nan", "two"])
def test_spacing_in_metaimage(tmp_path: Path, value: str) -> None:
    path = tmp_path / "x.mha"
    path.write_bytes(
        META.format(size="2 2 2", spacing=f"1 {value} 1", axes=STRAIGHT).encode() + bytes(8)
    )
    refuse(path, VolumeError, "not a number" if value == "two" else f"1 x {value} x 1 mm")


def test_huge_spacing(tmp_path: Path) -> None:
    geometry_breaking = (280, "4f", (1.0, 0.0, 0.0, 0.0)), (300, "f", (1e6,)), (84, "f", (1e6,))
    path = patched_nifti(tmp_path / "x.nii", *geometry_breaking)
    refuse(path, VolumeError, r"1e\+06")


def test_zero_spacing_in_nrrd(tmp_path: Path) -> None:
    path = tmp_path / "x.nrrd"
    path.write_bytes(NRRD.format(axes="(1,0,0) (0,0,0) (0,0,1)").encode() + bytes(8))
    refuse(path, VolumeError, "spacing of zero")


def test_no_voxels(tmp_path: Path) -> None:
    path = tmp_path / "x.mha"
    path.write_bytes(META.format(size="2 0 2", spacing="1 1 1", axes=STRAIGHT).encode())
    refuse(path, VolumeError, r"empty \(2 x 0 x 2 voxels\)")


def test_sheared_axes(tmp_path: Path) -> None:
    mha, nrrd = tmp_path / "x.mha", tmp_path / "x.nrrd"
    sheared = META.format(size="2 2 2", spacing="1 1 1", axes="1 0 0 0.3 1 0 0 0 1")
    mha.write_bytes(sheared.encode() + bytes(8))
    nrrd.write_bytes(NRRD.format(axes="(1,0,0) (0.3,1,0) (0,0,1)").encode() + bytes(8))
    nifti = patched_nifti(
        tmp_path / "x.nii", (280, "4f", (1.0, 0.3, 0.0, 0.0)), (252, "2h", (0, 1))
    )
    for path in (mha, nrrd, nifti):
        refuse(path, VolumeError, "perpendicular")


def test_two_positions_in_a_nifti_file_are_told(tmp_path: Path) -> None:
    moved = patched_nifti(tmp_path / "x.nii", (268, "3f", (40.0, 0.0, 0.0)), (252, "2h", (1, 2)))
    with pytest.warns(ImageWarning, match="differ by up to 40.0 mm"):
        read_volume(moved)


def test_one_position_in_micrometres_is_not_two(tmp_path: Path, recwarn) -> None:
    rows = (100.0, 0, 0, 5000.0, 0, 100.0, 0, 6000.0, 0, 0, 200.0, 7000.0)
    changes = ((80, "3f", (100.0, 100.0, 200.0)), (252, "2h", (0, 1)), (280, "12f", rows))
    volume = read_volume(patched_nifti(tmp_path / "x.nii", *changes, (123, "B", (3,))))
    assert volume.geometry.spacing == pytest.approx((0.1, 0.1, 0.2))
    assert volume.geometry.origin == pytest.approx((-5, -6, 7))
    assert not [w for w in recwarn if issubclass(w.category, ImageWarning)]


def test_a_slope_of_zero_means_that_nothing_is_scaled(tmp_path: Path) -> None:
    """ITK adds the intercept; the standard says that it is not to be used."""
    path = patched_nifti(tmp_path / "x.nii", (112, "2f", (0.0, 0.1)))
    assert (read_volume(path).voxels == 0).all()
    assert read_labelmap(path).voxels.dtype == np.uint8
    scaled = patched_nifti(tmp_path / "y.nii", (112, "2f", (2.0, 7.0)))
    assert (read_volume(scaled).voxels == 7).all()


def test_a_compressed_file_that_is_called_as_if_it_were_not(tmp_path: Path) -> None:
    store(tmp_path / "x.nii.gz", np.zeros(SHAPE, np.int16)).rename(tmp_path / "x.nii")
    refuse(tmp_path / "x.nii", FileError, r"is compressed, .* rename it to 'x\.nii\.gz'")


def test_a_header_of_the_second_version_that_ends_early(tmp_path: Path) -> None:
    (tmp_path / "x.nii").write_bytes(struct.pack("<i", 540) + bytes(450))
    refuse(tmp_path / "x.nii", FileError, "x.nii")


def test_paths(tmp_path: Path) -> None:
    refuse(tmp_path / "missing.nii", FileError, "does not exist")
    (tmp_path / "x.tif").write_bytes(b"II*\0")
    refuse(tmp_path / "x.tif", FileError, r"extension '\.tif'.*use \.nii")
    (tmp_path / "plain").write_bytes(b"text")
    refuse(tmp_path / "plain", FileError, "no extension")
    (tmp_path / "fake.dcm").write_bytes(b"text" * 100)
    refuse(tmp_path / "fake.dcm", FileError, "not a DICOM image")
    (tmp_path / "folder").mkdir()
    refuse(tmp_path / "folder", FileError, "holds no DICOM images")


def test_missing_data_of_a_detached_header(tmp_path: Path) -> None:
    write_image(Volume(np.zeros(SHAPE, np.float32), Geometry(SHAPE[::-1])), tmp_path / "x.mhd")
    (tmp_path / "x.zraw").unlink()
    refuse(tmp_path / "x.mhd", FileError, "damaged or incomplete")


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store(tmp_path / "x.nii", np.zeros(SHAPE, np.int16))
    # Permissions do not bind the administrator, who may be running this.
    monkeypatch.setattr(os, "access", lambda *_: False)
    refuse(path, FileError, "may not be read")


@pytest.mark.parametrize("extension", [".mhd", ".nhdr"])
def test_a_folder_that_may_be_entered_but_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str
) -> None:
    path = tmp_path / f"x{extension}"
    write_image(Volume(np.zeros(SHAPE, np.float32), Geometry(SHAPE[::-1])), path)
    forbid_listing(monkeypatch)
    refuse(path, FileError, "cannot be listed .* ask the owner of the folder")


def test_a_dicom_file_in_such_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *_ = write_series(tmp_path / "series", np.zeros(SHAPE, np.int16))
    forbid_listing(monkeypatch)
    refuse(first, FileError, "cannot be listed")


def forbid_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Permissions do not bind the administrator, who may be running this."""

    def forbidden(_: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", forbidden)


def test_the_reason_is_kept_and_nothing_is_printed(tmp_path: Path, capfd) -> None:
    path = tmp_path / "x.mha"
    path.write_text(META.format(size="2 2 2", spacing="1 1 1", axes=STRAIGHT))
    with pytest.raises(FileError) as caught:
        read_volume(path)
    assert isinstance(caught.value.__cause__, RuntimeError)
    patched_nifti(tmp_path / "y.nii", (280, "4f", (1.0, 0.3, 0.0, 0.0)), (252, "2h", (0, 1)))
    with pytest.raises(VolumeError):
        read_volume(tmp_path / "y.nii")
    assert capfd.readouterr().err == ""
    os.write(2, b"heard again")
    assert capfd.readouterr().err == "heard again"


def test_importing_the_room_is_light() -> None:
    code = (
        "import sys, MedEnhanceLib.io, MedEnhanceLib.worker; "
        "print([m for m in ('SimpleITK', 'torch', 'monai') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("axes", ["-1", "0", "1000000", "99999999999999999999", "3x"])
def test_number_of_axes_in_metaimage(tmp_path: Path, axes: str) -> None:
    """ITK itself would crash, and the whole program with it."""
    header = META.format(size="2 2 2", spacing="1 1 1", axes=STRAIGHT).replace("= 3", f"= {axes}")
    (tmp_path / "x.mha").write_bytes(header.encode() + bytes(8))
    (tmp_path / "y.mha").write_bytes(header.replace(" =", " :").encode() + bytes(8))
    refuse(tmp_path / "x.mha", FileError, "does not have .* axes")
    refuse(tmp_path / "y.mha", FileError, "does not have .* axes")


def test_a_million_voxels_along_an_axis(tmp_path: Path) -> None:
    path = tmp_path / "x.mha"
    header = META.format(size="1000000 1 1", spacing="1 1 1", axes=STRAIGHT)
    path.write_bytes(header.encode() + bytes(1_000_000))
    refuse(path, VolumeError, "1000000 x 1 x 1 voxels, beyond 65535")


@pytest.mark.parametrize("extension", [".mha", ".nrrd"])
def test_more_voxels_than_the_file_can_hold(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"x{extension}"
    sizes = "60000 60000 600"
    text = META.format(size=sizes, spacing="1 1 1", axes=STRAIGHT)
    if extension == ".nrrd":
        text = NRRD.format(axes="(1,0,0) (0,1,0) (0,0,1)").replace("2 2 2", sizes)
    path.write_bytes(text.encode() + bytes(8))
    refuse(path, FileError, "cannot hold 60000 x 60000 x 600 voxels")


@pytest.mark.parametrize("start", [1e30, -1e30, 1e12])
def test_voxels_that_begin_beyond_the_file(tmp_path: Path, start: float) -> None:
    path = patched_nifti(tmp_path / "x.nii", (108, "f", (start,)))
    if start > 0:
        refuse(path, FileError, "damaged or incomplete")


@pytest.mark.parametrize("extension", ALL)
def test_a_header_in_another_alphabet(tmp_path: Path, extension: str) -> None:
    """Old programs write Latin letters that are no Unicode, in names of fields too."""
    path = store(tmp_path / f"x{extension}", np.zeros(SHAPE, np.int16))
    raw = path.read_bytes()
    fields = {
        ".mha": (b"ObjectType", b"Gr\xf6\xdfe = Sch\xe4del\nObjectType"),
        ".nrrd": (b"type:", b"Gr\xf6\xdfe:=Sch\xe4del\ntype:"),
    }
    if extension in fields:
        path.write_bytes(raw.replace(*fields[extension], 1))
    assert read_volume(path).voxels.shape == SHAPE


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
def test_a_file_that_never_ends(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.nii")
    refuse(tmp_path / "x.nii", FileError, "no ordinary file")


def test_nifti_2_is_named_as_such(tmp_path: Path) -> None:
    header = bytearray(544)
    struct.pack_into("<i8s", header, 0, 540, b"n+2\0\r\n\032\n")
    struct.pack_into("<2h8q", header, 12, 2, 8, 3, 2, 2, 2, 1, 1, 1, 1)
    struct.pack_into("<8d", header, 104, 1, 1, 1, 1, 1, 1, 1, 1)
    struct.pack_into("<q", header, 168, 544)
    path = tmp_path / "second.nii"
    path.write_bytes(bytes(header) + bytes(8))
    refuse(path, FileError, "is NIfTI-2")


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.nrrd", NRRD.format(axes="(0.7,0,0) (0,0.7,0) none")),
        ("b.nrrd", NRRD.replace("space directions: {axes}\n", "").replace("space:", "#")),
        ("c.nrrd", NRRD.replace("space directions: {axes}", "spacings: 1 nan 1")
                       .replace("space:", "#").replace("space origin", "#")),
        ("d.mha", META.replace("ElementSpacing = {spacing}\n", "").format(
            size="2 2 2", axes=STRAIGHT)),
    ],
)  # fmt: skip
def test_a_spacing_that_is_not_stated_is_told(tmp_path: Path, name: str, header: str) -> None:
    path = tmp_path / name
    path.write_bytes(header.encode() + bytes(range(8)))
    with pytest.warns(ImageWarning, match="does not state how far apart"):
        check_header(path, format_to_read(path))


@pytest.mark.parametrize("kind", [".nii", ".nrrd", ".mha"])
def test_an_orientation_that_is_not_stated_is_told(tmp_path: Path, kind: str) -> None:
    """As ITK and 3D Slicer read it; left and right are not known."""
    path = tmp_path / f"x{kind}"
    if kind == ".nii":
        patched_nifti(path, (252, "h", (0,)), (254, "h", (0,)))
    else:
        header = NRRD.replace("space directions: {axes}", "spacings: 1 1 1")
        header = header.replace("space:", "#").replace("space origin", "#")
        meta = META.replace("TransformMatrix = {axes}\n", "").format(size="2 2 2", spacing="1 1 1")
        path.write_bytes((header if kind == ".nrrd" else meta).encode() + bytes(range(8)))
    with pytest.warns(ImageWarning, match="does not state how it lies .* to the left, the back"):
        volume = read_volume(path)
    np.testing.assert_allclose(volume.geometry.direction, np.eye(3), atol=1e-6)


def test_an_axis_of_components_needs_no_spacing(tmp_path: Path) -> None:
    path = tmp_path / "x.nrrd"
    header = NRRD.format(axes="none (0.7,0,0) (0,0.7,0) (0,0,2)")
    path.write_text(header.replace("dimension: 3", "dimension: 4"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_header(path, format_to_read(path))


def test_a_spacing_that_is_stated_is_not_told(tmp_path: Path) -> None:
    volume = Volume(np.arange(8, dtype=np.uint8).reshape(2, 2, 2), Geometry((2, 2, 2), (1, 2, 3)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for extension in ALL:
            write_image(volume, tmp_path / f"v{extension}")
            read_volume(tmp_path / f"v{extension}")
