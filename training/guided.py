"""Teaching a denoiser to use a second contrast of the patient, and to distrust a wrong one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from MedEnhanceLib.acquisition import add_rician_noise
from MedEnhanceLib.engine.networks import GuidedDenoiser
from MedEnhanceLib.engine.networks.guided import FEATURES, TAPS, taps
from training.data import FOREGROUND, FloatArray, Reference, mr_scans, quiet_references
from training.denoising import LEAST_NOISE_OVER_REFERENCE
from training.guides import Pair, made_up_contrast, misplaced, moved, nearly_placed, pairs
from training.patches import random_contrast, random_patch, random_turn
from training.phantoms import Phantoms, painted
from training.recipe import Batch, Config

REAL, MADE_UP, PHANTOM = "real", "made up", "phantom"
KINDS = {REAL: 0.75, MADE_UP: 0.15, PHANTOM: 0.1}
"""How often image and guide are two scans of a head, one scan recoloured, or two phantoms."""
MISPLACED, OF_ANOTHER, EXACT = 0.2, 0.05, 0.35
"""How often the guide is misplaced, shows another place or head, or is exactly in place; in the
rest it is off by part of a voxel. Without a guide the second stage does nothing, so there is
nothing to learn from that."""
GUIDE_NOISE = (0.001, 0.04)
"""Of the guide's peak, besides its own; all powers of ten are as likely."""
SIGMA_ERROR, GUIDE_SIGMA_ERROR = 0.07, 0.15
REFERENCE_SIGMA, LEVELLING = 0.03, 0.5
"""Squared error over sigma squared falls as sigma to the power of about -0.5."""
VALIDATION_LEVELS = (0.05, 0.09)
VALIDATION_PATCH = (16, 64, 64)
VALIDATION_GUIDE_NOISE = 0.005
MISPLACED_MM = 3.0
FITTING_BATCHES, FITTING_SHARE = 40, 0.2
RIDGE = 1e-3


class GuidedDenoising:
    """Pairs of contrasts with Rician noise; the first stage is that of a trained model."""

    def __init__(self, config: Config, data: Path) -> None:
        self.batch_size = int(config["batch"])
        self.patch = tuple(config["patch"])
        self.levels = tuple(config["noise"])
        self.first_stage = config["first_stage"]
        self.pairs = list(pairs(data, "training"))
        self.scans = [
            quiet_references(name, scan) for name, scan in mr_scans(data, "training").items()
        ]
        self.phantoms = Phantoms(data, "training")
        self.validation = [
            validation_case(pair)
            for pair in pairs(data, "validation")
            if pair.name.endswith("by T1")
        ]

    def prepare(self, network: torch.nn.Module) -> None:
        """Give the network its trained first stage."""
        assert isinstance(network, GuidedDenoiser)
        weights = torch.load(self.first_stage, map_location="cpu", weights_only=True)
        network.first.load_state_dict(weights)
        self.fit(network)

    def fit(self, network: GuidedDenoiser) -> None:
        """Start from the best weights that are linear in what the second stage sees."""
        rng = np.random.default_rng(0)
        size = TAPS * (FEATURES + 1)
        products, answers = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size).double()
        for _ in range(FITTING_BATCHES):
            columns, lacking = self._equations(network.eval(), self.batch(rng), rng)
            products += (columns @ columns.T).double()
            answers += (columns @ lacking).double()
        ridge = RIDGE * products.diagonal().mean() * torch.eye(size, dtype=torch.float64)
        found = torch.linalg.solve(products + ridge, answers).float().reshape(FEATURES + 1, TAPS)
        bias = network.train().linear.bias
        assert bias is not None
        with torch.no_grad():
            network.linear.weight.copy_(found[1:].T.reshape(TAPS, FEATURES, 1, 1, 1))
            bias.copy_(found[0])

    @torch.inference_mode()
    def _equations(
        self, network: GuidedDenoiser, batch: Batch, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One equation for each of some voxels: (unknowns, voxels), and what they should give."""
        first, means, features = network.first_look(batch.inputs)
        weight = batch.weight * self.level_weight(batch)
        some = torch.from_numpy(rng.random(first.numel()) < FITTING_SHARE)
        removed = batch.inputs[:, :1] - first
        tapped = torch.stack([(tap * weight).flatten()[some] for tap in taps(removed, means)])
        seen = features.transpose(0, 1).flatten(1)[:, some]
        seen = torch.cat([torch.ones_like(seen[:1]), seen])
        columns = (seen[:, None] * tapped[None]).flatten(0, 1)
        return columns, ((batch.target - first) * weight).flatten()[some]

    def batch(self, rng: np.random.Generator) -> Batch:
        samples = [self._sample(rng) for _ in range(self.batch_size)]
        inputs, targets, weights = (np.stack(part) for part in zip(*samples, strict=True))
        return Batch(torch.from_numpy(inputs), torch.from_numpy(targets), torch.from_numpy(weights))

    def _sample(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Four channels, the clean patch, and weights 1 / sigma."""
        sigma = float(rng.uniform(*self.levels))
        clean, shown, quiet = self._pair(sigma, rng)
        chance = rng.random()
        if chance < MISPLACED:
            shown = misplaced(shown, rng)
        elif chance < MISPLACED + OF_ANOTHER:
            shown, quiet = self._pair(sigma, rng)[1:]
        elif chance > MISPLACED + OF_ANOTHER + EXACT:
            shown = nearly_placed(shown, rng)
        noise = float(np.exp(rng.uniform(*np.log(GUIDE_NOISE))))
        guide = add_rician_noise(shown, noise, rng)
        noisy = add_rician_noise(clean, sigma, rng)
        tissue = np.where(clean > FOREGROUND, 1.0, 0.1).astype(np.float32)
        peak, guide_peak = (np.float32(p) for p in rng.uniform(0.6, 1.5, 2))
        believed = sigma * np.exp(rng.normal(0, SIGMA_ERROR))
        guide_believed = np.hypot(noise, quiet) * np.exp(rng.normal(0, GUIDE_SIGMA_ERROR))
        channels = [
            noisy / peak,
            np.full_like(noisy, believed / peak),
            guide / guide_peak,
            np.full_like(noisy, guide_believed / guide_peak),
        ]
        return np.stack(channels), clean[None] / peak, tissue[None] * peak / np.float32(sigma)

    def _pair(self, sigma: float, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, float]:
        """A clean image, its guide, and the noise that the guide has by itself."""
        kind = rng.choice(list(KINDS), p=list(KINDS.values()))
        if kind == PHANTOM:
            labels = self.phantoms.maps[rng.integers(len(self.phantoms.maps))]
            cut = random_turn(random_patch(labels, self.patch, rng, tissue=0.6), rng)
            return painted(cut, rng), painted(cut, rng), 0.0
        if kind == MADE_UP:
            scans = self.scans[rng.integers(len(self.scans))]
            reference = scans[choose(scans, sigma, rng)]
            clean = random_turn(random_patch(reference.voxels, self.patch, rng), rng)
            return random_contrast(clean, rng), made_up_contrast(clean, rng), reference.noise
        pair = self.pairs[rng.integers(len(self.pairs))]
        number = choose(pair.image, sigma, rng)
        both = np.stack([pair.image[number].voxels, pair.guide[number].voxels])
        cut = random_patch(both, (2, *self.patch), rng)
        turn = int(rng.integers(1 << 31))
        clean, guide = (random_turn(part, np.random.default_rng(turn)) for part in cut)
        return random_contrast(clean, rng), random_contrast(guide, rng), pair.guide[number].noise

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Squared error in units of the noise; all noise levels count about alike."""
        error = (output - batch.target) * batch.weight.float() * self.level_weight(batch)
        return error.square().mean()

    @staticmethod
    def level_weight(batch: Batch) -> torch.Tensor:
        """What makes errors in units of sigma alike at all levels, (B, 1, 1, 1, 1)."""
        sigma = 1 / batch.weight.float().amax(dim=(1, 2, 3, 4), keepdim=True)
        return (sigma / REFERENCE_SIGMA) ** (LEVELLING / 2)

    def validate(self, network: torch.nn.Module) -> dict[str, float]:
        """Mean dB above the first stage with the guide in place, and misplaced by 3 mm."""
        measures: dict[str, float] = {}
        for level in VALIDATION_LEVELS:
            above = np.array([gains_over_first(network, case, level) for case in self.validation])
            in_place, moved_away = above.mean(axis=0)
            measures[f"db_over_first_at_{level:.0%}"] = float(in_place)
            measures[f"misplaced_db_over_first_at_{level:.0%}"] = float(moved_away)
        measures["score"] = float(np.mean(list(measures.values())))
        return measures


def choose(scans: list[Reference], sigma: float, rng: np.random.Generator) -> int:
    """Which reference: the scan itself only where its own noise hardly matters."""
    if sigma >= LEAST_NOISE_OVER_REFERENCE * scans[0].noise and rng.random() < 0.5:
        return 0
    return int(rng.integers(1, len(scans)))


def validation_case(pair: Pair) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """The middle of a quieted image, its guide in place and misplaced, and the guide's noise."""
    image, guide = pair.image[1].voxels, pair.guide[1].voxels
    # The references are averaged over pairs of voxels in-plane.
    away = moved(guide, (0, MISPLACED_MM / (2 * pair.spacing[1]), 0), (0, 0, 0))
    starts = [max(0, (n - p) // 2) for n, p in zip(image.shape, VALIDATION_PATCH, strict=True)]
    window = tuple(slice(s, s + p) for s, p in zip(starts, VALIDATION_PATCH, strict=True))
    clean, near, far = (np.ascontiguousarray(part[window]) for part in (image, guide, away))
    return clean, near, far, pair.guide[1].noise


def gains_over_first(
    network: torch.nn.Module, case: tuple[FloatArray, FloatArray, FloatArray, float], sigma: float
) -> tuple[float, float]:
    """How many dB the guided output is closer to the clean image than the first stage's."""
    clean, near, far, quiet = case
    noisy = add_rician_noise(clean, sigma, np.random.default_rng(7))
    level = np.full_like(noisy, sigma)
    guide_level = np.full_like(noisy, np.hypot(VALIDATION_GUIDE_NOISE, quiet))
    nothing = np.zeros_like(noisy)
    errors = []
    for guide, noise in ((nothing, nothing), (near, guide_level), (far, guide_level)):
        if guide is not nothing:
            guide = add_rician_noise(guide, VALIDATION_GUIDE_NOISE, np.random.default_rng(8))
        inputs = torch.from_numpy(np.stack([noisy, level, guide, noise])[None])
        with torch.inference_mode():
            output = network(inputs)[0, 0].numpy()
        errors.append(np.mean((output - clean)[clean > FOREGROUND] ** 2))
    first, in_place, moved_away = errors
    return float(10 * np.log10(first / in_place)), float(10 * np.log10(first / moved_away))
