"""Networks of bounded reach over a volume, slab after slab along D, computing nothing twice.

Every convolution keeps the last slices it was given until the next slab brings their neighbours, so
a slab passes through the whole network without a margin, and what comes out lags behind by the
network's reach. The result is that of one pass over the whole volume; memory is that of a slab. For
depth-first evaluation as such see Alwani et al. 2016, "Fused-layer CNN accelerators",
doi:10.1109/MICRO.2016.7783725.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional

Slab = torch.Tensor | None
"""Consecutive slices (B, C, D, H, W), or None for no slice."""


class Stream(Protocol):
    """Something that slabs pass through, in order; it is used for one volume only."""

    def push(self, x: Slab, last: bool) -> Slab:
        """Give the next slices and get those that are ready; after the last, all of them."""


class Queue:
    """Slices that are still needed, by their number in the volume; held as they came."""

    def __init__(self) -> None:
        self.first = self.end = 0
        self._slabs: list[torch.Tensor] = []

    def append(self, x: Slab) -> None:
        """Add the slices that follow."""
        if x is not None:
            self._slabs.append(x)
            self.end += x.shape[2]

    def parts(self, start: int, stop: int) -> list[torch.Tensor]:
        """Slices from ``start`` up to but not including ``stop``, as views of what was added."""
        found, first = [], self.first
        for slab in self._slabs:
            end = first + slab.shape[2]
            if start < end and stop > first:
                found.append(slab[:, :, max(0, start - first) : stop - first])
            first = end
        return found

    def between(self, start: int, stop: int) -> torch.Tensor:
        """The same in one piece."""
        slices = joined(self.parts(start, stop))
        assert slices is not None
        return slices

    def forget(self, before: int) -> None:
        """Let go of the slices before this one."""
        if before > self.first:
            self._slabs = self.parts(before, self.end)
            self.first = min(before, self.end)
            # A view would hold all that it was cut from.
            self._slabs[:1] = [slab.clone() for slab in self._slabs[:1]]


class Chain:
    """One after the other.

    At the end of a volume all that stages held back comes at once. It is passed on in slabs no
    thicker than those before, since arrays that a processor's cache and the allocator can hold are
    worked on faster.
    """

    def __init__(self, *stages: Stream) -> None:
        self.stages = stages
        self._thickest = [0] * len(stages)

    def push(self, x: Slab, last: bool) -> Slab:
        return joined(self._passed(0, x, last))

    def _passed(self, number: int, x: Slab, last: bool) -> list[torch.Tensor]:
        """What comes out at the end when the stage of that number is given ``x``."""
        if number == len(self.stages):
            return [] if x is None else [x]
        if not last:
            self._thickest[number] = max(self._thickest[number], depth_of(x))
            return self._passed(number + 1, self.stages[number].push(x, False), False)
        found = []
        *parts, end = in_parts(x, self._thickest[number])
        for part in parts:
            found += self._passed(number + 1, self.stages[number].push(part, False), False)
        return found + self._passed(number + 1, self.stages[number].push(end, True), True)


def depth_of(x: Slab) -> int:
    """How many slices there are."""
    return 0 if x is None else x.shape[2]


def in_parts(x: Slab, thickness: int) -> Sequence[Slab]:
    """Consecutive parts of that many slices, the last of fewer; all in one where it is zero."""
    return [x] if x is None or thickness == 0 else x.split(thickness, dim=2)


def joined(slabs: Sequence[torch.Tensor]) -> Slab:
    """One after the other, as one."""
    if len(slabs) < 2:
        return slabs[0] if slabs else None
    return torch.cat(list(slabs), dim=2)


class EachSlice:
    """A function that looks at one slice at a time, or at pairs when given an even number."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.function = function

    def push(self, x: Slab, last: bool) -> Slab:
        return None if x is None else self.function(x)


class FlatConvolution(EachSlice):
    """A convolution that looks at one slice at a time, or at pairs that become one."""

    def __init__(self, layer: nn.Conv3d) -> None:
        super().__init__(lambda x: convolved(x, layer))


class Convolution:
    """A convolution over three slices, with zeros beyond the volume."""

    def __init__(self, layer: nn.Conv3d) -> None:
        self.layer = layer
        self._held: Slab = None

    def push(self, x: Slab, last: bool) -> Slab:
        parts = [part for part in (self._held, x) if part is not None]
        if not parts:
            return None
        edge = torch.zeros_like(parts[0][:, :, :1])
        if self._held is None:
            parts.insert(0, edge)
        if last:
            parts.append(edge)
        held = torch.cat(parts, dim=2)
        self._held = held[:, :, -2:].clone()
        if held.shape[2] < 3:
            return None
        return convolved(held, self.layer)


def convolved(x: torch.Tensor, layer: nn.Conv3d) -> torch.Tensor:
    """The layer's convolution without zeros before the first and after the last slice."""
    _, rows, columns = (int(n) for n in layer.padding)
    padding, stride = (0, rows, columns), layer.stride
    if _is_for_onednn(x):
        # For few slices torch itself takes an algorithm that is ten times slower.
        x = x.contiguous(memory_format=torch.channels_last_3d)
        weight, bias = layer.weight, layer.bias
        return torch.mkldnn_convolution(x, weight, bias, padding, stride, (1, 1, 1), 1)
    return functional.conv3d(x, layer.weight, layer.bias, stride, padding)


def _is_for_onednn(x: torch.Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype is torch.float32
        and torch.backends.mkldnn.is_available()
        and not torch.is_autocast_enabled("cpu")
        and not torch.is_grad_enabled()
    )


class Skip:
    """A stream whose input is added to its output."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._waiting = Queue()

    def push(self, x: Slab, last: bool) -> Slab:
        self._waiting.append(x)
        y = self.stream.push(x, last)
        if y is None:
            return None
        start, stop = self._waiting.first, self._waiting.first + y.shape[2]
        done = 0
        for part in self._waiting.parts(start, stop):
            y[:, :, done : done + part.shape[2]] += part
            done += part.shape[2]
        self._waiting.forget(stop)
        return y


class Multiples:
    """Passes slices on in multiples of a number only."""

    def __init__(self, multiple: int) -> None:
        self.multiple = multiple
        self._waiting = Queue()

    def push(self, x: Slab, last: bool) -> Slab:
        waiting = self._waiting
        waiting.append(x)
        count = (waiting.end - waiting.first) // self.multiple * self.multiple
        if count == 0:
            return None
        stop = waiting.first + count
        ready = waiting.between(waiting.first, stop).clone()
        waiting.forget(stop)
        return ready


class Window:
    """A function that looks ``reach`` slices to both sides, given those around what is asked.

    Args:
        function: of slices, to a slab of 1 / ``fold`` as many.
        reach: how far it looks; also a multiple of ``fold``.
        fold: slices that become one.
        multiple: of slices that it must be given, from one that is a multiple on.
    """

    def __init__(
        self,
        function: Callable[[torch.Tensor], torch.Tensor],
        reach: int,
        fold: int = 1,
        multiple: int = 1,
    ) -> None:
        self.function, self.fold = function, fold
        self.multiple = max(fold, multiple)
        self.reach = -(-reach // self.multiple) * self.multiple
        self._queue = Queue()
        self._done = 0

    def push(self, x: Slab, last: bool) -> Slab:
        queue = self._queue
        queue.append(x)
        whole = queue.end // self.multiple * self.multiple
        stop = queue.end if last else whole - self.reach
        if stop <= self._done:
            return None
        start = max(0, self._done - self.reach)
        y = self.function(queue.between(start, whole))
        first = (self._done - start) // self.fold
        y = y[:, :, first : first + (stop - self._done) // self.fold]
        self._done = stop
        queue.forget(stop - self.reach)
        return y


class Beside:
    """A stream whose output is joined with the slices it was made from.

    Args:
        stream: gives one slice for each ``fold`` it is given, late by ``reach`` or more.
        join: of the output, of the slices it was made from with up to ``reach`` more on both
            sides, and of how many of these come before; to what is passed on.
    """

    def __init__(
        self,
        stream: Stream,
        join: Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor],
        reach: int = 0,
        fold: int = 1,
    ) -> None:
        self.stream, self.join = stream, join
        self.reach, self.fold = reach, fold
        self._queue = Queue()
        self._done = 0

    def push(self, x: Slab, last: bool) -> Slab:
        self._queue.append(x)
        y = self.stream.push(x, last)
        if y is None:
            return None
        stop = self._done + y.shape[2] * self.fold
        start = max(0, self._done - self.reach)
        around = self._queue.between(start, min(self._queue.end, stop + self.reach))
        joined = self.join(y, around, self._done - start)
        self._done = stop
        self._queue.forget(stop - self.reach)
        return joined
