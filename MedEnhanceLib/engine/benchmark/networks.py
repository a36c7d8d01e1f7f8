"""A bundle's network in several ways over the same volume: the engine's, one pass, MONAI's."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from MedEnhanceLib.acquisition import FACTOR_UNIT, PARTS
from MedEnhanceLib.benchmark.phantoms import body, head
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.engine.channels import Channel
from MedEnhanceLib.engine.forward import Forward
from MedEnhanceLib.engine.inference import classify, regress_all
from MedEnhanceLib.engine.precision import NAMES
from MedEnhanceLib.intensity import scaling_named
from MedEnhanceLib.options import RunOptions
from MedEnhanceLib.progress import Reporter
from MedEnhanceLib.task import Task
from MedEnhanceLib.tiles import Index

NOISE = 0.03
WINDOW, OVERLAP, MODE = (96, 96, 96), 0.25, "gaussian"
"""MONAI's sliding window as its own bundles mostly set it."""


class Contest:
    """One network and one phantom; every way gives the outputs (n, k, j, i), or labels (k, j, i).

    Attributes:
        forward: the network as the engine opens it.
        shape: of the phantom, (k, j, i).
        clean: the phantom without noise, on the network's scale.
    """

    def __init__(self, bundle: Bundle, shape: Index) -> None:
        self.bundle, self.shape = bundle, shape
        self.forward = Forward(bundle, RunOptions(device="cpu"), Reporter())
        make = body if bundle.modality == "CT" else head
        phantom = make(shape).voxels
        scaling = scaling_named(bundle.input.normalisation, phantom)
        image = scaling.normalise(phantom)
        self.clean = scaling.normalise(make(shape, noise=0.0).voxels)
        values: dict[str, Channel] = {
            "image": image,
            "noise": NOISE,
            "guide": image,
            "guide_noise": NOISE,
            "factor": 2 / FACTOR_UNIT,
            "profile": 1.0,
        }
        self.channels = [values[name] for name in bundle.input.channels]

    def engine(self) -> NDArray[Any]:
        """As a run does it."""
        if self.bundle.task is Task.SEGMENT:
            return classify(self.forward, self.channels, None)
        outputs = PARTS if self.bundle.input.thick_slices else 1
        return regress_all(self.forward, self.channels, None, outputs)

    def in_precision(self, name: str) -> NDArray[Any]:
        """As a run does it in another number format."""
        chosen, self.forward.precision = self.forward.precision, NAMES[name]
        try:
            return self.engine()
        finally:
            self.forward.precision = chosen

    def whole(self) -> NDArray[Any]:
        """One pass over everything; its sizes must be multiples of what the network takes."""
        return self._decided(self.forward(self._batch()))

    def sliding_window(self) -> NDArray[Any]:
        """MONAI's inferer with its usual settings, on the network as MONAI would hold it."""
        from monai.inferers import sliding_window_inference

        network = copy.deepcopy(self.forward.network)
        network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        with torch.inference_mode():
            batch = torch.from_numpy(self._batch())
            output: Any = sliding_window_inference(
                batch, WINDOW, 1, network, overlap=OVERLAP, mode=MODE
            )
        return self._decided(output.numpy())

    def flops_per_voxel(self) -> float:
        """Floating-point operations of the convolutions, a multiply-add counting as two."""
        total = 0

        def count(layer: Any, inputs: Any, output: torch.Tensor) -> None:
            nonlocal total
            transposed = isinstance(layer, torch.nn.ConvTranspose3d)
            moved = inputs[0] if transposed else output
            total += 2 * moved.numel() * layer.weight[0].numel()

        kinds = torch.nn.Conv3d | torch.nn.ConvTranspose3d
        layers = [m for m in self.forward.network.modules() if isinstance(m, kinds)]
        hooks = [layer.register_forward_hook(count) for layer in layers]
        # What such a network computes depends on what it sees.
        is_whole = self.forward.needs_whole_volume
        few = torch.zeros(1, len(self.channels), 32, 32, 32)
        sample = torch.from_numpy(self._batch()) if is_whole else few
        with torch.inference_mode():
            self.forward.network(sample)
        for hook in hooks:
            hook.remove()
        return total / sample[0, 0].numel()

    def _batch(self) -> NDArray[np.float32]:
        batch = np.empty((1, len(self.channels), *self.shape), np.float32)
        for number, channel in enumerate(self.channels):
            batch[0, number] = channel
        return batch

    def _decided(self, output: NDArray[np.float32]) -> NDArray[Any]:
        if self.bundle.task is Task.SEGMENT:
            return output[0].argmax(axis=0).astype(np.uint8)
        return output[0]
