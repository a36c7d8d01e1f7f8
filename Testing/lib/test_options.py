"""Options check themselves and survive JSON; importing the library is light."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from MedEnhanceLib import DenoiseOptions, SegmentOptions, SuperResolutionOptions, Task
from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.options import Options, options_from_json


@pytest.mark.parametrize(
    ("task", "options"),
    [
        (Task.DENOISE, DenoiseOptions(device="cuda:1", strength=0.3, noise=12.5)),
        (Task.SUPER_RESOLUTION, SuperResolutionOptions(spacing=(1, 1, 2), tile=64)),
        (Task.SUPER_RESOLUTION, SuperResolutionOptions(factor=(1, 1, 2.5))),
        (Task.SEGMENT, SegmentOptions(labels=(1, 2), keep_largest=False)),
    ],
)
def test_json_round_trip(task: Task, options: Options) -> None:
    assert options_from_json(task, json.loads(json.dumps(options.to_json()))) == options


@pytest.mark.parametrize(
    ("task", "values", "word"),
    [
        (Task.DENOISE, {"strength": 1.5}, "between 0 and 1"),
        (Task.DENOISE, {"strength": float("nan")}, "between 0 and 1"),
        (Task.DENOISE, {"strength": "much"}, "much"),
        (Task.DENOISE, {"noise": -3}, "positive"),
        (Task.DENOISE, {"noise": float("inf")}, "positive"),
        (Task.DENOISE, {"device": "tpu"}, "tpu"),
        (Task.DENOISE, {"precision": "int8"}, "int8"),
        (Task.DENOISE, {"tile": 3}, "16 voxels"),
        (Task.DENOISE, {"tile": 33.5}, "whole number"),
        (Task.DENOISE, {"device": None}, "'None' is unknown"),
        (Task.DENOISE, {"device": "cuda:x"}, "'cuda:x' is unknown"),
        (Task.DENOISE, {"device": "auto:1"}, "'auto:1' is unknown"),
        (Task.SEGMENT, {"labels": 3}, "labels 3 must be whole numbers"),
        (Task.DENOISE, {"register_guide": "false"}, "true or false"),
        (Task.SEGMENT, {"keep_largest": "no"}, "true or false"),
        (Task.SEGMENT, {"fill_holes": 1}, "true or false"),
        (Task.SUPER_RESOLUTION, {"denoise": 1}, "true or false; leave it out"),
        (Task.SUPER_RESOLUTION, {"denoise": 0.0}, "true or false; leave it out"),
        (Task.SEGMENT, {"labels": "liver"}, "whole number"),
        (Task.SEGMENT, {"labels": "12"}, "whole number"),
        (Task.SEGMENT, {"labels": [1.7]}, "whole number"),
        (Task.DENOISE, {"strength": True}, "must be a number"),
        (Task.DENOISE, {"noise": "12"}, "must be a number"),
        (Task.SUPER_RESOLUTION, {"factor": "222"}, "three numbers"),
        (Task.SUPER_RESOLUTION, {"factor": (1, 1)}, "three numbers"),
        (Task.SUPER_RESOLUTION, {"factor": (1, 1, 9)}, "between 1 and 8"),
        (Task.SUPER_RESOLUTION, {"spacing": (0, 1, 1)}, "positive"),
        (Task.SUPER_RESOLUTION, {"spacing": (1, 1, 1), "factor": (2, 2, 2)}, "not both"),
        (Task.SEGMENT, {"labels": ()}, "at least one"),
        (Task.SEGMENT, {"labels": (0,)}, "1 or more"),
        (Task.SEGMENT, {"strength": 1}, "does not belong to segment"),
    ],
)
def test_bad_values_are_named(task: Task, values: dict, word: str) -> None:
    with pytest.raises(OptionsError, match=word):
        options_from_json(task, values)


def test_numbers_of_numpy_become_plain_ones() -> None:
    told = DenoiseOptions(tile=np.int64(64), strength=np.float32(0.5), noise=np.float32(12))
    assert json.loads(json.dumps(told.to_json()))["noise"] == 12
    found = SegmentOptions(labels=tuple(np.array([2, 1])))
    assert json.loads(json.dumps(found.to_json()))["labels"] == [2, 1]


def test_a_label_named_twice_is_one_segment() -> None:
    assert SegmentOptions(labels=(2, 1, 2)).labels == (2, 1)


@pytest.mark.parametrize(
    "statement",
    [
        "import MedEnhanceLib",
        "from MedEnhanceLib import Catalog; assert Catalog.default().entries",
        "from MedEnhanceLib import suitability, enhance, read_volume",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(statement: str) -> None:
    check = (
        f"import sys; {statement}; "
        "heavy = {'torch', 'monai', 'SimpleITK', 'scipy', 'slicer', 'qt', 'vtk'} & set(sys.modules)"
        "; assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
