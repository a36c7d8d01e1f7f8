"""What a kind of model must offer so that ``train.py`` can train it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from MedEnhanceLib.errors import FileError, OptionsError

Config = dict[str, Any]

ALWAYS = ("id", "network_def")
"""What every configuration tells."""
SCHEDULE = {
    "batch": 1,
    "steps": 1,
    "learning_rate": 0.0,
    "weight_decay": 0.0,
    "warm_up": 0,
    "clip": 0.0,
    "ema": 0.0,
    "ema_from": 0,
    "validate_every": 1,
    "patience": 1,
    "seed": 0,
}
"""Numbers that every run by steps needs, and the least that each may be."""


@dataclass(frozen=True)
class Batch:
    """Network input (B, C, D, H, W), what should come out, and how much each voxel counts."""

    inputs: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor

    @classmethod
    def of(cls, samples: Iterable[Sequence[NDArray[np.floating]]]) -> Batch:
        """Of one input (C, D, H, W), target and weight each."""
        inputs, target, weight = (np.stack(part) for part in zip(*samples, strict=True))
        return cls(torch.from_numpy(inputs), torch.from_numpy(target), torch.from_numpy(weight))


class Validates(Protocol):
    """Scores a network on validation subjects."""

    def prepare(self, network: torch.nn.Module) -> None:
        """Anything to be done with a fresh network before its first step."""

    def validate(self, network: torch.nn.Module) -> dict[str, float]:
        """Measures on validation subjects; ``score`` among them, better when higher."""


class Recipe(Validates, Protocol):
    """Makes batches and says how wrong an output is, too."""

    def batch(self, rng: np.random.Generator) -> Batch:
        """A new random batch; all chance comes from ``rng``."""

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """How far the output is from the target, to be made small."""


@runtime_checkable
class UsesNetwork(Protocol):
    """A recipe that makes its batches with the network that is being trained."""

    def use(self, network: torch.nn.Module) -> None:
        """Called once, before the first batch of a run and whenever a run is continued."""


@runtime_checkable
class MakesImage(Protocol):
    """A recipe whose network's output is not yet an image like the target."""

    def image(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The output as an image of the target's shape."""


def read_configuration(path: Path) -> Config:
    """A configuration; raises `FileError` or `OptionsError` when it is none."""
    if not path.is_file():
        raise FileError(f"There is no configuration '{path}'; choose one in training/configs.")
    try:
        config: Config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FileError(
            f"'{path}' is no JSON ({error}); choose one in training/configs."
        ) from error
    lacking = [name for name in ALWAYS if not isinstance(config, dict) or name not in config]
    if lacking:
        raise OptionsError(
            f"The configuration '{path}' has no '{lacking[0]}'; compare it with those in "
            "training/configs."
        )
    return config


def make_recipe(config: Config, data: Path) -> Recipe:
    """The recipe that ``config`` names, with its scans read from ``data``.

    Raises:
        OptionsError: when it names none, or what a run needs is missing or makes no sense.
    """
    from training.brain_mask import BrainMask
    from training.brain_tissue import BrainTissue
    from training.ct_denoising import CtDenoising
    from training.denoising import Denoising
    from training.segmentation import Segmentation
    from training.super_resolution import SuperResolution
    from training.tissue_guess import TissueGuess

    kinds: dict[str, Callable[[Config, Path], Recipe]] = {
        "denoise": Denoising,
        "ct-denoise": CtDenoising,
        "super-resolution": SuperResolution,
        "segment": Segmentation,
        "brain-mask": BrainMask,
        "brain-tissue": BrainTissue,
        "tissue-guess": TissueGuess,
    }
    if config.get("recipe") not in kinds:
        raise OptionsError(
            f"The configuration '{config['id']}' names no recipe that training.train knows; "
            "training/README.md tells how this model is made."
        )
    _check_schedule(config)
    try:
        return kinds[config["recipe"]](config, data)
    except KeyError as error:
        raise OptionsError(
            f"The configuration '{config['id']}' has no {error}, which its recipe "
            f"'{config['recipe']}' needs; compare it with those in training/configs."
        ) from error


def _check_schedule(config: Config) -> None:
    """Raise `OptionsError` when a number that every run needs is missing or makes no sense."""
    for name, least in SCHEDULE.items():
        value = config.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
            raise OptionsError(
                f"The configuration's '{name}' is {value!r}, not a number of {least:g} or more; "
                "compare it with those in training/configs."
            )
