"""Networks that come as a whole program in one file: TorchScript and ONNX."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.engine.calling import last_line
from MedEnhanceLib.engine.memory import OUT_OF_MEMORY
from MedEnhanceLib.errors import BundleError, DependencyError
from MedEnhanceLib.foreign_code import ONNX
from MedEnhanceLib.onnx_graph import read_onnx

NUMBERS = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}
# What onnxruntime, whose errors are of no common kind, says when it gets no memory.
NO_MEMORY = (*OUT_OF_MEMORY, "bfc_arena", "failed to allocate memory", "bad_alloc")


class Program(torch.nn.Module):
    """A network that shows nothing of its layers; always computed in its own precision.

    Attributes:
        device: where it computes; an ONNX file computes on the CPU when onnxruntime knows no GPU.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device


class TorchScriptProgram(Program):
    """A file saved by ``torch.jit.save``."""

    def __init__(self, name: str, path: Path, device: torch.device) -> None:
        super().__init__(device)
        with warnings.catch_warnings():
            # Deprecated, and still the only thing that reads these files.
            warnings.simplefilter("ignore", DeprecationWarning)
            script = torch.jit.load(str(path), map_location=device)
        if not all(bool(torch.isfinite(v).all()) for v in script.state_dict().values()):
            raise BundleError(
                f"The weights of '{name}' hold NaN or infinite values; import the model again."
            )
        # Inside a tuple it does not become a part: the parts of scripts take no hooks.
        self._held = (script.eval(),)

    def forward(self, batch: torch.Tensor) -> Any:
        """Whatever the script makes of (B, C, ...) float32 on `device`."""
        return self._held[0](batch)


class OnnxProgram(Program):
    """An ONNX file, run by onnxruntime; nothing but the operators it comes with is ever run."""

    def __init__(self, name: str, path: Path, device: torch.device) -> None:
        runtime = _onnxruntime(name)
        has_gpu = device.type == "cuda" and "CUDAExecutionProvider" in (
            runtime.get_available_providers()
        )
        super().__init__(device if has_gpu else torch.device("cpu"))
        read_onnx(path).require_whole(path.name)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4
        cuda = [("CUDAExecutionProvider", {"device_id": device.index or 0})] if has_gpu else []
        self._session = runtime.InferenceSession(
            str(path), options, providers=[*cuda, "CPUExecutionProvider"]
        )
        entry = self._session.get_inputs()[0]
        if entry.type not in NUMBERS:
            raise BundleError(f"The network of '{name}' takes {entry.type}, not real numbers.")
        self._input, self._number = entry.name, NUMBERS[entry.type]
        self._one_by_one = bool(entry.shape) and entry.shape[0] == 1

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """The first of the outputs for (B, C, ...) float32 on `device`.

        Raises:
            MemoryError: when it runs out.
        """
        voxels = batch.cpu().contiguous().numpy().astype(self._number, copy=False)
        parts = np.split(voxels, len(voxels)) if self._one_by_one else [voxels]
        try:
            outputs = [self._session.run(None, {self._input: part})[0] for part in parts]
        except Exception as error:
            if any(phrase in str(error).lower() for phrase in NO_MEMORY):
                raise MemoryError(last_line(error)) from error
            raise
        return torch.from_numpy(np.concatenate(outputs)).to(batch.device)


def open_program(bundle: Bundle, device: torch.device) -> Program:
    """The network in the bundle's file of weights; the bundle is trusted as far as it must be.

    Raises:
        BundleError: when the file holds no network that can be run.
        DependencyError: when onnxruntime is needed and missing.
    """
    kind = OnnxProgram if bundle.program == ONNX else TorchScriptProgram
    try:
        return kind(bundle.id, bundle.weights, device)
    except (BundleError, DependencyError):
        raise
    except Exception as error:  # onnxruntime's errors have nothing in common but being one
        raise BundleError(
            f"The {bundle.program} file of '{bundle.id}' cannot be used ({last_line(error)}); "
            "export the network again."
        ) from error


def _onnxruntime(name: str) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise DependencyError(
            f"The model '{name}' is an ONNX file and needs the package 'onnxruntime', which is not "
            "installed; install it (pip install onnxruntime)."
        ) from error
    # On Windows it would tell Microsoft how it is used.
    onnxruntime.disable_telemetry_events()
    return onnxruntime
