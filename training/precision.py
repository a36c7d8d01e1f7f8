"""Mixed precision: convolutions in 16 bits, weights and losses in 32 (Micikevicius et al. 2018)."""

from __future__ import annotations

from typing import Any, Literal

import torch

from MedEnhanceLib.errors import OptionsError

Precision = Literal["fp32", "bf16", "fp16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class MixedPrecision:
    """Where the network computes in 16 bits, and how its loss is scaled meanwhile.

    Only "fp16" needs scaling: its gradients would vanish below 6e-8. In "fp32" all of this does
    nothing. arXiv:1710.03740.
    """

    def __init__(self, precision: Precision, device: torch.device) -> None:
        if precision == "fp16" and device.type == "cpu":
            raise OptionsError("CPUs do not compute in fp16; use bf16 or fp32 there.")
        self.half, self.device = HALVES.get(precision), device.type
        self.scaler = torch.amp.GradScaler(self.device, enabled=precision == "fp16")

    def autocast(self) -> torch.autocast:
        """The context for the network's forward pass."""
        return torch.autocast(self.device, self.half, enabled=self.half is not None)

    def step(
        self,
        loss: torch.Tensor,
        optimiser: torch.optim.Optimizer,
        network: torch.nn.Module,
        clip: float,
    ) -> None:
        """Go one step down ``loss``, with the norm of the gradient at most ``clip``.

        Raises:
            FloatingPointError: when there is no finite step; the weights stay as they are.
        """
        optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(optimiser)
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
        # In "fp16" gradients may overflow: the scaler leaves out that step and scales less.
        if not torch.isfinite(loss if self.scaler.is_enabled() else norm):
            raise FloatingPointError("the loss or its gradient is not a finite number")
        self.scaler.step(optimiser)
        self.scaler.update()

    def state(self) -> dict[str, Any]:
        """What has to be kept to go on later; empty but in "fp16"."""
        state: dict[str, Any] = self.scaler.state_dict()
        return state

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`; a run of another precision starts its scaling anew."""
        if state:
            self.scaler.load_state_dict(state)
