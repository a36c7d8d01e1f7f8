"""Fit the gates of the guided denoiser: ``python -m training.guided --config FILE --data FOLDER``.

All else in it is fixed: the denoiser without a guide, and filters. So every training image is
denoised and looked at only once, and the gates, a small network of each voxel, are fitted to
voxels drawn from all of them. Before that they are fitted without one head after the other, and
what they gain on the head left out is printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from MedEnhanceLib.acquisition import add_rician_noise
from MedEnhanceLib.engine.networks import GuidedDenoiser
from MedEnhanceLib.engine.networks.guided import CANDIDATES, MOST, features, seen_around
from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.intensity import FOREGROUND
from training.data import FloatArray
from training.failing import failing_in_a_sentence
from training.guides import misplaced, nearly_placed, pairs
from training.network import build_network
from training.patches import random_contrast
from training.phantoms import Phantoms, painted
from training.recipe import Config, read_configuration
from training.run_folder import write_weights
from training.tables.rows import block_of
from training.weights import read_first_stage

LEVELS = (0.05, 0.09)
GUIDE_NOISE = 0.005
"""Of the guide's peak, besides its own."""
PHANTOMS = 2
CROP, MARGIN = (28, 36, 36), 6
"""What is looked at, and how much of its rim is not learned from."""
VOXELS, AIR_SHARE = 3000, 0.1
"""Drawn from every crop, and how many of them from air."""
IN_PLACE, NEAR, MISPLACED, ANOTHER = "in place", "part of a voxel off", "misplaced", "another's"
PLACES = (IN_PLACE, IN_PLACE, NEAR, MISPLACED, ANOTHER)
"""Where the guide of one crop after the other lies."""
SIGMA_ERROR, GUIDE_SIGMA_ERROR = 0.07, 0.15
BATCH = 4096


@dataclass(frozen=True, eq=False)
class Case:
    """A noisy block, what it should be, what it is without a guide, and its guide in place.

    ``head`` tells whose it is; all blocks are over their peaks, (k, j, i).
    """

    head: str
    level: float
    noisy: FloatArray
    clean: FloatArray
    plain: FloatArray
    guide: FloatArray
    guide_noise: float


@dataclass(frozen=True, eq=False)
class Voxels:
    """What the gates see, what they may add, and what should be added, in units of the noise."""

    head: str
    place: str
    features: torch.Tensor
    changes: torch.Tensor
    lacking: torch.Tensor


@failing_in_a_sentence()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, help="one of training/configs")
    parser.add_argument("--data", type=Path, required=True, help="the folder with the scans")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs are kept")
    args = parser.parse_args()
    torch.set_num_threads(1)
    config = read_configuration(args.config)
    network = prepared(config)
    found = list(cases(network, args.data))
    rng = np.random.default_rng(config["seed"])
    drawn = [
        voxels(network, case, place, found, rng)
        for _ in range(config["crops"])
        for case in found
        for place in PLACES
    ]
    for head in dict.fromkeys(part.head for part in drawn):
        others = [part for part in drawn if part.head != head]
        if others:
            fit(network, others, config)
            print_gains(network, [part for part in drawn if part.head == head])
    fit(network, drawn, config)
    folder = args.runs / config["id"]
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(network.state_dict(), folder / "best.pt")


def prepared(config: Config) -> GuidedDenoiser:
    """The network with its trained denoiser without a guide."""
    torch.manual_seed(config["seed"])
    network = build_network(config["network_def"])
    if not isinstance(network, GuidedDenoiser):
        raise OptionsError(
            f"'{config['id']}' takes no guide, so there are no gates to fit; run training.train."
        )
    network.plain.load_state_dict(read_first_stage(config.get("first_stage", "")))
    return network.eval()


def cases(network: GuidedDenoiser, data: Path) -> Iterator[Case]:
    """Training heads with their T1 as guide, and phantoms in two contrasts, at every level."""
    for name, clean, guide, noise in clean_blocks(data):
        shown = add_rician_noise(guide, GUIDE_NOISE, np.random.default_rng(8))
        for level in LEVELS:
            noisy = add_rician_noise(clean, level, np.random.default_rng(11))
            inputs = torch.from_numpy(np.stack([noisy, np.full_like(noisy, level)])[None])
            with torch.inference_mode():
                plain = network.plain(inputs)[0, 0].numpy()
            yield Case(name, level, noisy, clean, plain, shown, float(np.hypot(noise, GUIDE_NOISE)))


def clean_blocks(data: Path) -> Iterator[tuple[str, FloatArray, FloatArray, float]]:
    """Whose it is, a quieted image, its guide, and the guide's own noise."""
    for pair in pairs(data, "training", "T1"):
        image, guide = pair.image[1], pair.guide[1]
        yield pair.subject, block_of(image.voxels), block_of(guide.voxels), guide.noise
    rng = np.random.default_rng(5)
    for labels in Phantoms(data, "training").maps[:PHANTOMS]:
        block = block_of(labels)
        yield "phantoms", painted(block, rng), painted(block, rng), 0.0


def voxels(
    network: GuidedDenoiser,
    case: Case,
    place: str,
    cases: Sequence[Case],
    rng: np.random.Generator,
) -> Voxels:
    """Voxels of one crop of a case, with the guide at a place."""
    starts = [
        int(rng.integers(max(1, n - c + 1))) for n, c in zip(case.clean.shape, CROP, strict=True)
    ]
    window = tuple(slice(s, s + c) for s, c in zip(starts, CROP, strict=True))
    noisy, clean, plain = (a[window] for a in (case.noisy, case.clean, case.plain))
    guide = random_contrast(shown(case, place, cases, rng)[window], rng)
    sigma = case.level * np.exp(rng.normal(0, SIGMA_ERROR))
    guide_noise = case.guide_noise * np.exp(rng.normal(0, GUIDE_SIGMA_ERROR))
    noises = (np.full_like(noisy, sigma), np.full_like(noisy, guide_noise))
    channels = [noisy, noises[0], guide, noises[1], plain]
    x = torch.from_numpy(np.stack(channels)[None].astype(np.float32))
    seen = seen_around(network.look(x))
    changes, told = seen[:, :CANDIDATES], features(seen)
    some = torch.from_numpy(chosen(clean, rng))
    lacking = torch.from_numpy((clean - plain) / np.float32(sigma))
    return Voxels(case.head, place, told[0][:, some].T, changes[0][:, some].T, lacking[some])


def shown(case: Case, place: str, cases: Sequence[Case], rng: np.random.Generator) -> FloatArray:
    """A case's guide in place, not quite, elsewhere, or that of another head's."""
    if place == NEAR:
        return nearly_placed(case.guide, rng)
    if place == MISPLACED:
        return misplaced(case.guide, rng)
    if place == ANOTHER:
        others = [other for other in cases if other.head != case.head] or [case]
        other = others[rng.integers(len(others))].guide
        missing = [(0, max(0, n - o)) for n, o in zip(case.clean.shape, other.shape, strict=True)]
        return np.pad(other, missing, mode="symmetric")[tuple(map(slice, case.clean.shape))]
    return case.guide


def chosen(clean: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Which voxels of a crop are learned from: mostly tissue, none near the rim."""
    inner = np.zeros(clean.shape, bool)
    inner[(slice(MARGIN, -MARGIN),) * 3] = True
    picked = np.zeros(clean.size, bool)
    for where, count in ((clean > FOREGROUND, VOXELS), (clean <= FOREGROUND, VOXELS * AIR_SHARE)):
        places = np.flatnonzero(inner & where)
        picked[rng.permutation(places)[: int(count)]] = True
    return picked.reshape(clean.shape)


def fit(network: GuidedDenoiser, parts: Sequence[Voxels], config: Config) -> None:
    """Adam on the squared error in units of the noise, from fresh gates."""
    fresh = prepared(config).gates
    network.gates.load_state_dict(fresh.state_dict())
    features, changes = (
        torch.cat([getattr(part, name) for part in parts]) for name in ("features", "changes")
    )
    lacking = torch.cat([part.lacking for part in parts])
    steps, rate = config["steps"], config["learning_rate"]
    optimiser = torch.optim.AdamW(
        network.gates.parameters(), rate, weight_decay=config["weight_decay"]
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    chance = torch.Generator().manual_seed(config["seed"])
    for _ in range(steps):
        some = torch.randint(lacking.numel(), (BATCH,), generator=chance)
        optimiser.zero_grad()
        added = added_by(network, features[some], changes[some])
        (added - lacking[some]).square().mean().backward()
        optimiser.step()
        schedule.step()


def added_by(
    network: GuidedDenoiser, features: torch.Tensor, changes: torch.Tensor
) -> torch.Tensor:
    """What the gates add to each voxel, from (N, `FEATURES`) and (N, `CANDIDATES`) to (N,)."""
    seen = features
    for layer in network.gates:
        # On a list of voxels a matrix product is much faster than a convolution.
        if isinstance(layer, nn.Conv3d):
            seen = functional.linear(seen, layer.weight.flatten(1), layer.bias)
        else:
            seen = layer(seen)
    return (MOST * torch.sigmoid(seen) * changes).sum(dim=1)


def print_gains(network: GuidedDenoiser, parts: Sequence[Voxels]) -> None:
    """How many dB closer to the truth a head becomes, for each place of the guide."""
    for place in dict.fromkeys(PLACES):
        before, after = [], []
        for part in parts:
            if part.place == place:
                with torch.inference_mode():
                    rest = part.lacking - added_by(network, part.features, part.changes)
                before.append(float(part.lacking.square().mean()))
                after.append(float(rest.square().mean()))
        gain = 10 * np.log10(np.array(before) / np.array(after))
        print(f"{parts[0].head:12} left out, guide {place:20} {gain.mean():+.2f} dB", flush=True)


if __name__ == "__main__":
    main()
