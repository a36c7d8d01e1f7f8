"""One pass of a network over one batch of boxes: padding, device, precision, progress, checks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.engine.calling import called
from MedEnhanceLib.engine.device import choose_device
from MedEnhanceLib.engine.loading import load_network
from MedEnhanceLib.engine.memory import Call, budget_bytes, bytes_per_voxel, is_out_of_memory
from MedEnhanceLib.engine.networks.streaming import Stream
from MedEnhanceLib.engine.precision import choose_precision, precision_name
from MedEnhanceLib.engine.programs import Program
from MedEnhanceLib.errors import DeviceError, InferenceError
from MedEnhanceLib.options import RunOptions
from MedEnhanceLib.progress import Reporter

CONVOLUTIONS = (
    torch.nn.Conv3d,
    torch.nn.Conv2d,
    torch.nn.ConvTranspose3d,
    torch.nn.ConvTranspose2d,
)
SMALLER_PIECES = "Memory was short, so the volume was worked on in smaller pieces."
SAMPLE_EDGE = 32
NOISES, SAMPLE_NOISE = ("noise", "guide_noise"), 0.05
"""Inputs that tell how strong noise is, and how strong it is in a sample."""
# Networks pool and convolve over three voxels; thinner volumes are padded to this.
SMALLEST_EDGE = 4


class Forward:
    """A bundle's network on a device, fed with numpy arrays.

    Attributes:
        steps: how many passes the run will take, for the progress; set by the planner.
        notes: sentences on what had to be done differently, for the user.
        seconds, core_seconds: elapsed and processor time that the network has taken so far.
    """

    seconds = core_seconds = 0.0

    def __init__(self, bundle: Bundle, options: RunOptions, reporter: Reporter) -> None:
        self.bundle = bundle
        self.multiple = bundle.input.multiple
        self.dimensions = bundle.input.dimensions
        self.reporter = reporter
        self.notes: list[str] = []
        self.steps, self.done = 1, 0
        self._asked_precision = options.precision
        self._use(choose_device(options.device))

    def _use(self, device: torch.device) -> None:
        self.device = device
        try:
            self._open()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self.fall_back_to_cpu()

    def _open(self) -> None:
        self.network = load_network(self.bundle, self.device)
        if isinstance(self.network, Program):
            self._ask_only_what_a_program_can(self.network)
        sample = self._sample()
        weights = self.bundle.verify_weights()
        run = partial(called, self.bundle, self.network)
        part, seen = self._trial() or (run, sample)
        self.precision = choose_precision(self._asked_precision, part, seen, self.device, weights)
        held = bytes_per_voxel(self.network, run, sample)
        self.most_voxels = int(budget_bytes(self.device) / held)

    def _ask_only_what_a_program_can(self, program: Program) -> None:
        """A program cannot be cast from outside, and may know fewer devices than torch."""
        if self._asked_precision not in ("auto", "float32"):
            self.notes.append(f"The network of '{self.bundle.id}' was computed as it was saved.")
        self._asked_precision = "float32"
        if program.device != self.device:
            self.notes.append("onnxruntime has no GPU support here, so the CPU was used.")
            self.device = program.device

    def _sample(self) -> torch.Tensor:
        # A network of fixed size takes its patch and nothing else.
        wanted = min((SAMPLE_EDGE, *(self.bundle.patch or ())))
        edge = -(-wanted // self.multiple) * self.multiple
        spec = self.bundle.input
        channels = len(spec.channels) * (2 * spec.neighbours + 1 if self.dimensions == 2 else 1)
        generator = torch.Generator().manual_seed(0)
        sample = torch.rand(1, channels, *[edge] * self.dimensions, generator=generator)
        # Noise as large as the image, and another in every voxel, is not met at use.
        for number, name in enumerate(spec.channels if self.dimensions == 3 else ()):
            if name in NOISES:
                sample[:, number] = SAMPLE_NOISE
        return sample.to(self.device)

    def _trial(self) -> tuple[Call, torch.Tensor] | None:
        """What number formats are tried with, where the network says so itself."""
        offered = getattr(self.network, "precision_sample", None)
        if offered is None:
            return None
        return self.network, offered(torch.Generator().manual_seed(0)).to(self.device)

    @property
    def precision_name(self) -> str:
        """The number format in use, as options call it."""
        return precision_name(self.precision)

    @property
    def needs_whole_volume(self) -> bool:
        """Whether the network has to see all that was scanned at once."""
        return bool(getattr(self.network, "needs_whole_volume", False))

    def note_smaller_pieces(self) -> None:
        """Tell the user, once, that memory was short."""
        if SMALLER_PIECES not in self.notes:
            self.notes.append(SMALLER_PIECES)

    def fall_back_to_cpu(self) -> None:
        """Go on on the CPU; raises `DeviceError` when that is where we are."""
        if self.device.type == "cpu":
            raise DeviceError(
                "There is not enough memory for this volume even in the smallest pieces; close "
                "other programs, or crop the volume."
            )
        self.notes.append(f"The {self.device.type} device ran out of memory; the CPU was used.")
        self._use(torch.device("cpu"))

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run (B, C, k, j, i), or (B, C, j, i) for a 2D network; sizes of any multiple.

        Returns:
            (B, outputs, ...) of the same spatial size, float32.

        Raises:
            InferenceError: when the network fails, or gives no image of the same size, or NaN.
        """
        size = batch.shape[2:]
        padded = self._padded(batch)
        with self._timed(), self._ticking(), torch.inference_mode():
            output = self._pass(padded)
        inside: tuple[Any, ...] = (slice(None), slice(None), *(slice(0, n) for n in size))
        output = self._checked(output[inside])
        self.done += 1
        return output

    def as_many(self, found: NDArray[np.float32], *counts: int) -> NDArray[np.float32]:
        """The same (B, outputs, ...); raises `InferenceError` when there are not so many outputs.

        Others would be taken for what they are not: a second output for nothing, the score of a
        label that the bundle does not name for that of another.
        """
        if found.shape[1] not in counts:
            raise InferenceError(
                f"The network of '{self.bundle.id}' has {found.shape[1]} outputs, but its "
                f"task and labels need {' or '.join(map(str, counts))}; correct what its bundle "
                "says of it, or choose another model."
            )
        return found

    def open_stream(self) -> Stream | None:
        """The network to be given a volume slab by slab; None where it has no such way."""
        opened = getattr(self.network, "stream", None)
        return None if opened is None else cast(Stream, opened())

    def push(
        self, stream: Stream, slab: NDArray[np.float32], last: bool
    ) -> NDArray[np.float32] | None:
        """Give a stream the next slices (1, C, k, j, i), of sizes that are multiples.

        Returns:
            The slices that are ready, (1, outputs, k, j, i), or None when there are none yet.

        Raises:
            InferenceError: when they hold NaN or infinity.
        """
        half = self.precision is not torch.float32
        autocast = torch.autocast(self.device.type, self.precision, enabled=half)
        with self._timed(), torch.inference_mode(), autocast:
            output = stream.push(torch.from_numpy(slab).to(self.device), last)
            found = None if output is None else self._checked(output.float().cpu().numpy())
        self.done += 1
        self.reporter.step(self.done / max(self.steps, self.done))
        return found

    def _checked(self, output: NDArray[np.float32]) -> NDArray[np.float32]:
        # A sum is not finite when a value is not; it needs no mask of the output's size.
        with np.errstate(all="ignore"):
            suspicious = not np.isfinite(output.sum())
        if suspicious and not np.isfinite(output).all():
            raise InferenceError(
                f"The network of '{self.bundle.id}' gave NaN or infinite values, so nothing is "
                "handed over; try --precision float32 (in the panel: Settings and set-up > "
                "Precision), or another model."
            )
        return output

    def _padded(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        wanted = (max(n, SMALLEST_EDGE) for n in batch.shape[2:])
        full = [-(-n // self.multiple) * self.multiple for n in wanted]
        missing = [(0, f - n) for f, n in zip(full, batch.shape[2:], strict=True)]
        if not any(after for _, after in missing):
            return batch
        return np.pad(batch, [(0, 0), (0, 0), *missing], mode="edge")

    def _pass(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        layout = torch.channels_last_3d if self.dimensions == 3 else torch.channels_last
        tensor = torch.from_numpy(np.ascontiguousarray(batch)).to(self.device)
        tensor = tensor.contiguous(memory_format=layout)
        half = self.precision is not torch.float32
        with torch.autocast(self.device.type, self.precision, enabled=half):
            output = called(self.bundle, self.network, tensor)
        return output.float().cpu().numpy()

    @contextmanager
    def _timed(self) -> Iterator[None]:
        elapsed, busy = time.monotonic(), time.process_time()
        yield
        self.seconds += time.monotonic() - elapsed
        self.core_seconds += time.process_time() - busy

    @contextmanager
    def _ticking(self) -> Iterator[None]:
        """Report progress, and let cancelling take effect, after every convolution."""
        convolutions = [m for m in self.network.modules() if isinstance(m, CONVOLUTIONS)]
        # Of a program only the whole is seen.
        layers: list[torch.nn.Module] = [*convolutions] or [self.network]
        passed = 0

        def tick(*_: Any) -> None:
            nonlocal passed
            passed += 1
            part = min(1.0, passed / len(layers))
            self.reporter.step((self.done + part) / max(self.steps, self.done + 1))

        hooks = [layer.register_forward_hook(tick) for layer in layers]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
