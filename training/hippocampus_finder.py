"""The finder of the hippocampi: ``python -m training.hippocampus_finder --data FOLDER``.

It is put together from the trained first parts of the brain tissue model, and from where both
hippocampi lie in the heads that its atlas was made of. It is kept like a trained network's weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from MedEnhanceLib.engine.networks import AtlasFinder
from MedEnhanceLib.engine.networks.tissue_atlas import ATLAS_MM, places_of, resampled
from training.failing import failing_in_a_sentence
from training.network import build_network
from training.recipe import read_configuration
from training.tissue_atlas import (
    FROM_LEFT,
    class_shares,
    folders,
    keep,
    placing_over,
    shares_of,
)
from training.tissue_heads import Head, heads_of
from training.tissue_maps import TissueTable, read_table
from training.weights import start_from

CONFIG = Path(__file__).parent / "configs/finders/hippocampus-finder.json"
SIDES = {"left": 17, "right": 53}
"""FreeSurfer's labels of the hippocampi, in the order of the finder's regions."""
SIGMA_MM = 6.0
"""Spread of the middle of a hippocampus around its place in the atlas."""


@failing_in_a_sentence()
def main() -> None:
    data, runs = folders(__doc__)
    config = read_configuration(CONFIG)
    network = build_network(config["network_def"])
    assert isinstance(network, AtlasFinder)
    for part in ("guess", "atlas"):
        start_from(getattr(network, part), runs / f"tissue-{part}" / "best.pt")
    table = read_table()
    heads = heads_of(data, "training", table)
    network.regions.copy_(mean_regions(heads, table, network.atlas.shares[0]))
    keep(network, runs / config["id"])


def mean_regions(heads: Sequence[Head], table: TissueTable, atlas: torch.Tensor) -> torch.Tensor:
    """Chances (3, k, j, i) of neither, the left and the right hippocampus's middle, in the atlas.

    A hippocampus is long and lies a little differently in every head: the mean of several has its
    middle too far in front, so the mean of their middles is kept.
    """
    side_of_row = torch.zeros(len(table.tissues), dtype=torch.int64)
    for side, label in enumerate(SIDES.values(), start=1):
        side_of_row[int(table.row_of_label[label])] = side
    found = []
    for head in heads:
        placing = placing_over(shares_of(head, table), atlas)
        sides = class_shares(head, side_of_row, 1 + len(SIDES))
        moved = resampled(sides, ATLAS_MM, placing, atlas.shape[1:], ATLAS_MM)
        # Mirrored, the left one is the right one.
        found += [middles(moved[1:]), middles(moved.flip(FROM_LEFT)[[2, 1]])]
    places = places_of(atlas.shape[1:], ATLAS_MM, atlas.device)
    apart = places[None] - torch.stack(found).mean(0)[:, None, None, None]
    blobs = torch.exp(-0.5 * (apart**2).sum(-1) / SIGMA_MM**2)
    return torch.cat([1 - blobs.sum(0, keepdim=True), blobs])


def middles(shares: torch.Tensor) -> torch.Tensor:
    """Centre of mass in mm from the middle of the atlas, of each of N shares: (N, 3)."""
    places = places_of(shares.shape[1:], ATLAS_MM, shares.device)
    weighted = torch.einsum("ndhw,dhwc->nc", shares, places)
    return weighted / shares.sum((1, 2, 3))[:, None]


if __name__ == "__main__":
    main()
