"""The atlas of the brain tissue model: ``python -m training.tissue_atlas --data FOLDER``.

The label maps that may be trained on, laid over their own mean again and again, and their mirror
images. It is kept like a trained network's weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn import functional

from MedEnhanceLib.engine.networks.tissue_atlas import (
    ATLAS_MM,
    ATLAS_SHAPE,
    CLASSES,
    Placing,
    TissueAtlas,
    descend,
    first_placing,
    resampled,
)
from training.failing import failing_in_a_sentence
from training.run_folder import write_weights
from training.tissue_heads import Head, heads_of, nearest
from training.tissue_maps import TissueTable, read_table

ROUNDS = 3
STEPS, RATE = 60, 0.03
FROM_LEFT = 3
"""Axis of shares (class, k, j, i) that runs from left to right."""


@failing_in_a_sentence()
def main() -> None:
    data, runs = folders(__doc__)
    table = read_table()
    atlas = TissueAtlas()
    atlas.shares.copy_(
        mean_head([shares_of(head, table) for head in heads_of(data, "training", table)])
    )
    keep(atlas, runs / "tissue-atlas")


def folders(description: str | None) -> tuple[Path, Path]:
    """The folder with the scans, and where runs are kept, from the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the scans")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs are kept")
    args = parser.parse_args()
    return args.data, args.runs


def keep(network: torch.nn.Module, run: Path) -> None:
    """Write weights as a training run does its best ones."""
    run.mkdir(parents=True, exist_ok=True)
    write_weights(network.state_dict(), run / "best.pt")
    print(f"Wrote {run / 'best.pt'}.")


def mean_head(heads: Sequence[torch.Tensor]) -> torch.Tensor:
    """The mean of heads (4, k, j, i) at 4 mm after each was turned, stretched and bent to it."""
    moved = list(heads)
    for _ in range(ROUNDS):
        mean = torch.stack([*moved, *(head.flip(FROM_LEFT) for head in moved)]).mean(0)
        moved = [laid_over(head, mean) for head in heads]
    return torch.stack([*moved, *(head.flip(FROM_LEFT) for head in moved)]).mean(0)


def laid_over(head: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """A head in the place and about the shape of another (4, k, j, i)."""
    return resampled(head, ATLAS_MM, placing_over(head, mean), head.shape[1:], ATLAS_MM)


def placing_over(head: torch.Tensor, mean: torch.Tensor) -> Placing:
    """How a head has to be laid over another (4, k, j, i)."""
    coarse, guess = (functional.avg_pool3d(shares[None], 2)[0] for shares in (head, mean))
    return descend(coarse, guess, first_placing(guess), STEPS, RATE, bends=True)


def shares_of(head: Head, table: TissueTable) -> torch.Tensor:
    """How much of each voxel of 4 mm each class has, the brain in the middle (4, k, j, i)."""
    return class_shares(head, torch.from_numpy(table.tissues.astype("int64")), CLASSES)


def class_shares(head: Head, class_of_row: torch.Tensor, classes: int) -> torch.Tensor:
    """Shares (classes, k, j, i) of the classes that rows of the table belong to, on that grid."""
    fold = round(ATLAS_MM)
    axes = [torch.arange(n * fold) - (n * fold - 1) / 2 for n in ATLAS_SHAPE]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    places += torch.tensor(head.middle)[:, None, None, None]
    found = functional.one_hot(class_of_row[nearest(head.rows, places)], classes)
    return functional.avg_pool3d(found.permute(3, 0, 1, 2).float(), fold)


if __name__ == "__main__":
    main()
