"""The super-resolution recipe's optional physics: off by default, told to the network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.super_resolution import SuperResolution


def test_slices_with_gaps_are_told_as_narrower(
    data: Path, tiny_config: Callable[[str], dict[str, Any]]
) -> None:
    config = tiny_config("mr-super-resolution") | {"batch": 16}
    plain, none, gaps = (
        SuperResolution(config | asked, data).batch(np.random.default_rng(1)).inputs
        for asked in ({}, {"gap": 0}, {"gap": 1})
    )
    assert torch.equal(plain, none)
    assert gaps[:, 3].mean() < 0.7 < 0.85 < plain[:, 3].mean()
