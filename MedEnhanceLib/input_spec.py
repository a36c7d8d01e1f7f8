"""What a network takes, as a bundle says it; each number within what networks have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from MedEnhanceLib.task import Task

# What each task can feed a network with.
CHANNELS = {
    Task.DENOISE: ("image", "noise", "guide", "guide_noise"),
    Task.SUPER_RESOLUTION: ("image", "factor", "noise", "profile"),
    Task.SEGMENT: ("image",),
}
AXIS_ORDERS = ("kji", "ijk")
# Beyond what any network has; more would only fill the memory.
MOST_NEIGHBOURS, MOST_MULTIPLE = 32, 256
LEAST_SPACING_MM, LARGEST_SPACING_MM = 0.01, 100.0


@dataclass(frozen=True)
class InputSpec:
    """What the network takes.

    Attributes:
        dimensions: 3 for patches, 2 for slices along k.
        neighbours: slices above and below that come along as channels (2.5D).
        channels: what each input channel holds, of `CHANNELS`. A guide is a second contrast on
            the image's grid; both of its channels are zero where there is none.
        normalisation: name in `MedEnhanceLib.intensity.SCALINGS`.
        multiple: spatial sizes must be multiples of this.
        orientation: anatomical letters the axes must point to, or None for any.
        spacing_mm: spacing (x, y, z) to resample to, or None for any.
        axis_order: "kji" when the network was trained on arrays as MedEnhance holds them, "ijk"
            for arrays as MONAI reads them.
        thick_slices: of super-resolution; whether the network is given the slices as they are and
            gives `acquisition.PARTS` parts of each, or is given slices that were interpolated to
            the wanted thickness.
    """

    dimensions: int = 3
    neighbours: int = 0
    channels: tuple[str, ...] = ("image",)
    normalisation: str = "zscore_nonzero"
    multiple: int = 1
    orientation: str | None = None
    spacing_mm: tuple[float, float, float] | None = None
    axis_order: str = "kji"
    thick_slices: bool = False


def read_input_spec(spec: dict[str, Any], image: dict[str, Any], task: Task) -> InputSpec:
    """From ``medenhance.input``, or MONAI's description of the image where that is missing.

    Raises:
        ValueError, TypeError, LookupError or ArithmeticError: when it says something impossible.
    """
    default = InputSpec()
    channels = tuple(spec.get("channels", default.channels))
    unknown = [name for name in channels if name not in CHANNELS[task]]
    if unknown:
        raise ValueError(f"{task} knows no input channel '{unknown[0]}'")
    if "image" not in channels:
        raise ValueError("none of its input channels is the image")
    if not spec and int(image.get("num_channels", 1)) != 1:
        raise ValueError(f"it takes {image['num_channels']} images at once, MedEnhance gives one")
    spacing = spec.get("spacing_mm")
    dimensions = int(spec.get("dimensions", len(image.get("spatial_shape", (0, 0, 0)))))
    if dimensions not in (2, 3):
        raise ValueError(f"its network has {dimensions} spatial dimensions, not 2 or 3")
    return InputSpec(
        dimensions=dimensions,
        neighbours=within(spec.get("neighbours", 0), 0, MOST_NEIGHBOURS, "neighbours"),
        channels=channels,
        normalisation=str(spec.get("normalisation", default.normalisation)),
        multiple=within(spec.get("multiple", 16 if not spec else 1), 1, MOST_MULTIPLE, "multiple"),
        orientation=spec.get("orientation"),
        spacing_mm=None if spacing is None else _spacing(spacing),
        axis_order=_axis_order(spec),
        thick_slices=bool(spec.get("thick_slices", False)),
    )


def within(value: Any, least: int, most: int, name: str) -> int:
    """A number that decides how much memory a run takes, if it is one that a network can have."""
    number = int(value)
    if not least <= number <= most:
        raise ValueError(f"its {name} {number} is not within {least} and {most}")
    return number


def _spacing(values: Any) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    if not all(LEAST_SPACING_MM <= s <= LARGEST_SPACING_MM for s in (x, y, z)):
        raise ValueError(f"its spacing {x:g} x {y:g} x {z:g} mm is that of no image")
    return (x, y, z)


def _axis_order(spec: dict[str, Any]) -> str:
    order = str(spec.get("axis_order", "kji" if spec else "ijk"))
    if order not in AXIS_ORDERS:
        raise ValueError(f"its axis_order '{order}' is none of {', '.join(AXIS_ORDERS)}")
    return order
