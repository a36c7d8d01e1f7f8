"""What an ONNX file says of its network, read without the packages that would run it.

An ONNX file is a protocol buffer (https://onnx.ai/onnx/repo-docs/IR.html). Only the few fields
that are needed are looked at; numbers below are the field numbers of ``onnx.proto``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from MedEnhanceLib.errors import BundleError

# Operators of these domains come with onnxruntime.
DOMAINS = frozenset(
    {"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc"}
)
LARGEST_FILE = 2 << 30
DEEPEST = 16
VARINT, EIGHT_BYTES, CHUNK, FOUR_BYTES = 0, 1, 2, 5
EXTERNAL = 1

Sizes = tuple[int | None, ...]


@dataclass(frozen=True)
class OnnxGraph:
    """The outside of a network in an ONNX file.

    Attributes:
        inputs: (B, C, k, j, i) or (B, C, j, i) of each input; None for an axis of any size.
        outputs: of each output, in the same way; empty when the file does not say.
        operators: operators that do not come with onnxruntime, as "domain.name".
        is_split: whether weights lie in other files.
    """

    inputs: tuple[Sizes, ...]
    outputs: tuple[Sizes, ...]
    operators: tuple[str, ...]
    is_split: bool

    def require_whole(self, name: str) -> None:
        """Raise `BundleError` when the file ``name`` could not run by itself."""
        if self.is_split:
            raise BundleError(
                f"'{name}' keeps its weights in other files; save the network in one ONNX file "
                "(onnx.save with save_as_external_data=False)."
            )
        if self.operators:
            raise BundleError(
                f"'{name}' uses the operator {self.operators[0]}, which does not come with "
                "onnxruntime; export the network without it."
            )
        if len(self.inputs) != 1:
            raise BundleError(
                f"'{name}' takes {len(self.inputs)} inputs, but MedEnhance gives one, with a "
                "channel for each thing; export the network with one input."
            )


def read_onnx(path: Path) -> OnnxGraph:
    """Read what a file says of its network; raises `BundleError` when it is no ONNX file."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise BundleError(f"'{path.name}' is larger than an ONNX file can be (2 GB).")
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"'{path.name}' cannot be read ({error.strerror}).") from error
    try:
        return _Reader(memoryview(content)).graph()
    except (ValueError, TypeError, RecursionError) as error:
        raise BundleError(
            f"'{path.name}' is no ONNX file ({error}); export the network again."
        ) from error


class _Reader:
    """Walks a model, collecting what is looked for."""

    def __init__(self, model: memoryview) -> None:
        self.model = model
        self.operators: set[tuple[str, str]] = set()
        self.is_split = False

    def graph(self) -> OnnxGraph:
        graphs = list(_chunks(self.model, 7))
        if len(graphs) != 1:
            raise ValueError("it holds no graph")
        # Functions that the model defines itself are made of other operators.
        own = set()
        for function in _chunks(self.model, 25):
            own.add((_text(function, 10), _text(function, 1)))
            self._visit_nodes(function, 7, 0)
        self._visit_graph(graphs[0], 0)
        foreign = {op for op in self.operators - own if op[0] not in DOMAINS}
        weights = {_text(tensor, 8) for tensor in _chunks(graphs[0], 5)}
        inputs = [v for v in _chunks(graphs[0], 11) if _text(v, 1) not in weights]
        return OnnxGraph(
            tuple(_sizes(value) for value in inputs),
            tuple(_sizes(value) for value in _chunks(graphs[0], 12)),
            tuple(sorted(f"{domain}.{name}" for domain, name in foreign)),
            self.is_split,
        )

    def _visit_graph(self, graph: memoryview, depth: int) -> None:
        if depth > DEEPEST:
            raise ValueError("its graphs are nested too deeply")
        self._visit_nodes(graph, 1, depth)
        for tensor in _chunks(graph, 5):
            self._visit_tensor(tensor)
        for sparse in _chunks(graph, 15):
            for part in (*_chunks(sparse, 1), *_chunks(sparse, 2)):
                self._visit_tensor(part)

    def _visit_nodes(self, parent: memoryview, field: int, depth: int) -> None:
        for node in _chunks(parent, field):
            self.operators.add((_text(node, 7), _text(node, 4)))
            for attribute in _chunks(node, 5):
                for tensor in (*_chunks(attribute, 5), *_chunks(attribute, 10)):
                    self._visit_tensor(tensor)
                for graph in (*_chunks(attribute, 6), *_chunks(attribute, 11)):
                    self._visit_graph(graph, depth + 1)

    def _visit_tensor(self, tensor: memoryview) -> None:
        if any(n == 13 or (n == 14 and value == EXTERNAL) for n, value in _fields(tensor)):
            self.is_split = True


def _sizes(value: memoryview) -> Sizes:
    """Sizes of an input or output: ValueInfoProto.type.tensor_type.shape.dim."""
    return tuple(
        next((n for number, n in _fields(dim) if number == 1 and isinstance(n, int)), None)
        for kind in _chunks(value, 2)
        for tensor in _chunks(kind, 1)
        for shape in _chunks(tensor, 2)
        for dim in _chunks(shape, 1)
    )


def _text(message: memoryview, field: int) -> str:
    return next((bytes(c).decode("utf-8", "replace") for c in _chunks(message, field)), "")


def _chunks(message: memoryview, field: int) -> Iterator[memoryview]:
    for number, value in _fields(message):
        if number == field and isinstance(value, memoryview):
            yield value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(field number, value) of a message; a value is a number or a chunk of bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind == CHUNK:
            length, at = _varint(message, at)
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            length = 8 if kind == EIGHT_BYTES else 4
        else:
            raise ValueError("its bytes are no protocol buffer")
        if at + length > len(message):
            raise ValueError("it ends too early")
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("it ends too early")
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
    raise ValueError("a number in it never ends")
