"""What a user says of a network, so that MedEnhance knows how to feed it."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

from MedEnhanceLib.bundle import LONGEST_TITLE, MOST_LABELS
from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.input_spec import AXIS_ORDERS
from MedEnhanceLib.intensity import SCALINGS
from MedEnhanceLib.orientation import LETTERS
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Label

# What each task can feed a network with.
CHANNELS = {
    Task.DENOISE: ("image", "noise"),
    Task.SUPER_RESOLUTION: ("image", "factor", "noise", "profile"),
    Task.SEGMENT: ("image",),
}
GOLDEN_ANGLE = 0.381966


@dataclass(frozen=True)
class NetworkForm:
    """How a network that comes alone, as one file, is to be used.

    Attributes:
        title: what it is called in lists; its id is made of it.
        task: a `Task` or its name. For super-resolution the network sharpens an image that was
            interpolated along its first axis; in all tasks the output has the input's size.
        modality: DICOM modality it is for ("MR", "CT"), or "" for any.
        description: a sentence or two.
        normalisation: how intensities are scaled, of `MedEnhanceLib.intensity.SCALINGS`.
        dimensions: 3 for volumes (B, C, k, j, i), 2 for slices (B, C, j, i).
        channels: what each input channel holds, of `CHANNELS`: "image"; "noise", its standard
            deviation on the image's scale; "factor", how many times finer, over four; "profile",
            the slice profile's width over the distance of the slices.
        multiple: input sizes must be multiples of this.
        patch: patch size (x, y, z) it was trained on; by default 96 voxels.
        labels: of a segmentation: names for the values 1, 2, ..., or `Label` rows. The network
            gives a score for the background and each label, or for a single label one score that
            says yes above zero.
        spacing_mm: of a segmentation, the spacing (x, y, z) it knows, or None for any.
        orientation: of a segmentation, where its axes (x, y, z) grow to ("RAS"), or None for any.
        axis_order: "ijk" when it takes (B, C, i, j, k), as MONAI reads images.
        licence: text of its licence.

    Raises:
        OptionsError: when a value makes no sense.
    """

    title: str
    task: Task | str
    modality: str = ""
    description: str = ""
    normalisation: str = "zscore_nonzero"
    dimensions: int = 3
    channels: tuple[str, ...] = ("image",)
    multiple: int = 1
    patch: tuple[int, int, int] | None = None
    labels: tuple[Label | str, ...] = ()
    spacing_mm: tuple[float, float, float] | None = None
    orientation: str | None = None
    axis_order: str = "kji"
    licence: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "task", Task.named(str(self.task)))
        object.__setattr__(self, "modality", self.modality.strip().upper())
        self._check_words()
        self._check_input()
        self._check_labels()

    def _check_words(self) -> None:
        title = self.title.strip()
        if not title.isprintable() or not 0 < len(title) <= LONGEST_TITLE:
            raise OptionsError(
                f"The title {self.title[:LONGEST_TITLE]!r} must be one line of 1 to "
                f"{LONGEST_TITLE} letters."
            )
        if self.modality and not (len(self.modality) == 2 and self.modality.isalpha()):
            raise OptionsError(
                f"The modality '{self.modality}' must be two letters as in DICOM, such as MR or "
                "CT, or empty for any."
            )

    def _check_input(self) -> None:
        _check_choice("normalisation", self.normalisation, tuple(SCALINGS))
        _check_choice("axis_order", self.axis_order, AXIS_ORDERS)
        if self.dimensions not in (2, 3):
            raise OptionsError(f"A network has 2 or 3 dimensions, not {self.dimensions}.")
        if self.axis_order == "ijk" and (self.dimensions == 2 or self.task is not Task.SEGMENT):
            raise OptionsError("The axis_order ijk is for segmentation in 3 dimensions; use kji.")
        if not 1 <= self.multiple <= 512:
            raise OptionsError(f"The multiple {self.multiple} must be 1 to 512 voxels.")
        if self.patch is not None and not all(4 <= n <= 1024 for n in self.patch):
            raise OptionsError(f"The patch {self.patch} must be 4 to 1024 voxels along each axis.")
        fed = CHANNELS[Task(self.task)]
        if not self.channels or not set(self.channels) <= set(fed) or "image" not in self.channels:
            raise OptionsError(
                f"The channels {', '.join(self.channels) or '(none)'} must hold image, and for "
                f"{self.task} may hold {', '.join(fed)}."
            )

    def _check_labels(self) -> None:
        if self.task is Task.SEGMENT and not self.labels:
            raise OptionsError(
                f"A network for {self.task} needs labels; name the structures that it finds, in "
                "the order of its outputs."
            )
        if self.labels and self.task is not Task.SEGMENT:
            raise OptionsError(f"A network for {self.task} has no labels; leave them out.")
        values = [label.value for label in self.label_table]
        if len(set(values)) < len(values) or not all(1 <= v <= MOST_LABELS for v in values):
            raise OptionsError(f"The labels need different values from 1 to {MOST_LABELS}.")
        names = [label.name.strip() for label in self.label_table]
        if len(set(names)) < len(names) or not all(names):
            raise OptionsError(
                f"The labels {', '.join(names)} need a name each, all different, as their volumes "
                "are told by name."
            )
        if self.task is not Task.SEGMENT and (self.spacing_mm or self.orientation):
            raise OptionsError(f"Spacing and orientation are for segmentation, not {self.task}.")
        if self.spacing_mm is not None and not all(0.01 <= s <= 100 for s in self.spacing_mm):
            raise OptionsError(f"The spacing {self.spacing_mm} must be three lengths in mm.")
        axes = sorted(LETTERS.get(letter, (9, 0))[0] for letter in self.orientation or "LPS")
        if axes != [0, 1, 2]:
            raise OptionsError(
                f"The orientation '{self.orientation}' must be three letters like RAS."
            )

    @property
    def label_table(self) -> tuple[Label, ...]:
        """The labels with values and colours."""
        return tuple(
            label if isinstance(label, Label) else Label(number, label, _color(number))
            for number, label in enumerate(self.labels, start=1)
        )


def _check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise OptionsError(f"The {what} '{value}' is none of {', '.join(choices)}.")


def _color(number: int) -> tuple[int, int, int]:
    """Colours as unlike their neighbours as can be: steps of the golden angle around the wheel."""
    red, green, blue = colorsys.hsv_to_rgb(number * GOLDEN_ANGLE % 1, 0.6, 0.9)
    return (round(255 * red), round(255 * green), round(255 * blue))
