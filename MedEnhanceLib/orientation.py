"""Turning a volume's axes towards the patient's, without touching a voxel's value or place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.errors import BundleError
from MedEnhanceLib.geometry import Geometry

# The LPS axis and sign that each anatomical letter points to.
LETTERS = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}


@dataclass(frozen=True)
class Turn:
    """A reordering of axes (i, j, k) and the flips made after it.

    Attributes:
        order: old axis that becomes the new axis 0, 1, 2.
        flips: whether each new axis runs against the old one.
    """

    order: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    @property
    def _flipped_axes(self) -> tuple[int, ...]:
        """Array axes that run backwards after the reordering."""
        return tuple(2 - axis for axis in range(3) if self.flips[axis])

    def apply(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """View of (k, j, i) voxels with the axes turned."""
        axes = [2 - self.order[2 - axis] for axis in range(3)]
        turned = voxels.transpose(axes)
        return np.flip(turned, self._flipped_axes)

    def undo(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """View of turned (k, j, i) voxels with the axes as they were."""
        straight = np.flip(voxels, self._flipped_axes)
        axes = [2 - self.order[2 - axis] for axis in range(3)]
        return straight.transpose([int(a) for a in np.argsort(axes)])

    def apply_to(self, geometry: Geometry) -> Geometry:
        """The grid after turning: every voxel stays where it is."""
        size = [geometry.size[axis] for axis in self.order]
        steps = geometry.matrix[:3, :3][:, list(self.order)]
        start = np.zeros(3)
        for new, old in enumerate(self.order):
            if self.flips[new]:
                steps[:, new] *= -1
                start[old] = geometry.size[old] - 1
        matrix = np.eye(4)
        matrix[:3, :3] = steps
        matrix[:3, 3] = geometry.to_world(start)
        return Geometry.from_matrix(matrix, size)


NO_TURN = Turn((0, 1, 2), (False, False, False))


def axial_turn(geometry: Geometry) -> Turn:
    """The turn after which slices along k are axial, none where they are so already.

    Computed tomography is acquired in such slices, which its noise depends on, but may be stored
    in any order.
    """
    turn = turn_towards(geometry, "LPS")
    return NO_TURN if turn.order[2] == 2 else turn


def turn_towards(geometry: Geometry, code: str) -> Turn:
    """The turn that makes axes (i, j, k) grow nearest to the letters of ``code``, e.g. "RAS".

    The letters say towards what an index grows, as in NIfTI ("RAS": to the right, front, head).

    Raises:
        BundleError: when the code does not name three different axes.
    """
    if sorted(LETTERS.get(letter, (9, 0))[0] for letter in code) != [0, 1, 2]:
        raise BundleError(
            f"The orientation '{code}' is unknown; it must be three letters like RAS."
        )
    cosines = np.array(geometry.direction)
    old_of_world = _nearest_axes(np.abs(cosines))
    order: list[int] = []
    flips: list[bool] = []
    for letter in code:
        world, sign = LETTERS[letter]
        old = old_of_world[world]
        order.append(old)
        flips.append(bool(cosines[world, old] * sign < 0))
    return Turn((order[0], order[1], order[2]), (flips[0], flips[1], flips[2]))


def _nearest_axes(alignment: NDArray[np.float64]) -> dict[int, int]:
    """World axis -> index axis, the best aligned pairs first, each used once."""
    chosen: dict[int, int] = {}
    alignment = alignment.copy()
    for _ in range(3):
        world, old = np.unravel_index(int(alignment.argmax()), alignment.shape)
        chosen[int(world)] = int(old)
        alignment[world, :] = -1
        alignment[:, old] = -1
    return chosen
