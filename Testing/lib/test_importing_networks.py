"""Networks that come as one file: looked at, wrapped in a bundle, and run when they may."""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from MedEnhanceLib import Catalog, MedEnhanceError, NetworkForm, Volume, enhance, import_network
from MedEnhanceLib.diagnosis import bundle_state
from MedEnhanceLib.engine import programs
from MedEnhanceLib.engine.forward import SAMPLE_EDGE, SMALLER_PIECES
from MedEnhanceLib.errors import (
    BundleError,
    CancelledError,
    DependencyError,
    InferenceError,
    OptionsError,
    TrustError,
)
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.onnx_graph import read_onnx
from MedEnhanceLib.result import Result

from .conftest import head_like

FORM = NetworkForm("My halver", "denoise", "mr", normalisation="robust_peak")


class Halver(torch.nn.Module):
    """Half of the first channel, through a convolution that looks at neighbours of weight zero."""

    def __init__(self, dimensions: int = 3, channels: int = 1, outputs: int = 1) -> None:
        super().__init__()
        kind = torch.nn.Conv3d if dimensions == 3 else torch.nn.Conv2d
        self.mix = kind(channels, outputs, 3, padding=1, bias=False)
        self.mix.weight.data.zero_()
        middle = (1,) * dimensions
        self.mix.weight.data[(slice(None), 0, *middle)] = 0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mix(x)


class Bomb:
    """Unpickling this writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDENHANCE_MODELS", str(tmp_path / "user"))
    monkeypatch.setattr("MedEnhanceLib.catalog.models_folder", lambda: tmp_path / "none")
    return tmp_path / "user"


def script(network: torch.nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(network).save(str(path))
    return path


def onnx_file(path: Path, sizes: list[Any], scores: int = 1, **more: Any) -> Path:
    """An ONNX file that gives half of its input, for each score."""
    onnx = pytest.importorskip("onnx")
    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    half = helper.make_tensor("half", number, [], [0.5])
    nodes = [helper.make_node("Mul", ["x", "half"], ["y0"], **more)]
    nodes += [helper.make_node("Concat", ["y0"] * scores, ["y"], axis=1)]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", number, sizes)],
        [helper.make_tensor_value_info("y", number, [sizes[0], scores, *sizes[2:]])],
        [half],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("of.strangers", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    return path


ANY = ["b", 1, "k", "j", "i"]


def halved(head: Volume, trusted: tuple[str, ...] = ()) -> Result:
    """The imported network gives half of the volume, on its own grid."""
    result = enhance(head, "denoise", "my-halver", catalog=Catalog.default(trusted=trusted))
    assert result.output.geometry == head.geometry
    assert np.allclose(result.output.voxels, head.voxels / 2, rtol=1e-4, atol=1e-2)
    assert result.provenance["precision"] == "float32"
    return result


def nothing_left(user: Path) -> bool:
    return not user.exists() or not list(user.iterdir())


def test_torchscript_runs_only_when_it_is_trusted(tmp_path: Path, user: Path, head: Volume) -> None:
    file = script(Halver(), tmp_path / "net.pt")
    bundle = import_network(file, FORM)
    assert bundle.folder == user / "my-halver" and bundle.modality == "MR"
    assert bundle.verify_weights() == bundle.sha256
    assert not bundle.trusted
    with pytest.raises(TrustError, match=r"runs the program in its TorchScript file.*--trust"):
        halved(head)
    halved(head, trusted=("my-halver",))
    state = bundle_state(bundle)
    assert state["ok"] and "hash stated; " in state["state"] and "--trust" in state["state"]
    bundle.weights.write_bytes(b"damaged")
    assert not bundle_state(bundle)["ok"]


def test_the_bundle_is_one_of_monai(tmp_path: Path) -> None:
    form = NetworkForm("Two", "segment", labels=("Liver", "Spleen"), licence="Do as you like.")
    bundle = import_network(script(Halver(outputs=3), tmp_path / "net.ts"), form)
    assert [(row.value, row.name) for row in bundle.labels] == [(1, "Liver"), (2, "Spleen")]
    assert len({row.color for row in bundle.labels}) == 2
    assert (bundle.folder / "LICENSE").read_text() == "Do as you like."
    metadata = json.loads((bundle.folder / "configs" / "metadata.json").read_text())
    needed = "version monai_version pytorch_version numpy_version task description authors"
    assert set(needed.split()) <= metadata.keys()
    outputs = metadata["network_data_format"]["outputs"]["pred"]
    assert outputs["channel_def"] == {"0": "background", "1": "Liver", "2": "Spleen"}


def test_weights_alone_are_refused(tmp_path: Path, user: Path) -> None:
    torch.save(Halver().state_dict(), tmp_path / "weights.pth")
    (tmp_path / "weights.safetensors").write_bytes(b"x")
    for name in ("weights.pth", "weights.safetensors"):
        with pytest.raises(BundleError, match="without the network"):
            import_network(tmp_path / name, FORM)
    assert nothing_left(user)


def test_pickles_are_not_executed(tmp_path: Path, user: Path, head: Volume) -> None:
    proof, file = tmp_path / "executed", tmp_path / "net.pt"
    file.write_bytes(pickle.dumps(Bomb(proof)))
    with pytest.raises(BundleError, match="no TorchScript"):
        import_network(file, FORM)
    torch.save(Bomb(proof), file)
    with pytest.raises(BundleError, match="without the network"):
        import_network(file, FORM)
    assert nothing_left(user)
    # One that looks like a program is imported; not even with trust is its pickle executed.
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("net/code/__torch__/x.py", "")
        for name in ("data.pkl", "constants.pkl"):
            packed.writestr(f"net/{name}", pickle.dumps(Bomb(proof)))
        packed.writestr("net/version", "3\n")
    import_network(file, FORM)
    with pytest.raises(BundleError, match="cannot be used"):
        halved(head, trusted=("my-halver",))
    assert not proof.exists()


@pytest.mark.parametrize(
    ("name", "content"), [("net.txt", b"x"), ("net.onnx", b""), ("net.onnx", b"PK\3\4" * 9)]
)
def test_other_files_are_refused(tmp_path: Path, user: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MedEnhanceError) as caught:
        import_network(tmp_path / name, FORM)
    assert "\n" not in str(caught.value) and nothing_left(user)


class Odd(torch.nn.Module):
    """A network that is no good, in a way of one's choice."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.how == "small":
            return x[..., :-1]
        if self.how == "large":
            return torch.cat([x, x], dim=2)
        if self.how == "flat":
            return x[:, 0]
        if self.how == "nan":
            return x / 0.0 - x / 0.0
        raise ValueError("I take other images")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("small", "keep the size"),
        ("large", "keep the size"),
        ("flat", "keep the size"),
        ("nan", "NaN"),
        ("fail", "I take other images"),
    ],
)
def test_bad_output_is_refused(tmp_path: Path, head: Volume, how: str, words: str) -> None:
    import_network(script(Odd(how), tmp_path / "net.ts"), FORM)
    with pytest.raises(InferenceError, match=words) as caught:
        halved(head, trusted=("my-halver",))
    assert "\n" not in str(caught.value)


def test_cancel_takes_effect(tmp_path: Path, head: Volume) -> None:
    import_network(script(Halver(), tmp_path / "net.ts"), FORM)
    catalog = Catalog.default(trusted=["my-halver"])
    with pytest.raises(CancelledError):
        enhance(head, "denoise", "my-halver", catalog=catalog, cancel=lambda: True)


def test_onnx_needs_no_trust(tmp_path: Path, head: Volume) -> None:
    pytest.importorskip("onnxruntime")
    bundle = import_network(onnx_file(tmp_path / "net.onnx", ANY), FORM)
    assert not bundle.foreign and bundle.patch is None
    halved(head)


def test_onnx_that_gets_no_memory_is_given_smaller_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is of the kind, and has the words, of a real one."""
    runtime = pytest.importorskip("onnxruntime")
    import_network(onnx_file(tmp_path / "net.onnx", ANY), FORM)
    state, plain = runtime.capi.onnxruntime_pybind11_state, runtime.InferenceSession.run
    said = (
        f"[ONNXRuntimeError] : 1 : FAIL : Non-zero status code{' ' * 200}bfc_arena.cc:360 Failed "
        "to allocate memory for requested buffer of size 4398046511104"
    )

    def run(self: Any, names: Any, given: dict[str, np.ndarray]) -> Any:
        if given["x"].size > SAMPLE_EDGE**3:
            raise state.Fail(said)
        return plain(self, names, given)

    monkeypatch.setattr(runtime.InferenceSession, "run", run)
    large = Volume(head_like((40, 40, 40)), Geometry((40, 40, 40)), "MR")
    assert SMALLER_PIECES in halved(large).warnings


def test_onnx_of_fixed_size(tmp_path: Path, head: Volume) -> None:
    """The patch becomes the only size it takes; volumes are cut, padded and blended to it."""
    pytest.importorskip("onnxruntime")
    bundle = import_network(onnx_file(tmp_path / "net.onnx", [1, 1, 16, 16, 16]), FORM)
    assert (bundle.patch, bundle.input.multiple) == ((16, 16, 16), 16)
    halved(head)


def test_onnx_slice_by_slice(tmp_path: Path, head: Volume) -> None:
    pytest.importorskip("onnxruntime")
    form = NetworkForm("My halver", "denoise", normalisation="none", dimensions=2)
    import_network(onnx_file(tmp_path / "net.onnx", [1, 1, "j", "i"]), form)
    halved(head)


@pytest.mark.parametrize(
    ("sizes", "changes", "words"),
    [
        (["b", 1, "j", "i"], {}, "correct the dimensions"),
        (["b", 3, "k", "j", "i"], {}, "correct the channels"),
        ([1, 1, 16, 32, 32], {}, "axes of any size"),
        ([4, 1, "k", "j", "i"], {}, "export it for one"),
        (ANY, {"task": "segment", "labels": ("A", "B")}, "correct the labels"),
    ],
)
def test_onnx_that_contradicts_its_form(
    tmp_path: Path, user: Path, sizes: list[Any], changes: dict[str, Any], words: str
) -> None:
    form = NetworkForm(**{"title": "Odd", "task": "denoise", **changes})
    with pytest.raises(BundleError, match=words):
        import_network(onnx_file(tmp_path / "net.onnx", sizes), form)
    assert nothing_left(user)


def test_onnx_operators_of_others_are_refused(tmp_path: Path) -> None:
    file = onnx_file(tmp_path / "net.onnx", ANY, domain="of.strangers")
    assert read_onnx(file).operators == ("of.strangers.Mul",)
    with pytest.raises(BundleError, match="does not come with onnxruntime"):
        import_network(file, FORM)


def test_onnx_weights_in_other_files_are_refused(tmp_path: Path, head: Volume) -> None:
    """They would escape the hash, and could be any file of the computer."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    model = onnx.load(str(onnx_file(tmp_path / "net.onnx", ANY)))
    model.graph.initializer[0].raw_data = b"1234"
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "/etc/passwd")
    split = model.SerializeToString()
    (tmp_path / "split.onnx").write_bytes(split)
    with pytest.raises(BundleError, match="in other files"):
        import_network(tmp_path / "split.onnx", FORM)
    # Neither in a bundle that was made by hand.
    bundle = import_network(tmp_path / "net.onnx", FORM)
    metadata = bundle.folder / "configs" / "metadata.json"
    metadata.write_text(metadata.read_text().replace(bundle.sha256, ""))
    bundle.weights.write_bytes(split)
    with pytest.raises(BundleError, match="in other files"):
        halved(head)


def test_without_onnxruntime(tmp_path: Path, head: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    import_network(onnx_file(tmp_path / "net.onnx", ANY), FORM)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DependencyError, match="pip install onnxruntime"):
        programs._onnxruntime("my-halver")
    with pytest.raises(DependencyError, match="onnxruntime"):
        halved(head)


@pytest.mark.parametrize(
    "changes",
    [
        {"title": " "},
        {"title": "two\nlines"},
        {"task": "cook"},
        {"modality": "X-ray"},
        {"normalisation": "magic"},
        {"dimensions": 4},
        {"channels": ("noise",)},
        {"channels": ("image", "smell")},
        {"multiple": 0},
        {"patch": (1, 2, 3)},
        {"labels": ("A",)},
        {"task": "segment"},
        {"task": "segment", "labels": ("A", "A")},
        {"task": "segment", "labels": ("A", " ")},
        {"task": "segment", "labels": ("A",), "channels": ("image", "noise")},
        {"task": "segment", "labels": ("A",), "orientation": "RRS"},
        {"task": "segment", "labels": ("A",), "spacing_mm": (0, 1, 1)},
        {"orientation": "RAS"},
        {"axis_order": "ijk"},
    ],
)
def test_forms_that_make_no_sense(changes: dict[str, Any]) -> None:
    with pytest.raises(OptionsError) as caught:
        NetworkForm(**{"title": "Fine", "task": "denoise", **changes})
    assert "\n" not in str(caught.value)
