"""Compressed NRRD and MetaImage: damage that ITK unpacks without a word is told."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest

from MedEnhanceLib.errors import FileError
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.io import read_labelmap, read_volume, write_image
from MedEnhanceLib.volume import LabelMap, Volume

from .test_io_bad_input import META, NRRD, STRAIGHT

NOISE = np.random.default_rng(0).normal(500, 20, (20, 20, 20)).astype(np.int16)
PACKED_NRRD = NRRD.format(axes="(1,0,0) (0,1,0) (0,0,1)").replace("raw", "gzip").rstrip()
PACKED_META = "CompressedData = True\n" + META.format(
    size="2 2 2", spacing="1 1 1", axes=STRAIGHT
).replace("LOCAL", "x.bin")
VOXELS = bytes(range(8))


def spoil(path: Path) -> None:
    """Other bits in the middle, as a bad disk or a bad line leaves them."""
    raw = bytearray(path.read_bytes())
    for at in range(len(raw) // 2, len(raw) // 2 + 4):
        raw[at] ^= 0xFF
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("name", "data"),
    [("x.nrrd", "x.nrrd"), ("x.nhdr", "x.raw.gz"), ("x.mha", "x.mha"), ("x.mhd", "x.zraw")],
)
def test_garbled_voxels_are_refused(tmp_path: Path, name: str, data: str) -> None:
    write_image(Volume(NOISE, Geometry((20, 20, 20))), tmp_path / name)
    np.testing.assert_array_equal(read_volume(tmp_path / name).voxels, NOISE)
    spoil(tmp_path / data)
    with pytest.raises(FileError, match=f"'{data}' is damaged .*garbled"):
        read_volume(tmp_path / name)


def test_garbled_segmentations_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.seg.nrrd"
    write_image(LabelMap((NOISE % 3).astype(np.uint8), Geometry((20, 20, 20))), path)
    spoil(path)
    with pytest.raises(FileError, match="garbled"):
        read_labelmap(path)


@pytest.mark.parametrize(
    ("name", "header", "data"),
    [
        ("x.nhdr", f"{PACKED_NRRD}\ndata file: x.bin\n", gzip.compress(VOXELS)),
        ("x.nhdr", f"{PACKED_NRRD}\ndatafile: x.bin\n", gzip.compress(VOXELS) + b"\n"),
        (
            "x.nhdr",
            f"{PACKED_NRRD}\nline skip: 2\ndata file: x.bin\n",
            b"a\nb\n" + gzip.compress(VOXELS),
        ),
        (
            "x.nhdr",
            f"{PACKED_NRRD}\nbyte skip: 3\ndata file: x.bin\n",
            gzip.compress(b"abc" + VOXELS),
        ),
        ("x.mhd", PACKED_META, zlib.compress(VOXELS)),
        ("x.mhd", PACKED_META, gzip.compress(VOXELS)),
    ],
)
def test_what_other_programs_write_is_read(
    tmp_path: Path, name: str, header: str, data: bytes
) -> None:
    (tmp_path / name).write_bytes(header.encode())
    (tmp_path / "x.bin").write_bytes(data)
    assert read_volume(tmp_path / name).voxels.tobytes() == VOXELS
    (tmp_path / "x.bin").write_bytes(data[:-6])
    with pytest.raises(FileError, match="garbled"):
        read_volume(tmp_path / name)


@pytest.mark.parametrize("lines", ["999999999", "99999999999", "9" * 5000])
def test_voxels_behind_more_lines_than_there_are(tmp_path: Path, lines: str) -> None:
    path = tmp_path / "x.nrrd"
    header = f"{PACKED_NRRD}\nline skip: {lines}\n\n"
    path.write_bytes(header.encode() + gzip.compress(VOXELS))
    with pytest.raises(FileError, match="is damaged or incomplete") as caught:
        read_volume(path)
    assert len(str(caught.value)) < 200


def test_compressed_voxels_of_unknown_length_are_refused(tmp_path: Path) -> None:
    """ITK makes other voxels of them."""
    path = tmp_path / "x.mha"
    path.write_bytes(PACKED_META.replace("x.bin", "LOCAL").encode() + zlib.compress(VOXELS))
    with pytest.raises(FileError, match="how long its compressed data are"):
        read_volume(path)
