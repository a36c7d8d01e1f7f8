"""From raw labels to the ones asked for: islands, holes, and labels that are wholes of others."""

from __future__ import annotations

import numpy as np
import pytest

from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.options import SegmentOptions
from MedEnhanceLib.task import Task
from MedEnhanceLib.tasks.tidying import fill_holes, tidied, wanted_labels
from MedEnhanceLib.volume import Label

TISSUES = (Label(1, "Fluid"), Label(2, "Grey"), Label(3, "White"))
BRAIN = Label(4, "Brain", union=(1, 2, 3))


def model(*labels: Label) -> Bundle:
    return Bundle("tissues", "Tissues", Task.SEGMENT, "U-Net", labels=labels)


def nested() -> np.ndarray:
    """Grey around white around fluid, with a hole in it, and an island of grey."""
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[1:10, 1:10, 1:10] = 2
    labels[2:9, 2:9, 2:9] = 3
    labels[4:7, 4:7, 4:7] = 1
    labels[5, 5, 5] = 0
    labels[11, 11, 11] = 2
    return labels


def test_by_default_a_union_is_not_given() -> None:
    assert wanted_labels(model(*TISSUES, BRAIN), SegmentOptions()) == TISSUES


def test_a_union_holds_all_its_parts() -> None:
    options = SegmentOptions(labels=(4,))
    tissues = model(*TISSUES, BRAIN)
    brain = tidied(nested(), tissues, wanted_labels(tissues, options), options)
    assert set(np.unique(brain)) == {0, 4}
    assert (brain == 4).sum() == 9**3


def test_a_label_of_no_union_keeps_its_own_largest_piece() -> None:
    labels = nested()
    labels[1:10, 1:10, 11] = 5
    labels[0, 0, 0] = 5
    tissues = model(*TISSUES, BRAIN, Label(5, "Skull"))
    kept = tidied(labels, tissues, wanted_labels(tissues, SegmentOptions()), SegmentOptions())
    assert (kept == 5).sum() == 81 and kept[0, 0, 0] == 0 and kept[11, 11, 11] == 0


def test_a_union_and_its_part_are_refused_by_name() -> None:
    with pytest.raises(OptionsError, match="Brain holds Grey"):
        wanted_labels(model(*TISSUES, BRAIN), SegmentOptions(labels=(2, 4)))


def test_parts_of_a_whole_keep_what_the_whole_connects() -> None:
    """Two pieces of white in one brain both stay; without the whole only the larger does."""
    labels = np.zeros((3, 3, 9), np.uint8)
    labels[1, 1] = [3, 3, 2, 2, 3, 0, 0, 0, 2]
    options = SegmentOptions(fill_holes=False)
    whole = tidied(labels, model(*TISSUES, BRAIN), TISSUES, options)
    assert whole[1, 1].tolist() == [3, 3, 2, 2, 3, 0, 0, 0, 0]
    alone = tidied(labels, model(*TISSUES), TISSUES, options)
    assert alone[1, 1].tolist() == [3, 3, 2, 2, 0, 0, 0, 0, 0]


def test_one_wanted_part_does_not_swallow_the_others() -> None:
    """White asked for alone stays hollow where the fluid is: that is no hole of the brain."""
    options = SegmentOptions(labels=(3,))
    tissues = model(*TISSUES, BRAIN)
    white = tidied(nested(), tissues, wanted_labels(tissues, options), options)
    assert white[4, 4, 4] == 0
    assert white[3, 3, 3] == 3


def test_a_large_hole_is_filled_from_all_sides() -> None:
    labels = np.zeros((9, 9, 9), np.uint8)
    labels[:, :, :5], labels[:, :, 5:] = 1, 2
    labels[2:7, 2:7, 2:7] = 0
    filled = fill_holes(labels)
    assert filled.all()
    assert filled[4, 4, 2] == 1
    assert filled[4, 4, 6] == 2


def test_a_union_survives_json() -> None:
    assert Label.from_json(BRAIN.to_json()) == BRAIN
    assert "union" not in TISSUES[0].to_json()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_hole_of_a_single_slice_is_filled(axis: int) -> None:
    ring = np.ones((5, 6), np.uint8)
    ring[2, 2:4] = 0
    ring[0, 0] = 0
    filled = fill_holes(np.expand_dims(ring, axis))
    assert filled.shape[axis] == 1
    assert filled.sum() == 29 and filled.squeeze()[0, 0] == 0
