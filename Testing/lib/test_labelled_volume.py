"""A segmentation that is impossibly small or large is handed over with a warning."""

from __future__ import annotations

import dataclasses

import pytest

from MedEnhanceLib.bundle import read_bundle
from MedEnhanceLib.io import read_volume
from MedEnhanceLib.options import SegmentOptions
from MedEnhanceLib.progress import Reporter
from MedEnhanceLib.resources import models_folder, sample_folder
from MedEnhanceLib.tasks.segment import segment


@pytest.mark.parametrize(
    ("known", "is_likely"), [((1.0, 10.0), True), ((100.0, 200.0), False), ((0.0, 0.5), False)]
)
def test_a_volume_that_is_not_known_is_said(known: tuple[float, float], is_likely: bool) -> None:
    model = read_bundle(models_folder() / "mr-hippocampus-unet", shipped=True)
    model = dataclasses.replace(model, ranges={"labelled_ml": known})
    volume = read_volume(sample_folder() / "hippocampus_t1.nii.gz")
    _, _, warnings, _ = segment(volume, model, SegmentOptions(), Reporter())
    said = [w for w in warnings if "ml were labelled" in w]
    assert bool(said) != is_likely
    assert all(f"{known[0]:g} to {known[1]:g} ml" in sentence for sentence in said)
