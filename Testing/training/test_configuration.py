"""A configuration that makes no run is told in a sentence, before any scan is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from MedEnhanceLib.errors import FileError, OptionsError
from training.data import read_image, read_scan
from training.recipe import make_recipe, read_configuration

TinyConfig = Callable[[str], dict[str, Any]]


@pytest.mark.parametrize("given", ["[]", "{}", '{"id": "x"}', '{"network_def": {}}'])
def test_what_every_configuration_tells_is_asked_for(tmp_path: Path, given: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(given)
    with pytest.raises(OptionsError, match=r"has no '(id|network_def)'; compare"):
        read_configuration(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch", 0), ("validate_every", 0), ("learning_rate", "fast"), ("clip", None), ("seed", -1)],
)
def test_numbers_that_make_no_run_are_named(
    data: Path, tiny_config: TinyConfig, name: str, value: object
) -> None:
    config = tiny_config("mr-denoise-residual") | {name: value}
    with pytest.raises(OptionsError, match=rf"'{name}' is {value!r}, not a number of"):
        make_recipe(config, data)


def test_what_a_recipe_needs_is_named(data: Path, tiny_config: TinyConfig) -> None:
    config = tiny_config("mr-denoise-residual")
    del config["patch"]
    with pytest.raises(OptionsError, match="has no 'patch', which its recipe 'denoise' needs"):
        make_recipe(config, data)
    with pytest.raises(OptionsError, match="loss 'sqared' is unknown; choose absolute, squared"):
        make_recipe(tiny_config("mr-denoise-residual") | {"loss": "sqared"}, data)


def test_damaged_and_black_scans_are_not_learned_from(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    voxels = np.random.default_rng(0).uniform(1, 900, (20, 30, 40)).astype(np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(voxels), str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_image(path)), voxels)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(FileError, match="damaged or incomplete"):
        read_scan(path)
    sitk.WriteImage(sitk.GetImageFromArray(0 * voxels), str(path))
    with pytest.raises(FileError, match="shows nothing"):
        read_scan(path)
