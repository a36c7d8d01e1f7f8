"""What MedEnhance's models need before and after the network, as MONAI dictionary transforms.

They let the bundles run under ``python -m monai.bundle run`` in the way of the library: the same
robust peak, the same noise estimate, the same slices. Images are channel-first (1, x, y, z).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config.type_definitions import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms.transform import MapTransform
from monai.utils import ImageMetaKey
from numpy.typing import NDArray

from MedEnhanceLib.acquisition import FACTOR_UNIT, joined_parts
from MedEnhanceLib.intensity import hounsfield_scaling, robust_peak
from MedEnhanceLib.noise import estimate_noise, prudent_level
from MedEnhanceLib.slice_profile import estimate_profile_width

Data = dict[Hashable, Any]
PEAK = "medenhance_peak"
SHAPE = "medenhance_shape"
AFFINE = "medenhance_affine"
AXIS = "medenhance_axis"
SLICES = "medenhance_slices"
FILE = "medenhance_file"
MULTIPLE = 4
"""All networks take sizes of this multiple."""
SLICE_AXIS = 2


class NoiseChanneld(MapTransform):
    """Divide the image by its robust peak and add a channel with its noise level.

    The result's sizes are multiples of 4; :class:`RestorePeakd` undoes all on the prediction.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> Data:
        result = dict(data)
        for key in self.key_iterator(result):
            voxels = _voxels(result[key])
            peak = robust_peak(voxels)
            sigma = prudent_level(estimate_noise(voxels), peak)
            channels = np.stack([voxels, np.full_like(voxels, sigma)]) / np.float32(peak)
            result |= _notes(result[key], peak, voxels.shape, _affine(result[key]), 0)
            result[key] = torch.from_numpy(_padded(channels))
        return result


class GuideChannelsd(MapTransform):
    """Add a guide, over its robust peak, and its noise level as further channels.

    The guide is another item of the data on the image's grid; without it both channels are zero.

    Args:
        guide: key of the guide, (1, x, y, z).
    """

    def __init__(
        self, keys: KeysCollection, guide: str = "guide", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.guide = guide

    def __call__(self, data: Mapping[Hashable, Any]) -> Data:
        result = dict(data)
        for key in self.key_iterator(result):
            channels = torch.as_tensor(result[key])
            if self.guide in result:
                voxels = _voxels(result[self.guide])
                noise = (voxels > 0) * np.float32(estimate_noise(voxels))
                added = _padded(np.stack([voxels, noise]) / np.float32(robust_peak(voxels)))
            else:
                added = np.zeros((2, *channels.shape[1:]), np.float32)
            result[key] = torch.cat([channels, torch.from_numpy(added)])
        result.pop(self.guide, None)
        return result


class HounsfieldNoiseChanneld(MapTransform):
    """Put the slices of a CT first, divide HU by 1000 and add a channel with the noise level.

    The result's sizes are multiples of 4; :class:`RestorePeakd` undoes all on the prediction.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> Data:
        result = dict(data)
        for key in self.key_iterator(result):
            slices = np.moveaxis(_voxels(result[key]), SLICE_AXIS, 0)
            scale = hounsfield_scaling(slices).scale
            sigma = estimate_noise(slices, rician=False)
            channels = np.stack([slices, np.full_like(slices, sigma)]) / np.float32(scale)
            affine = _affine(result[key])
            result |= _notes(result[key], scale, slices.shape, affine, SLICE_AXIS)
            result[key] = torch.from_numpy(_padded(channels))
        return result


class ThickSlicesd(MapTransform):
    """Put the thickest axis first, divide by the robust peak, add factor, noise and profile.

    Args:
        factor: how many times finer; None refines to the finest spacing of the other axes.
    """

    def __init__(
        self, keys: KeysCollection, factor: float | None = None, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.factor = factor

    def __call__(self, data: Mapping[Hashable, Any]) -> Data:
        result = dict(data)
        for key in self.key_iterator(result):
            voxels, affine = _voxels(result[key]), _affine(result[key])
            spacing = np.linalg.norm(affine[:3, :3], axis=0)
            axis = int(np.argmax(spacing))
            slices = voxels.shape[axis]
            size = round(slices * (self.factor or spacing.max() / spacing.min()))
            factor = size / slices
            peak, sigma = robust_peak(voxels), estimate_noise(voxels)
            image = np.moveaxis(voxels, axis, 0) / np.float32(peak)
            flat = np.ones_like(image)
            width = estimate_profile_width(voxels, axis, tuple(spacing), sigma)
            facts = (factor / FACTOR_UNIT, sigma / peak, width)
            channels = np.stack([image, *(flat * np.float32(fact) for fact in facts)])
            refined = _refined(affine, axis, factor)
            result |= _notes(result[key], peak, (size, *image.shape[1:]), refined, axis)
            result[SLICES] = slices
            result[key] = torch.from_numpy(_padded(channels))
        return result


class JoinPartsd(MapTransform):
    """Make the wanted slices of the parts (parts, x, y, z) that a network divided slices into."""

    def __call__(self, data: Mapping[Hashable, Any]) -> Data:
        result = dict(data)
        size, slices = int(np.asarray(result[SHAPE]).ravel()[0]), int(result[SLICES])
        for key in self.key_iterator(result):
            parts = np.asarray(result[key], dtype=np.float32)[:, :slices]
            result[key] = torch.from_numpy(joined_parts(parts, size)[None])
        return result


class RestorePeakd(MapTransform):
    """Bring the prediction back to the image's unit, size, axes and place."""

    def __call__(self, data: Mapping[Hashable, Any]) -> Data:
        result = dict(data)
        x, y, z = (int(n) for n in np.asarray(result[SHAPE]).ravel())
        for key in self.key_iterator(result):
            output = torch.as_tensor(result[key])[:, :x, :y, :z] * float(result[PEAK])
            output = torch.moveaxis(output, 1, 1 + int(result[AXIS]))
            affine = torch.as_tensor(np.asarray(result[AFFINE]).reshape(4, 4))
            file = {ImageMetaKey.FILENAME_OR_OBJ: result[FILE]}
            result[key] = MetaTensor(output.contiguous(), affine=affine, meta=file)
        return result


def _voxels(image: Any) -> NDArray[np.float32]:
    """(x, y, z) of a channel-first image with one channel."""
    array = np.asarray(image, dtype=np.float32)
    if array.ndim != 4 or len(array) != 1:
        raise ValueError(f"One 3D image is needed, but the data has the shape {array.shape}.")
    return array[0]


def _affine(image: Any) -> NDArray[np.float64]:
    affine = image.affine if isinstance(image, MetaTensor) else np.eye(4)
    return np.asarray(affine, dtype=np.float64)


def _refined(affine: NDArray[np.float64], axis: int, factor: float) -> NDArray[np.float64]:
    """The affine with smaller voxels along ``axis`` and the same outer edges."""
    change = np.eye(4)
    change[axis, axis] = 1 / factor
    change[axis, 3] = 0.5 / factor - 0.5
    return affine @ change


def _padded(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pad (C, x, y, z) at the far ends to multiples of 4 by repeating the last voxels."""
    missing = [(0, 0), *((0, -n % MULTIPLE) for n in channels.shape[1:])]
    return np.ascontiguousarray(np.pad(channels, missing, mode="edge"), dtype=np.float32)


def _notes(
    image: Any, peak: float, shape: tuple[int, ...], affine: NDArray[np.float64], axis: int
) -> Data:
    """What `RestorePeakd` needs to know, kept beside the image."""
    meta = image.meta if isinstance(image, MetaTensor) else {}
    file = str(meta.get(ImageMetaKey.FILENAME_OR_OBJ, ""))
    return {PEAK: peak, SHAPE: np.array(shape), AFFINE: affine, AXIS: axis, FILE: file}
