"""The bundles' MONAI transforms: channels as the networks expect them, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data.meta_tensor import MetaTensor

from MedEnhanceLib.acquisition import PARTS
from MedEnhanceLib.engine.monai_transforms import (
    GuideChannelsd,
    HounsfieldNoiseChanneld,
    JoinPartsd,
    NoiseChanneld,
    RestorePeakd,
    ThickSlicesd,
)
from MedEnhanceLib.intensity import robust_peak
from MedEnhanceLib.noise import estimate_noise, prudent_level

AFFINE = np.diag([0.8, 1.0, 4.0, 1.0])
AFFINE[:3, 3] = (10, -20, 30)


@pytest.fixture
def image() -> MetaTensor:
    voxels = 100 + 5 * torch.randn(1, 17, 20, 9, generator=torch.Generator().manual_seed(0))
    return MetaTensor(voxels, affine=torch.tensor(AFFINE), meta={"filename_or_obj": "scan.nii"})


def edges(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """World positions of the volume's two far corners."""
    corners = np.array([[-0.5] * 3, [n - 0.5 for n in shape]])
    return corners @ affine[:3, :3].T + affine[:3, 3]


def test_noise_channel_is_what_the_library_tells(image: MetaTensor) -> None:
    channels = NoiseChanneld("image")({"image": image})["image"]
    voxels = image[0].numpy()
    peak = robust_peak(voxels)
    assert channels.shape == (2, 20, 20, 12)
    np.testing.assert_allclose(channels[0, :17, :, :9], voxels / peak, rtol=1e-5)
    told = prudent_level(estimate_noise(voxels), peak)
    assert float(channels[1, 0, 0, 0]) == pytest.approx(told / peak)
    assert channels[1].unique().numel() == 1


def test_denoised_image_comes_back_in_place(image: MetaTensor) -> None:
    data = NoiseChanneld("image")({"image": image})
    data["pred"] = data["image"][:1]
    restored = RestorePeakd("pred")(data)["pred"]
    np.testing.assert_allclose(restored.numpy(), image.numpy(), rtol=1e-5)
    np.testing.assert_allclose(restored.affine.numpy(), AFFINE)
    assert restored.meta["filename_or_obj"] == "scan.nii"


def test_ct_has_its_slices_first_and_comes_back_in_hu(image: MetaTensor) -> None:
    data = HounsfieldNoiseChanneld("image")({"image": image})
    assert data["image"].shape == (2, 12, 20, 20)
    slices = np.moveaxis(image[0].numpy(), 2, 0)
    np.testing.assert_allclose(data["image"][0, :9, :17], slices / 1000, rtol=1e-5)
    sigma = estimate_noise(slices, rician=False)
    assert float(data["image"][1, 0, 0, 0]) == pytest.approx(sigma / 1000)
    data["pred"] = data["image"][:1]
    restored = RestorePeakd("pred")(data)["pred"]
    np.testing.assert_allclose(restored.numpy(), image.numpy(), rtol=1e-5)
    np.testing.assert_allclose(restored.affine.numpy(), AFFINE)


@pytest.mark.parametrize(("factor", "size"), [(2.0, 18), (None, 45), (1.5, 14), (4.0, 36)])
def test_refined_image_keeps_its_edges(image: MetaTensor, factor: float, size: int) -> None:
    data = ThickSlicesd("image", factor)({"image": image})
    assert data["image"].shape == (4, 12, 20, 20)
    assert float(data["image"][1, 0, 0, 0]) == pytest.approx(size / 9 / 4)
    data["pred"] = data["image"][:1].expand(PARTS, -1, -1, -1)
    restored = RestorePeakd("pred")(JoinPartsd("pred")(data))["pred"]
    assert restored.shape == (1, 17, 20, size)
    np.testing.assert_allclose(
        edges(restored.affine.numpy(), restored.shape[1:]), edges(AFFINE, image.shape[1:])
    )
    np.testing.assert_allclose(restored[..., 0], image[..., 0], rtol=1e-5)
    np.testing.assert_allclose(restored[..., -1], image[..., -1], rtol=1e-5)


def test_guide_channels_are_zero_without_a_guide(image: MetaTensor) -> None:
    data = NoiseChanneld("image")({"image": image})
    alone = GuideChannelsd("image")(data)["image"]
    assert alone.shape == (4, 20, 20, 12)
    assert (alone[2:] == 0).all()
    guide = image.clone()
    guide[:, 8:] = 0  # beyond the guide's field of view
    guided = GuideChannelsd("image")({**data, "guide": guide})
    assert "guide" not in guided
    channels = guided["image"]
    np.testing.assert_allclose(channels[2, :8, :, :9], guide[0, :8] / robust_peak(guide.numpy()))
    assert (channels[3, :8] > 0).all() and (channels[2:, 8:17] == 0).all()
