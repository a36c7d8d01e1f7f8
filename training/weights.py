"""Starting from the weights of another run or of a published model."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from MedEnhanceLib.errors import FileError, OptionsError
from training.widening import Weights, widened

AVERAGED = "module."


def start_from(network: torch.nn.Module, path: Path, widen: bool = False) -> list[str]:
    """Give ``network`` the weights of ``path`` that have its names and shapes.

    Args:
        path: ``best.pt`` or ``checkpoint.pt`` of a run (of the latter the averaged weights), or
            the ``models/model.pt`` of a bundle.
        widen: whether those of fewer channels are taken too; see `training.widening`.

    Returns:
        A sentence for every weight that was not matched, on either side.

    Raises:
        FileError: when no weight matches, or the file holds none.
    """
    offered = read_weights(path)
    own = network.state_dict()
    matching = {n: w for n, w in offered.items() if n in own and own[n].shape == w.shape}
    if widen:
        matching |= widened(network, offered)
    if not matching:
        raise FileError(
            f"'{path.name}' has no weight of this network's names and shapes; start from a model "
            "whose network_def is like that of the configuration."
        )
    network.load_state_dict(matching, strict=False)
    return [
        *(f"'{n}' keeps its own start" for n in own if n not in matching),
        *(f"'{n}' of '{path.name}' is not used" for n in offered if n not in matching),
    ]


def load_whole(network: torch.nn.Module, weights: Weights, path: Path) -> None:
    """Give ``network`` exactly these weights; raises `FileError` when they are of another one."""
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise FileError(
            f"The weights in '{path}' are of another network than the configuration's network_def; "
            "undo the change in it, or train it as another run with --runs."
        ) from error


def read_first_stage(path: str) -> Weights:
    """The weights that a configuration names as its ``first_stage``; `OptionsError` for none."""
    if not path:
        raise OptionsError(
            "The configuration names no 'first_stage'; give there the best.pt or model.pt of the "
            "network that was trained before."
        )
    return read_weights(Path(path))


def read_weights(path: Path) -> Weights:
    """The weights in a file, by name; nothing in it is executed."""
    if not path.is_file():
        raise FileError(f"There are no weights at '{path}'; check the path.")
    if path.suffix == ".safetensors":
        return load_file(str(path))
    state = torch.load(path, map_location="cpu", weights_only=True)
    averaged = state.get("average") if isinstance(state, dict) else None
    if isinstance(averaged, dict):
        state = {n.removeprefix(AVERAGED): w for n, w in averaged.items() if n.startswith(AVERAGED)}
    if not isinstance(state, dict) or not all(isinstance(w, torch.Tensor) for w in state.values()):
        raise FileError(f"'{path.name}' holds no table of weights; choose a run's best.pt.")
    return state
