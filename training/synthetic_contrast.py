"""Scans of any contrast, made from label maps, so that a network learns shapes, not contrasts.

The idea is SynthSeg's (Billot et al. 2023, doi:10.1016/j.media.2023.102789) and SynthStrip's
(Hoopes et al. 2022, doi:10.1016/j.neuroimage.2022.119474): every label gets a random brightness;
partial volume, shading, resolution, noise and missing skulls are random too. Part of the images
are painted as T1, T2 and FLAIR are, so that common scans are common in training.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from training.tissue_maps import TissueTable

LOOKS: dict[str, dict[str, float]] = {
    "T1": {
        "air": 0.0, "fluid": 0.18, "plexus": 0.4, "grey": 0.5, "deep grey": 0.6, "white": 0.75,
        "lesion": 0.55, "mucosa": 0.45, "muscle": 0.4, "fat": 0.95, "vessel": 0.4, "bone": 0.06,
        "marrow": 0.6,
    },
    "T2": {
        "air": 0.0, "fluid": 1.0, "plexus": 0.8, "grey": 0.55, "deep grey": 0.45, "white": 0.38,
        "lesion": 0.7, "mucosa": 0.75, "muscle": 0.22, "fat": 0.55, "vessel": 0.15, "bone": 0.05,
        "marrow": 0.4,
    },
    "FLAIR": {
        "air": 0.0, "fluid": 0.12, "plexus": 0.5, "grey": 0.66, "deep grey": 0.58, "white": 0.52,
        "lesion": 0.95, "mucosa": 0.75, "muscle": 0.35, "fat": 0.6, "vessel": 0.25, "bone": 0.05,
        "marrow": 0.35,
    },
}  # fmt: skip
"""Typical brightness over the peak; what is drawn differs by some 7 % of the peak."""
STYLES = {"random": 0.24, "T1": 0.14, "T2": 0.11, "FLAIR": 0.11, "phantom": 0.4}
"""How often an image is painted in which manner."""
MIXED_LOOKS = ("muscle", "fat", "marrow", "mucosa", "vessel")
"""What is not of one kind: muscle and the fat between, vessels and dura, and so on."""
LEAST_CONTRAST, LEAST_SCAN_CONTRAST = 0.08, 0.02
MOST_NOISE = 0.1
FLUID = 1


class Painter:
    """Paints rows of a label map: (k, j, i) whole numbers to an image and its tissues.

    Args:
        table: what each row is.
        spacing: of the grids to be painted on, in mm.
    """

    def __init__(self, table: TissueTable, spacing: float = 1) -> None:
        self.table, self.spacing = table, spacing
        self.tissues = torch.from_numpy(table.tissues.astype(np.int64))
        self.mixed = torch.tensor([look in MIXED_LOOKS for look in table.looks])

    def __call__(
        self, rows: torch.Tensor, rng: np.random.Generator, style: str | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Image (float32) and tissues 0 to 3 (int64), both (k, j, i)."""
        style = style or str(rng.choice(list(STYLES), p=list(STYLES.values())))
        tissues = self.tissues[rows]
        image = torch.from_numpy(self.brightness(style, rng))[rows]
        if style != "phantom":
            image = self._textured(image, rows, rng)
        is_stripped = rng.random() < 0.3
        if is_stripped:
            tissues = stripped(tissues, rng, self.spacing)
            image = torch.where(tissues > 0, image, 0.0)
        if rng.random() < (0.3 if style == "phantom" else 0.8) and self.spacing == 1:
            image = blurred(image, rng.uniform(0.3, 0.8))
        image = acquired(image * shading(image.shape, rng), rng, self.spacing)
        if is_stripped and rng.random() < 0.95:
            image = torch.where(tissues > 0, image, 0.0)
        return image, tissues

    def brightness(self, style: str, rng: np.random.Generator) -> NDArray[np.float32]:
        """Brightness of each row of the table in one image, about 0 to 1."""
        if style == "random":
            values = self._any_brightness(rng)
        elif style == "phantom":
            values = self._one_per_tissue(rng)
        else:
            values = self._as_scanned(style, rng)
        return np.clip(values, 0, None).astype(np.float32)

    def _as_scanned(self, style: str, rng: np.random.Generator) -> NDArray[np.float64]:
        """About as in scans of one kind, as long as the three tissues can be told apart."""
        typical = np.array([LOOKS[style][look] for look in self.table.looks])
        if rng.random() < 0.3:  # fat suppressed, say
            typical = np.where(self.table.tissues == 0, typical * self._share(rng), typical)
        fluid, grey, white = (self.table.looks.index(look) for look in ("fluid", "grey", "white"))
        while True:
            values = typical + 0.07 * self._per_look(rng) + 0.025 * self._per_row(rng)
            contrasts = values[fluid] - values[grey], values[grey] - values[white]
            if min(map(abs, contrasts)) > LEAST_SCAN_CONTRAST:
                return np.where(typical > 0, values, 0)

    def _any_brightness(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Any brightness for every look, as long as the three tissues can be told apart."""
        looks = sorted(set(self.table.looks))
        while True:
            value = dict(zip(looks, rng.uniform(0, 1, len(looks)), strict=True))
            value["deep grey"] = value["grey"] + rng.uniform(-0.1, 0.6) * (
                value["white"] - value["grey"]
            )
            fluid, grey, white = value["fluid"], value["grey"], value["white"]
            if min(abs(fluid - grey), abs(grey - white)) > LEAST_CONTRAST:
                break
        if rng.random() < 0.7:
            value["air"] = 0.0
        return np.array([value[look] for look in self.table.looks]) + 0.03 * self._per_row(rng)

    def _one_per_tissue(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """One brightness for each tissue, and around the brain nothing, or a head."""
        style = str(rng.choice(["T1", "T2", "FLAIR", "random"]))
        values = self.brightness(style, rng).astype(np.float64)
        kinds = [self.table.looks.index(look) for look in ("fluid", "grey", "white")]
        by_tissue = np.array([0.0, *values[kinds]])
        outside = values if rng.random() < 0.5 else np.zeros_like(values)
        return np.where(self.table.tissues > 0, by_tissue[self.table.tissues], outside)

    def _share(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """A share of each look's brightness."""
        draws = {look: rng.uniform(0.1, 1) for look in sorted(set(self.table.looks))}
        return np.array([draws[look] for look in self.table.looks])

    def _per_look(self, rng: np.random.Generator) -> NDArray[np.float64]:
        draws = {look: rng.standard_normal() for look in sorted(set(self.table.looks))}
        return np.array([draws[look] for look in self.table.looks])

    def _per_row(self, rng: np.random.Generator) -> NDArray[np.float64]:
        return rng.standard_normal(len(self.table.looks))

    def _textured(
        self, image: torch.Tensor, rows: torch.Tensor, rng: np.random.Generator
    ) -> torch.Tensor:
        """Slow changes within tissue, mixtures outside the brain, now and then lesions."""
        coarse = smooth_field(image.shape, rng.uniform(4, 10) / self.spacing, rng)
        image = image * (1 + rng.uniform(0, 0.06) * coarse)
        fine = smooth_field(image.shape, rng.uniform(2, 5) / self.spacing, rng)
        other = self.mixed[rows] & (fine > rng.uniform(0, 1.2))
        image = torch.where(other, float(rng.uniform(0, 1)), image)
        if rng.random() < 0.25:
            lesion = (self.tissues[rows] > FLUID) & (coarse > rng.uniform(1.8, 2.6))
            image = torch.where(lesion, float(rng.uniform(0, 1)), image)
        return image.clamp_min(0)


def stripped(tissues: torch.Tensor, rng: np.random.Generator, spacing: float = 1) -> torch.Tensor:
    """Tissues of a brain-extracted scan: of the fluid outside only a rim of a few mm is left."""
    if rng.random() < 0.3:
        return tissues
    reach = round(rng.uniform(0.5, 5.5) / spacing)
    solid = (tissues > FLUID).float()[None, None]
    near = solid
    for axis in range(3):
        size, padding = [1, 1, 1], [0, 0, 0]
        size[axis], padding[axis] = 2 * reach + 1, reach
        near = functional.max_pool3d(near, size, stride=1, padding=padding)
    return torch.where(near[0, 0] > 0, tissues, 0)


def smooth_field(shape: Sequence[int], scale: float, rng: np.random.Generator) -> torch.Tensor:
    """A random field with structures of about ``scale`` voxels, mean 0, deviation about 1."""
    coarse = [max(2, round(n / scale)) for n in shape]
    values = torch.from_numpy(rng.standard_normal(coarse, dtype=np.float32))[None, None]
    field = functional.interpolate(values, tuple(shape), mode="trilinear")[0, 0]
    return field / field.std()


def shading(shape: Sequence[int], rng: np.random.Generator) -> torch.Tensor:
    """A receive coil's smooth field around 1; half of the images are nearly even."""
    strength = rng.uniform(0, 0.3) if rng.random() < 0.5 else rng.uniform(0, 0.06)
    exponents = torch.from_numpy(rng.normal(0, strength, (1, 1, 4, 4, 4)).astype(np.float32))
    return functional.interpolate(exponents, tuple(shape), mode="trilinear", align_corners=True)[
        0, 0
    ].exp()


def blurred(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """A Gaussian over five voxels along each axis, as partial volume softens borders."""
    beside, beyond = (float(np.exp(-0.5 * (n / sigma) ** 2)) for n in (1, 2))
    total = 1 + 2 * (beside + beyond)
    for axis in range(3):
        size = image.shape[axis]
        sides = [2 * (axis == n) for n in (2, 2, 1, 1, 0, 0)]
        wide = functional.pad(image[None], sides, mode="replicate")[0]
        near = wide.narrow(axis, 1, size) + wide.narrow(axis, 3, size)
        far = wide.narrow(axis, 0, size) + wide.narrow(axis, 4, size)
        image = (image + beside * near + beyond * far) / total
    return image


def acquired(image: torch.Tensor, rng: np.random.Generator, spacing: float = 1) -> torch.Tensor:
    """Gamma, voxel size, and Rician noise; then back to the grid, as scans are resampled."""
    peak = max(float(image.max()), 1e-3)
    if rng.random() < 0.5:
        image = peak * (image / peak) ** float(np.exp(rng.normal(0, 0.2)))
    # Larger voxels average the noise of the millimetres in them.
    noise = float(rng.uniform(0, MOST_NOISE)) * peak / spacing**1.5
    shape = tuple(image.shape)
    wanted = (max(1.0, size / spacing) for size in voxel_size(rng))
    coarse = tuple(max(8, round(n / s)) for n, s in zip(shape, wanted, strict=True))
    volume = image[None, None]
    if coarse != shape:
        volume = functional.interpolate(volume, coarse, mode="area")
    volume = rician(volume, noise, rng)
    if coarse != shape:
        volume = functional.interpolate(volume, shape, mode="trilinear")
    return volume[0, 0]


def voxel_size(rng: np.random.Generator) -> list[float]:
    """Spacing along each axis in mm: often 1, else up to 2, or slices of up to 6."""
    kind = rng.random()
    if kind < 0.55:
        return [1.0, 1.0, 1.0]
    sizes = [float(rng.uniform(1, 1.6))] * 3
    if kind > 0.7:
        sizes = [float(rng.uniform(1, 1.2))] * 3
        sizes[int(rng.integers(3))] = float(rng.uniform(2, 6))
    return sizes


def rician(image: torch.Tensor, sigma: float, rng: np.random.Generator) -> torch.Tensor:
    """Magnitude of the image with Gaussian noise in both channels."""
    real, imaginary = (
        torch.from_numpy(rng.standard_normal(tuple(image.shape), dtype=np.float32)) * sigma
        for _ in range(2)
    )
    return torch.sqrt((image + real) ** 2 + imaginary**2)
