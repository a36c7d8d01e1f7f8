"""The network that a configuration describes."""

from __future__ import annotations

from typing import Any

import torch
from monai.networks import nets

from MedEnhanceLib.engine import networks

ROOMS: dict[str, Any] = {"MedEnhanceLib.engine.networks": networks, "monai.networks.nets": nets}


def build_network(definition: dict[str, Any]) -> torch.nn.Module:
    """Build ``_target_`` with the literal arguments beside it."""
    arguments = dict(definition)
    room, _, name = arguments.pop("_target_").rpartition(".")
    network: torch.nn.Module = getattr(ROOMS[room], name)(**arguments)
    return network
