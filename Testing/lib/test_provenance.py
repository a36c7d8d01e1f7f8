"""What a result tells of how it was made, and what its network was told."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest

import MedEnhanceLib
from MedEnhanceLib import Catalog, Volume, enhance
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.engine import inference
from MedEnhanceLib.intensity import robust_peak
from MedEnhanceLib.noise import estimate_noise, prudent_level
from MedEnhanceLib.options import DenoiseOptions


def test_a_result_tells_how_it_was_made(catalog: Catalog, head: Volume) -> None:
    model = catalog.find("tiny-denoiser")
    assert isinstance(model, Bundle)
    told = enhance(head, "denoise", model.id, {"strength": 0.5}, catalog=catalog).provenance
    assert told["software"] == f"MedEnhance {MedEnhanceLib.__version__}"
    assert told["model_version"] == model.version
    assert told["weights_sha256"] == hashlib.sha256(model.weights.read_bytes()).hexdigest()
    assert told["input_sha256"] == hashlib.sha256(head.voxels.tobytes()).hexdigest()
    assert told["input_size"] == list(head.voxels.shape[::-1])
    assert told["input_spacing_mm"] == list(head.geometry.spacing)
    assert told["options"]["strength"] == 0.5
    assert told["libraries"]["torch"] == version("torch")


@pytest.mark.parametrize("noise", [None, 2.5])
def test_a_network_is_told_the_prudent_level_or_what_the_user_says(
    catalog: Catalog, head: Volume, noise: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Any] = []
    regress = inference.regress

    def listening(forward: Any, channels: list[Any], tile: Any) -> np.ndarray:
        heard.extend(channels)
        return regress(forward, channels, tile)

    monkeypatch.setattr(inference, "regress", listening)
    enhance(head, "denoise", "tiny-denoiser", DenoiseOptions(noise=noise), catalog=catalog)
    peak = robust_peak(head.voxels)
    level = noise or prudent_level(estimate_noise(head.voxels), peak)
    assert heard[1] == pytest.approx(level / peak)
    assert level != pytest.approx(estimate_noise(head.voxels), rel=1e-3)
