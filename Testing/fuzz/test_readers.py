"""Damaged files of every kind: each is a volume or one sentence, quickly and in little memory."""

from __future__ import annotations

import contextlib
import random
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from MedEnhanceLib import Geometry, MedEnhanceError, Volume
from MedEnhanceLib.io import read_labelmap, read_volume, write_image
from MedEnhanceLib.volume import Label, LabelMap
from Testing.counts import count

from .mutating import mutated

CASES = 300
# The bytes at the start in which most of the damage is done.
HEADERS = {".nii": 352, ".nii.gz": 60, ".nrrd": 400, ".nhdr": 400, ".mha": 300, ".mhd": 300}
SHAPE = (4, 5, 6)


def head() -> Volume:
    voxels = np.random.default_rng(0).integers(0, 900, SHAPE).astype(np.int16)
    return Volume(voxels, Geometry(SHAPE[::-1], (0.7, 0.8, 1.5), (-20.5, 10.25, 300.0)))


@contextlib.contextmanager
def little_memory(megabytes: int = 300) -> Iterator[None]:
    """A real limit on memory, so that a lying header cannot take the machine down unnoticed.

    GDCM, which reads DICOM, still asks for as much as a header says before it looks whether the
    file is as long.
    """
    if sys.platform != "linux":
        yield
        return
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def fuzz(raw: bytes, path: Path, header: int, read: Callable[[Path], object], cases: int) -> int:
    """Read damaged copies of a file; how many of them were refused."""
    rng = random.Random(path.name)
    refusals = 0
    for number in range(cases):
        path.write_bytes(mutated(rng, raw, header))
        started = time.process_time()
        try:
            with little_memory(), warnings.catch_warnings():
                # pydicom warns of what is damaged, which here is everything.
                warnings.simplefilter("ignore")
                image = read(path)
            assert np.isfinite(image.voxels).all()
        except MedEnhanceError as error:
            assert "\n" not in str(error) and len(str(error)) < 600, (number, error)
            refusals += 1
        except Exception as error:
            kept = path.with_name(f"case{number}-{path.name}")
            kept.write_bytes(path.read_bytes())
            raise AssertionError(f"case {number}, kept as {kept}") from error
        assert time.process_time() - started < 2, f"case {number} took too long"
    count("damaged files", cases)
    return refusals


@pytest.mark.parametrize("extension", HEADERS)
def test_images(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"x{extension}"
    write_image(head(), path)
    refusals = fuzz(path.read_bytes(), path, HEADERS[extension], read_volume, CASES)
    assert CASES // 5 < refusals < CASES


@pytest.mark.parametrize("extension", [".nrrd", ".mha"])
def test_images_that_are_not_compressed(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"plain{extension}"
    sitk.WriteImage(sitk.GetImageFromArray(head().voxels), str(path), False)
    refusals = fuzz(path.read_bytes(), path, HEADERS[extension], read_volume, CASES)
    assert CASES // 5 < refusals < CASES


def test_segmentations(tmp_path: Path) -> None:
    path = tmp_path / "x.seg.nrrd"
    labels = (Label(1, "first"), Label(2, "second"))
    write_image(LabelMap((head().voxels % 3).astype(np.uint8), head().geometry, labels), path)
    raw = path.read_bytes()
    refusals = fuzz(raw, path, raw.index(b"\n\n"), read_labelmap, CASES)
    assert CASES // 20 < refusals < CASES


def test_a_dicom_series(tmp_path: Path) -> None:
    from Testing.lib.dicom_files import write_series

    files = write_series(tmp_path / "series", head().voxels[:3])
    raw = files[1].read_bytes()

    def read(path: Path) -> Volume:
        return read_volume(path.parent)

    refusals = fuzz(raw, files[1], len(raw), read, CASES // 3)
    assert CASES // 30 < refusals < CASES // 3


def test_a_multi_frame_file(tmp_path: Path) -> None:
    from Testing.lib.enhanced_dicom import write_enhanced

    axes = np.eye(3)
    positions = [np.array([0.0, 0.0, 1.5 * k]) for k in range(4)]
    path = write_enhanced(tmp_path / "x.dcm", head().voxels, positions, axes, [1.0] * 4)
    refusals = fuzz(path.read_bytes(), path, 2_000, read_volume, CASES // 3)
    assert CASES // 30 < refusals < CASES // 3
