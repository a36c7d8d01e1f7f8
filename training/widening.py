"""Starting a wider network from a trained narrower one, which it equals before its first step."""

from __future__ import annotations

import torch
from torch import nn

Weights = dict[str, torch.Tensor]


def widened(network: nn.Module, narrow: Weights) -> Weights:
    """Those of ``narrow`` that fit into larger weights of ``network``, brought to their sizes.

    Trained channels come first and stay as they are. The new ones keep the network's own start,
    but the trained ones do not listen to them yet. So a network that has more channels inside, and
    as many as before at its ends, gives what the narrow one gives. After Chen et al. 2016,
    "Net2Net", arXiv:1511.05641, where new channels are copies instead.
    """
    own = network.state_dict()
    return {
        name: _grown(own[name], weight, _is_transposed(network, name))
        for name, weight in narrow.items()
        if name in own and _fits_into(weight, own[name])
    }


def _fits_into(narrow: torch.Tensor, wide: torch.Tensor) -> bool:
    """Whether there are more channels and all else is alike."""
    channels = range(min(2, narrow.ndim))
    return (
        narrow.shape != wide.shape
        and narrow.shape[2:] == wide.shape[2:]
        and narrow.ndim == wide.ndim
        and all(narrow.shape[axis] <= wide.shape[axis] for axis in channels)
    )


def _is_transposed(network: nn.Module, name: str) -> bool:
    """Whether a weight's first axis is what it listens to, and not what it gives."""
    layer = network.get_submodule(name.rpartition(".")[0])
    return isinstance(layer, (nn.ConvTranspose2d, nn.ConvTranspose3d))


def _grown(own: torch.Tensor, narrow: torch.Tensor, is_transposed: bool) -> torch.Tensor:
    grown = own.clone()
    if narrow.ndim > 1:
        given, heard = (1, 0) if is_transposed else (0, 1)
        trained, new = slice(narrow.shape[given]), slice(narrow.shape[heard], None)
        place = (new, trained) if is_transposed else (trained, new)
        grown[place] = 0
    grown[tuple(map(slice, narrow.shape))] = narrow
    return grown
