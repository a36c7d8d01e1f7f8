"""Everything the user may set for a run, checked when it is set."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from numbers import Integral, Real
from typing import Any

from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.task import Task

DEVICES = ("auto", "cpu", "cuda", "mps")
DEVICE = r"auto|(cpu|cuda|mps)(:[0-9]+)?"
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
PROFILE_WIDTHS = (0.5, 1.5)
LARGEST_FACTOR = 8.0


@dataclass(frozen=True)
class RunOptions:
    """Common to all tasks.

    Attributes:
        device: "auto", "cpu", "cuda" (also "cuda:1") or "mps".
        precision: "auto" takes the fastest that gives the right answer here.
        tile: largest tile edge in voxels, or None to choose by memory.
        uncertainty: also give a volume of how unsure the network is. It takes four times as
            long: the network also sees mirror images, and the output is the mean of the four.
        evidence: whether denoising measures what it changed; a preview goes without.
    """

    device: str = "auto"
    precision: str = "auto"
    tile: int | None = None
    uncertainty: bool = False
    evidence: bool = True

    def __post_init__(self) -> None:
        if not (isinstance(self.device, str) and re.fullmatch(DEVICE, self.device)):
            raise OptionsError(
                f"The device '{self.device}' is unknown; choose one of {', '.join(DEVICES)}."
            )
        _choice("precision", self.precision, PRECISIONS)
        if self.tile is not None:
            object.__setattr__(self, "tile", _whole("tile size", self.tile))
        if self.tile is not None and self.tile < 16:
            raise OptionsError(f"The tile size {self.tile} is too small; use 16 voxels or more.")
        self._check_booleans("uncertainty", "evidence")

    def _check_booleans(self, *names: str) -> None:
        for name in names:
            if not isinstance(getattr(self, name), bool):
                raise OptionsError(f"The {name} '{getattr(self, name)}' must be true or false.")

    def _make_floats(self, *names: str) -> None:
        """Plain numbers, of whatever library they were; truth values and texts are none."""
        for name in names:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Real | None):
                raise OptionsError(f"The {name.replace('_', ' ')} '{value}' must be a number.")
            object.__setattr__(self, name, None if value is None else float(value))

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON; `options_from_json` reads them back."""
        return asdict(self)


@dataclass(frozen=True)
class DenoiseOptions(RunOptions):
    """How to denoise.

    Attributes:
        strength: 0 gives the input back, 1 the network's output, between them a blend.
        noise: standard deviation of the noise in the volume's own intensity unit (HU for CT),
            or None to estimate it from the volume.
        register_guide: move a guide rigidly to where it fits best; False leaves it where its
            header, or a registration made before, put it.
    """

    strength: float = 1.0
    noise: float | None = None
    register_guide: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_booleans("register_guide")
        self._make_floats("strength", "noise")
        if not 0 <= self.strength <= 1:
            raise OptionsError(f"The strength {self.strength:g} must be between 0 and 1.")
        if self.noise is not None and not (math.isfinite(self.noise) and self.noise > 0):
            raise OptionsError(
                f"The noise level {self.noise:g} must be a positive number in the volume's "
                "intensity unit; leave it out to have it estimated."
            )


@dataclass(frozen=True)
class SuperResolutionOptions(RunOptions):
    """What resolution to reach; by default the finest spacing of the volume along every axis.

    Attributes:
        spacing: wanted spacing in mm along the volume's axes (i, j, k).
        factor: how many voxels to make of one along (i, j, k); give this or ``spacing``.
        profile_width: full width of the slice profile at half its maximum over the distance of
            the slices (1: slices that touch); None to estimate it.
        denoise: remove noise before sharpening, by the denoiser that the model names; None to do
            so from the level on that the model names.
    """

    spacing: tuple[float, float, float] | None = None
    factor: tuple[float, float, float] | None = None
    profile_width: float | None = None
    denoise: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("spacing", "factor"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _triple(name, getattr(self, name)))
        if self.spacing is not None and self.factor is not None:
            raise OptionsError("Give either a spacing or a factor, not both.")
        self._make_floats("profile_width")
        least, most = PROFILE_WIDTHS
        if not isinstance(self.denoise, bool | None):
            raise OptionsError(
                f"The option denoise '{self.denoise}' must be true or false; leave it out to go by "
                "the noise."
            )
        if self.profile_width is not None and not least <= self.profile_width <= most:
            raise OptionsError(
                f"The slice profile's width {self.profile_width} must lie between {least:g} and "
                f"{most:g} times the distance of the slices; leave it out to have it estimated."
            )
        if self.factor is not None and not all(1 <= f <= LARGEST_FACTOR for f in self.factor):
            raise OptionsError(
                f"The factor {self.factor} must lie between 1 and {LARGEST_FACTOR:g} on every axis."
            )


@dataclass(frozen=True)
class SegmentOptions(RunOptions):
    """What to segment.

    Attributes:
        labels: values of the labels wanted, or None for all but wholes, such as Brain.
        keep_largest: keep only the largest connected piece of each label, and of tissues that form
            a whole only that of the whole, and tell when more than crumbs is left out; filters
            keep all.
        fill_holes: fill the holes inside the segmented whole.
    """

    labels: tuple[int, ...] | None = None
    keep_largest: bool = True
    fill_holes: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_booleans("keep_largest", "fill_holes")
        if self.labels is not None:
            object.__setattr__(self, "labels", _values(self.labels))
            if not self.labels or any(v < 1 for v in self.labels):
                raise OptionsError(
                    f"The labels {list(self.labels)} must be at least one value of 1 or more; "
                    "leave them out for all."
                )


Options = DenoiseOptions | SuperResolutionOptions | SegmentOptions

OPTIONS_OF_TASK: dict[Task, type[DenoiseOptions | SuperResolutionOptions | SegmentOptions]] = {
    Task.DENOISE: DenoiseOptions,
    Task.SUPER_RESOLUTION: SuperResolutionOptions,
    Task.SEGMENT: SegmentOptions,
}


def options_from_json(task: Task, data: dict[str, Any]) -> Options:
    """The task's options from a dictionary; raises `OptionsError` on unknown or bad values."""
    kind = OPTIONS_OF_TASK[task]
    known = {f.name for f in fields(kind)}
    unknown = sorted(set(data) - known)
    if unknown:
        raise OptionsError(
            f"The option '{unknown[0]}' does not belong to {task}; known are "
            f"{', '.join(sorted(known))}."
        )
    try:
        return kind(**data)
    except (TypeError, ValueError, AttributeError) as error:
        raise OptionsError(f"The options {data} cannot be used for {task}: {error}.") from error


def _choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise OptionsError(f"The {name} '{value}' is unknown; choose one of {', '.join(choices)}.")


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise OptionsError(f"The {name} {value} must be a whole number.")
    return int(value)


def _values(labels: Any) -> tuple[int, ...]:
    """Each once: a label that is named twice is still one segment."""
    if not isinstance(labels, Iterable):
        raise OptionsError(f"The labels {labels} must be whole numbers such as (1, 2).")
    return tuple(dict.fromkeys(_whole("label", value) for value in labels))


def _triple(name: str, values: Any) -> tuple[float, float, float]:
    try:
        if isinstance(values, str):
            raise TypeError
        x, y, z = (float(v) for v in values)
    except (TypeError, ValueError):
        raise OptionsError(f"The {name} {values} must be three numbers, x y z.") from None
    if not all(math.isfinite(v) and v > 0 for v in (x, y, z)):
        raise OptionsError(f"The {name} {x:g} {y:g} {z:g} must be three positive numbers.")
    return (x, y, z)
