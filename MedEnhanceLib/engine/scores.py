"""From scores of all classes to labels, and to how much a label is to be doubted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.mirrors import Axes
from MedEnhanceLib.tiles import Box

Patches = Iterator[tuple[Box, NDArray[np.float32], NDArray[np.float32]]]
"""Where a patch lies, its scores (classes, k, j, i), and the weight of its voxels (k, j, i)."""
MOST_SLAB_BYTES = 1 << 30
"""What the blended scores of all classes may take."""
Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""A batch (B, C, ...) to its scores (B, classes, ...)."""


def score_counts(bundle: Bundle) -> tuple[int, ...]:
    """How many outputs its network may have: the background's and one for each label.

    Of a single label one alone may say yes above zero. Unions have none of their own.
    """
    needed = 1 + max((label.value for label in bundle.labels if not label.union), default=0)
    return (2, 1) if needed == 2 else (needed,)


def mirrored_probabilities(
    run: Run, mirrors: tuple[Axes, ...], batch: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Probabilities of all classes, the mean over mirror images of the batch (B, C, ...).

    A network with one output, which says yes above zero, gets two classes.
    """
    spatial = batch.ndim - 2
    total: NDArray[np.float32] | None = None
    for mirror in mirrors:
        # Mirrors are told by axes of (k, j, i); slices have only the last two.
        axes = tuple(axis - 3 for axis in mirror if axis >= 3 - spatial)
        # A copy each, as networks of others may write into what they are given.
        share = probabilities(run(np.flip(batch, axes).copy()))
        share = np.flip(share, axes) if axes else share
        total = share if total is None else np.add(total, share, out=total)
    assert total is not None  # there are mirrors
    return np.divide(total, np.float32(len(mirrors)), out=total)


def probabilities(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax over the classes, axis 1; of a single output its logistic and the rest."""
    if scores.shape[1] == 1:
        scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
    # In place, as scores of a whole volume are large.
    shares = np.asarray(scores - scores.max(axis=1, keepdims=True), np.float32)
    np.exp(shares, out=shares)
    return np.divide(shares, shares.sum(axis=1, keepdims=True), out=shares)


@dataclass(frozen=True)
class Doubt:
    """How much labels are to be doubted.

    Attributes:
        voxels: (k, j, i), where it is written to.
        becomes: for each class the label that it ends up as; no doubt is cast by another class that
            ends up as the same one.
    """

    voxels: NDArray[np.float32]
    becomes: NDArray[np.uint8]

    def write(
        self,
        place: tuple[slice, ...],
        labels: NDArray[np.uint8],
        probabilities: NDArray[np.float32],
        where: NDArray[np.bool_] | bool = True,
    ) -> None:
        """Write the doubt of a part that got these labels, by the probabilities of all classes.

        It is one less the share of what ends up as the label; the blending's weights do not matter.
        """
        given = self.becomes[labels]
        share, total = np.zeros(given.shape, np.float32), np.zeros(given.shape, np.float32)
        for number, probability in enumerate(probabilities):
            total += probability
            share += probability * (given == self.becomes[number])
        doubt = 1 - share / np.maximum(total, np.float32(1e-12))
        np.copyto(self.voxels[place], doubt, where=where)


def fill(labels: NDArray[np.uint8], doubt: Doubt | None, patches: Patches) -> None:
    """Put the labels, and how much they are to be doubted, of all patches in their places.

    Where patches overlap their scores are blended by their weights. Of many classes on a large
    plane even the slices that are being worked on would hold too much; there each voxel gets its
    label from the patch in which it weighs most, the one whose middle is nearest. A patch that is
    the whole volume is not blended, and its scores are held once only.
    """
    kept: _Slab | _Nearest | None = None
    for box, output, weight in patches:
        if box.shape == labels.shape:
            for k in range(len(labels)):
                decide(labels, doubt, slice(k, k + 1), output[:, k : k + 1])
            return
        if kept is None:
            size = len(output) * box.shape[0] * labels[0].size * output.itemsize
            if size > MOST_SLAB_BYTES:
                kept = _Nearest(labels, doubt)
            else:
                kept = _Slab(labels, doubt, len(output), box.shape[0])
        kept.add(box, output, weight)
    if isinstance(kept, _Slab):
        kept.finish(labels.shape[0])


class _Nearest:
    """Labels from the patch in which a voxel weighs most."""

    def __init__(self, labels: NDArray[np.uint8], doubt: Doubt | None) -> None:
        self.labels, self.doubt = labels, doubt
        self.most = np.zeros(labels.shape, np.float16)

    def add(self, box: Box, scores: NDArray[np.float32], weight: NDArray[np.float32]) -> None:
        """Add a patch."""
        rounded = weight.astype(np.float16)
        better = rounded > self.most[box.slices]
        np.copyto(self.most[box.slices], rounded, where=better)
        labels = likeliest(scores)
        np.copyto(self.labels[box.slices], labels, where=better)
        if self.doubt is not None:
            self.doubt.write(box.slices, labels, scores, where=better)


class _Slab:
    """Blended scores of the slices that patches still reach; finished slices become labels."""

    def __init__(
        self,
        labels: NDArray[np.uint8],
        doubt: Doubt | None,
        classes: int,
        depth: int,
    ) -> None:
        self.labels, self.doubt = labels, doubt
        self.first = 0
        self.scores = np.zeros((classes, depth, *labels.shape[1:]), np.float32)

    def add(self, box: Box, scores: NDArray[np.float32], weight: NDArray[np.float32]) -> None:
        """Add a patch; patches come in order of k."""
        self.finish(box.start[0])
        _, rows, columns = box.slices
        depth = box.shape[0]
        for blended, added in zip(self.scores, scores, strict=True):
            blended[:depth, rows, columns] += added * weight

    def finish(self, upto: int) -> None:
        """Turn the slices before ``upto`` into labels, and move the window there."""
        done = min(upto - self.first, self.scores.shape[1])
        if done <= 0:
            return
        slices = slice(self.first, self.first + done)
        decide(self.labels, self.doubt, slices, self.scores[:, :done])
        self.scores[:, : self.scores.shape[1] - done] = self.scores[:, done:].copy()
        self.scores[:, self.scores.shape[1] - done :] = 0
        self.first = upto


def decide(
    labels: NDArray[np.uint8], doubt: Doubt | None, slices: slice, scores: NDArray[np.float32]
) -> None:
    """Write the labels of some slices, and their doubt, by the scores (classes, k, j, i)."""
    labels[slices] = likeliest(scores)
    if doubt is not None:
        doubt.write((slices,), labels[slices], scores)


def likeliest(scores: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Class of the highest score; a network with one output says yes above zero."""
    if len(scores) == 1:
        return (scores[0] > 0).astype(np.uint8)
    # Slice by slice, since positions are told in 64 bits each.
    labels = np.empty(scores.shape[1:], np.uint8)
    for k in range(len(labels)):
        labels[k] = scores[:, k].argmax(axis=0)
    return labels
