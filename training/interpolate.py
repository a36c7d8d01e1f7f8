"""A network between two: ``python -m training.interpolate --first A --second B --share S --out C``.

The weights of two networks, one of which was trained on from the other, are mixed: 0 gives the
first, 1 the second. Between a network that is right on average and the one that a critic made of it
lie networks that are sharper than the one and truer than the other (Wang et al. 2019, "Deep network
interpolation for continuous imagery effect transition", arXiv:1811.10515).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from MedEnhanceLib.errors import OptionsError
from training.weights import Weights, read_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=Path, required=True, help="a run's best.pt, or a model.pt")
    parser.add_argument("--second", type=Path, required=True, help="the same, trained on from it")
    parser.add_argument("--share", type=float, required=True, help="of the second, 0 to 1")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    args = parser.parse_args()
    mixed = interpolated(read_weights(args.first), read_weights(args.second), args.share)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(mixed, args.out)


def interpolated(first: Weights, second: Weights, share: float) -> Weights:
    """Weights between those of two networks that are built alike.

    Raises:
        OptionsError: when they are not, or ``share`` is not between 0 and 1.
    """
    if not 0 <= share <= 1:
        raise OptionsError(f"The share {share:g} must be between 0 (the first) and 1 (the second).")
    shapes = [{name: weight.shape for name, weight in side.items()} for side in (first, second)]
    if shapes[0] != shapes[1]:
        raise OptionsError(
            "The two networks are built differently; mix only one with its offspring."
        )
    return {name: torch.lerp(first[name].float(), second[name].float(), share) for name in first}


if __name__ == "__main__":
    main()
