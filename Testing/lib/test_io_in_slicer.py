"""What the library writes, Slicer's own readers put in the same place."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from MedEnhanceLib.io import write_image
from MedEnhanceLib.volume import Label, LabelMap, Volume

from .test_io_round_trip import EXTENSIONS, PLACES, TOLERANCE_MM, numbers

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("slicer") is None, reason="slicer-core has no wheel for this Python"
)
READER = Path(__file__).with_name("read_in_slicer.py")
TESTING = READER.parent.parent
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_in_slicer(paths: list[Path]) -> dict[Path, Any]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTING), str(TESTING.parent)])}
    command = [sys.executable, str(READER), *map(str, paths)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    answers = json.loads(ran.stdout.split("ANSWERS")[-1])
    return {Path(path): answer for path, answer in answers.items()}


def test_volumes_of_every_format_and_place(tmp_path: Path) -> None:
    given = {}
    for number, (name, geometry) in enumerate(PLACES.items()):
        for extension in EXTENSIONS:
            path = tmp_path / f"{number}{extension}"
            given[path] = (name, Volume(numbers(geometry, np.int16), geometry))
            write_image(given[path][1], path)
    answers = read_in_slicer(list(given))
    for path, (name, volume) in given.items():
        matrix = np.array(answers[path]["matrix"])
        seen = points_by_value(matrix, np.reshape(answers[path]["voxels"], volume.voxels.shape))
        meant = points_by_value(LPS_TO_RAS @ volume.geometry.matrix, volume.voxels)
        assert np.abs(seen - meant).max() < TOLERANCE_MM, (name, path.suffix)


def points_by_value(matrix: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    """Where each voxel lies, in the order of the values, which all differ.

    Slicer turns the axes of a left-handed volume around, so that only this can be compared.
    """
    assert len(np.unique(voxels)) == voxels.size
    index = np.array(np.unravel_index(np.argsort(voxels, axis=None), voxels.shape))[::-1]
    return (matrix[:3, :3] @ index).T + matrix[:3, 3]


def test_segmentations_with_names_colours_and_codes(tmp_path: Path) -> None:
    geometry = PLACES["permuted left-handed"]
    voxels = np.zeros(geometry.shape, np.uint8)
    voxels[1:3, 1:4, 2:5], voxels[3, 4, 5:] = 1, 2
    anterior = Label(
        1, "anterior", (216, 101, 79), ("SCT", "1", "Structure"), ("SCT", "2", "Anterior")
    )
    labelmap = LabelMap(voxels, geometry, (anterior, Label(2, "posterior", (1, 2, 3))))
    write_image(labelmap, tmp_path / "h.seg.nrrd")
    first, second = read_in_slicer([tmp_path / "h.seg.nrrd"])[tmp_path / "h.seg.nrrd"]["segments"]
    assert (first["name"], first["color"], first["voxels"]) == ("anterior", [216, 101, 79], 18)
    assert (second["name"], second["color"], second["voxels"]) == ("posterior", [1, 2, 3], 2)
    assert "~SCT^1^Structure~SCT^2^Anterior~" in first["terminology"]
    np.testing.assert_allclose(first["matrix"], LPS_TO_RAS @ geometry.matrix, atol=TOLERANCE_MM)
