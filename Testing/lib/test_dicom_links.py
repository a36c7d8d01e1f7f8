"""DICOM files and folders that are reached through symbolic links."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from MedEnhanceLib.errors import FileError
from MedEnhanceLib.io import ImageWarning, list_series, read_volume

from .dicom_files import ROOT, write_series
from .test_dicom import MR, STACK, refuse

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return write_series(tmp_path / "elsewhere", STACK, uid=f"{ROOT}.2", tags=MR)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "study").mkdir()
    return tmp_path / "study"


def test_a_folder_that_is_a_link_is_looked_into(study: Path, files: list[Path]) -> None:
    (study / "link").symlink_to(files[0].parent)
    np.testing.assert_array_equal(read_volume(study).voxels, STACK)
    write_series(study / "real", STACK[:4] + 1)
    refuse(study, FileError, "holds 2 DICOM series")
    np.testing.assert_array_equal(read_volume(study, "12").voxels, STACK)


def test_links_that_lead_in_a_circle_come_to_an_end(study: Path) -> None:
    write_series(study / "real", STACK)
    (study / "real" / "up").symlink_to(study)
    (study / "again").symlink_to(study / "real")
    (series,) = list_series(study)
    assert series.slices == len(STACK)


def test_a_link_to_a_file_means_the_series_beside_that_file(study: Path, files: list[Path]) -> None:
    link = study / "first"
    link.symlink_to(files[2])
    np.testing.assert_array_equal(read_volume(link).voxels, STACK)


def test_a_link_beside_others_of_the_series_means_these(study: Path, files: list[Path]) -> None:
    for file in files[:3]:
        (study / file.name).symlink_to(file)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ImageWarning)
        np.testing.assert_array_equal(read_volume(study / files[0].name).voxels, STACK[:3])
