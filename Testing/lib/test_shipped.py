"""Every shipped model does its task, from end to end, on a small part of a sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from MedEnhanceLib import Catalog, Geometry, Result, Task, Volume, enhance, read_volume
from MedEnhanceLib.benchmark.phantoms import head
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.finder import labels_of_regions
from MedEnhanceLib.io.segments import terminology_entry

HEAD, THICK = ("mr_head_t1.nii.gz", (12, 24, 24)), ("mr_head_t1_thick.nii.gz", (12, 24, 24))
SAMPLES = {
    "ct-denoise-residual": ("ct_thigh.nii.gz", (8, 32, 32)),
    "mr-brain-tissue-unet": None,  # no sample shows a whole head
    "mr-denoise-adversarial": HEAD,
    "mr-denoise-attention": HEAD,
    "mr-denoise-guided": HEAD,
    "mr-denoise-residual": HEAD,
    "mr-hippocampus-unet": ("hippocampus_t1.nii.gz", (40, 50, 39)),
    "mr-super-resolution": THICK,
    "mr-super-resolution-adversarial": THICK,
}


def sample(root: Path, model: Bundle) -> Volume:
    """The middle of the model's sample, or a whole head that is made up."""
    chosen = SAMPLES[model.id]
    if chosen is None:
        return head((32, 32, 32), (4.0, 4.0, 4.0))
    file, size = chosen
    whole = read_volume(root / "Resources/SampleData" / file)
    middle = tuple(
        slice((n - side) // 2, (n + side) // 2)
        for n, side in zip(whole.voxels.shape, size, strict=True)
    )
    voxels = np.ascontiguousarray(whole.voxels[middle])
    place = whole.geometry
    here = Geometry(voxels.shape[::-1], place.spacing, direction=place.direction)
    return Volume(voxels, here, model.modality)


def before_and_after(result: Result, name: str) -> tuple[float, float]:
    (measure,) = [m for m in result.evidence if m.name == name]
    assert measure.after is not None
    return measure.before or 0.0, measure.after


def test_all_that_is_shipped_is_tried() -> None:
    assert {m.id for m in Catalog.default().models() if m.is_trained} == SAMPLES.keys()


def test_the_parts_of_the_hippocampi_are_told_apart_by_their_codes() -> None:
    model = Catalog.default().find("mr-hippocampus-unet")
    assert isinstance(model, Bundle) and model.finder is not None
    parts = labels_of_regions(model.labels, model.finder.regions)
    assert len({terminology_entry(part) for part in parts}) == len(parts) == 4


@pytest.mark.parametrize("name", SAMPLES)
def test_a_shipped_model_does_its_task(root: Path, name: str) -> None:
    model = Catalog.default().find(name)
    assert isinstance(model, Bundle)
    volume = sample(root, model)
    other_contrast = volume.with_voxels(volume.voxels.max() - volume.voxels)
    guide = other_contrast if "guide" in model.input.channels else None
    result = enhance(volume, model.task, name, {"device": "cpu"}, guide=guide)
    assert result.provenance["model"] == name
    if model.task is Task.DENOISE:
        before, after = before_and_after(result, "Noise")
        assert 0 < after < 0.8 * before
        assert not any("removed signal" in sentence for sentence in result.warnings)
    elif model.task is Task.SUPER_RESOLUTION:
        assert result.volume.voxels.shape == (24, 24, 24)
        before, after = before_and_after(result, "Edge sharpness")
        assert after > before
        assert before_and_after(result, "Data consistency")[1] < 1.5
    else:
        parts = {row.value for row in model.labels if not row.union}
        assert set(np.unique(result.labelmap.voxels)) == {0, *parts}
