"""A file is either written whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from MedEnhanceLib import private
from MedEnhanceLib.errors import FileError, VolumeError
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.io import read_volume, write_image, writing
from MedEnhanceLib.volume import Volume

EXTENSIONS = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")


@pytest.fixture
def volume() -> Volume:
    voxels = np.random.default_rng(0).normal(size=(20, 30, 40)).astype(np.float32)
    return Volume(voxels, Geometry((40, 30, 20)))


def refuse(volume: Volume, path: Path, said: str) -> None:
    with pytest.raises(FileError, match=said) as caught:
        write_image(volume, path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_only_the_file_is_left(tmp_path: Path, volume: Volume, extension: str) -> None:
    write_image(volume, tmp_path / f"out{extension}")
    data = {".nhdr": ["out.raw.gz"], ".mhd": ["out.zraw"]}.get(extension, [])
    assert sorted(os.listdir(tmp_path)) == sorted([f"out{extension}", *data])


def test_unknown_extensions_name_the_known_ones(tmp_path: Path, volume: Volume) -> None:
    refuse(volume, tmp_path / "out.tif", r"extension '\.tif'.*\.nii\.gz")
    refuse(volume, tmp_path / "out", "no extension")
    refuse(volume, tmp_path / "out.dcm", r"extension '\.dcm'")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stem", ["noise 3%", "x%03d", "LIST", "LISTS", "a\nb"])
@pytest.mark.parametrize("extension", [".mhd", ".nhdr"])
def test_names_that_a_header_cannot_refer_to(
    tmp_path: Path, volume: Volume, stem: str, extension: str
) -> None:
    """ITK would write them, and take what the header names for several files."""
    refuse(volume, tmp_path / f"{stem}{extension}", "a list or a pattern of files")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows takes no such names")
@pytest.mark.parametrize("stem", ["noise 3%", "LIST", "a\nb"])
def test_other_formats_take_any_name(tmp_path: Path, volume: Volume, stem: str) -> None:
    write_image(volume, tmp_path / f"{stem}.nrrd")
    np.testing.assert_array_equal(read_volume(tmp_path / f"{stem}.nrrd").voxels, volume.voxels)


def test_folders_are_no_files(tmp_path: Path, volume: Volume) -> None:
    (tmp_path / "out.nii").mkdir()
    refuse(volume, tmp_path / "out.nii", "is a folder")
    refuse(volume, tmp_path / "none" / "out.nii", "does not exist; create it")
    (tmp_path / "file").touch()
    refuse(volume, tmp_path / "file" / "out.nii", "does not exist")


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_is_followed(tmp_path: Path, volume: Volume) -> None:
    for link, target in (("a.nii", "there.nii"), ("b.nii", "elsewhere/new.nii")):
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        (tmp_path / "there.nii").touch()
        (tmp_path / link).symlink_to(tmp_path / target)
        write_image(volume, tmp_path / link)
        assert (tmp_path / link).is_symlink()
        np.testing.assert_array_equal(read_volume(tmp_path / target).voxels, volume.voxels)
    assert len(os.listdir(tmp_path)) == 4
    (tmp_path / "c.mhd").symlink_to(tmp_path / "elsewhere" / "c.mhd")
    write_image(volume, tmp_path / "c.mhd")
    np.testing.assert_array_equal(read_volume(tmp_path / "c.mhd").voxels, volume.voxels)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
def test_a_pipe_is_not_replaced(tmp_path: Path, volume: Volume) -> None:
    os.mkfifo(tmp_path / "x.nii")
    refuse(volume, tmp_path / "x.nii", "is no ordinary file")
    assert os.listdir(tmp_path) == ["x.nii"]


def test_an_unwritable_folder(
    tmp_path: Path, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Permissions do not bind the administrator, who may be running this.
    def fail(**_: object) -> str:
        raise PermissionError(writing.errno.EACCES, "Permission denied")

    monkeypatch.setattr(private.tempfile, "mkdtemp", fail)
    refuse(volume, tmp_path / "out.nii", "no permission")


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, volume: Volume, extension: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"out{extension}"
    write_image(volume, path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def fail(descriptor: int) -> None:
        raise OSError(writing.errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing.os, "fsync", fail)
    refuse(volume.with_voxels(volume.voxels + 1), path, "the disk is full")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


FULL_DISK = """
import resource, signal, sys
import numpy as np
from MedEnhanceLib import Geometry, Volume, write_image
from MedEnhanceLib.errors import FileError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
voxels = np.random.default_rng(0).normal(size=(20, 30, 40)).astype(np.float32)
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
for path in sys.argv[1:]:
    try:
        write_image(Volume(voxels, Geometry((40, 30, 20))), path)
    except FileError as error:
        print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="limits the size of files as only POSIX can")
def test_a_disk_that_fills_up_is_noticed_in_every_format(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"out{extension}") for extension in EXTENSIONS]
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, *paths], capture_output=True, text=True, check=True
    )
    sentences = ran.stdout.splitlines()
    assert len(sentences) == len(paths)
    for path, sentence in zip(paths, sentences, strict=True):
        assert sentence.startswith(f"'{path}' could not be written whole")
    assert ran.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_channels_are_refused_unless_there_is_one(tmp_path: Path, volume: Volume) -> None:
    two = Volume(np.stack([volume.voxels] * 2), volume.geometry)
    with pytest.raises(VolumeError, match="2 channels"):
        write_image(two, tmp_path / "x.nii")
    write_image(Volume(volume.voxels[None], volume.geometry), tmp_path / "x.nii")
    np.testing.assert_array_equal(read_volume(tmp_path / "x.nii").voxels, volume.voxels)
