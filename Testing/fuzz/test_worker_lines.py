"""Damaged lines and arrays for the inference process: each is answered, and it lives on."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from MedEnhanceLib import Geometry, MedEnhanceError, Volume
from MedEnhanceLib.result import Result
from MedEnhanceLib.task import Task
from MedEnhanceLib.worker.client import Worker
from MedEnhanceLib.worker.folder import input_file, output_file
from MedEnhanceLib.worker.protocol import LAST_KINDS, SIGNS, Header, Job, from_line, to_line
from MedEnhanceLib.worker.server import Server
from Testing.counts import count

from .mutating import mutated

LINES, ARRAYS, EVENTS = 1_500, 300, 1_000
VOLUME = Volume(np.arange(24, dtype=np.int16).reshape(2, 3, 4), Geometry((4, 3, 2)), "MR")
NASTY = (
    None,
    -1,
    10**400,
    1e999,
    float("nan"),
    "",
    "\0",
    "\ud800",
    "../x",
    [],
    {},
    [[[]]],
    True,
    [1] * 9,
)


def job(name: str = "ab12") -> Job:
    return Job(name, Task.DENOISE, "auto", None, (), (), Header(VOLUME.geometry, "MR", ""))


def copied(volume: Volume, task: Any, **_: Any) -> Result:
    return Result(task, volume)


class StoppedError(Exception):
    """The server would have ended its process."""


class Endless(Server):
    def end(self) -> Any:
        raise StoppedError


def answers(folder: Path, *lines: bytes) -> list[dict[str, Any]]:
    """What a server says to these lines, once it has worked off the jobs among them."""
    sink = io.BytesIO()
    server = Endless(io.BytesIO(b"".join(lines)), sink, folder, copied, lambda *_: None)
    with pytest.raises(StoppedError):
        server.listen()
    while not server.jobs.empty():
        server.do(server.jobs.get())
    said = [from_line(line) for line in sink.getvalue().splitlines()]
    return [event for event in said if event["kind"] not in SIGNS]


def nasty(rng: random.Random, tree: Any) -> Any:
    """A copy of a tree of JSON with one value anywhere replaced."""
    tree = json.loads(json.dumps(tree))
    places = [(tree, key) for key in tree]
    for node, key in places:
        value = node[key]
        if isinstance(value, dict | list) and rng.random() < 0.9:
            keys = value.keys() if isinstance(value, dict) else range(len(value))
            places += [(value, inner) for inner in keys]
    node, key = rng.choice(places)
    node[key] = rng.choice(NASTY)
    return tree


def damaged_line(rng: random.Random, data: dict[str, Any]) -> bytes:
    """One line, of JSON or not."""
    line = json.dumps(nasty(rng, data)).encode() if rng.random() < 0.5 else to_line(data)
    if rng.random() < 0.6:
        line = mutated(rng, line.strip(), len(line))
    return line.replace(b"\n", b" ").strip() + b"\n"


def test_lines(tmp_path: Path) -> None:
    rng = random.Random(0)
    refusals = 0
    for _ in range(LINES):
        (tmp_path / "ab12.in.npy").unlink(missing_ok=True)
        np.save(input_file(tmp_path, "ab12"), VOLUME.voxels)
        line = damaged_line(rng, {"do": "run", **job().to_json()})
        said = answers(tmp_path, line)
        assert len(said) <= 1 and all(event["kind"] in LAST_KINDS for event in said), line
        # A line is an empty one, or a cancellation, or it is answered.
        assert said or line.strip() == b"" or b"cancel" in line, line
        refusals += any(event["kind"] == "error" for event in said)
        assert {path.name for path in tmp_path.iterdir()} <= {"ab12.in.npy", "ab12.out.npy"}
    count("worker lines", LINES)
    assert LINES // 3 < refusals < LINES


@pytest.mark.parametrize("depth", [900, 100_000])
def test_a_deep_line(tmp_path: Path, depth: int) -> None:
    deep = b'{"do": "run", "id": "ab12", "options": ' + b"[" * depth + b"]" * depth + b"}\n"
    (said,) = answers(tmp_path, deep)
    assert said["kind"] == "error"


def test_a_line_longer_than_any(tmp_path: Path) -> None:
    said = answers(tmp_path, b'{"x": "' + b"y" * (9 << 20) + b'"}\n', b"again\n")
    assert {event["kind"] for event in said} == {"error"}
    assert sum(len(event["details"]) for event in said) < 5_000


def test_arrays(tmp_path: Path) -> None:
    rng = random.Random(1)
    plain = io.BytesIO()
    np.save(plain, VOLUME.voxels)
    refusals = 0
    for _ in range(ARRAYS):
        input_file(tmp_path, "ab12").write_bytes(mutated(rng, plain.getvalue(), 128))
        (said,) = answers(tmp_path, to_line({"do": "run", **job().to_json()}))
        assert said["kind"] in ("result", "error") and "\n" not in said["message"]
        assert "unexpectedly" not in said["message"], said
        refusals += said["kind"] == "error"
    count("worker arrays", ARRAYS)
    assert ARRAYS // 5 < refusals < ARRAYS


class Pickle:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("executed"),))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (np.array([Pickle()]), "whole"),
        (np.zeros((2, 3, 5), np.int16), "shape"),
        (np.zeros((2, 3, 4), np.complex64), "plain numbers"),
        (np.zeros(24), "shape"),
        (np.array("text"), "plain numbers"),
        ("archive", "whole"),
        (None, "whole"),
    ],
    ids=["pickle", "other-size", "complex", "flat", "text", "archive", "missing"],
)
def test_arrays_that_are_no_volumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, word: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = input_file(tmp_path, "ab12")
    if isinstance(content, str):
        np.savez(tmp_path / "x.npz", VOLUME.voxels)
        (tmp_path / "x.npz").rename(file)
    elif content is not None:
        np.save(file, content, allow_pickle=True)
    (said,) = answers(tmp_path, to_line({"do": "run", **job().to_json()}))
    assert said["kind"] == "error" and word in said["message"]
    assert not (tmp_path / "executed").exists() and not file.exists()


def test_an_array_in_another_order_is_the_same_volume(tmp_path: Path) -> None:
    np.save(input_file(tmp_path, "ab12"), np.asfortranarray(VOLUME.voxels).astype(">i2"))
    (said,) = answers(tmp_path, to_line({"do": "run", **job().to_json()}))
    assert said["kind"] == "result"
    np.testing.assert_array_equal(np.load(output_file(tmp_path, "ab12")), VOLUME.voxels)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_geometry_that_is_no_number(tmp_path: Path, bad: float) -> None:
    data = job().to_json()
    for field in ("size", "spacing", "origin"):
        geometry = {**data["volume"]["geometry"], field: [1, bad, 1]}
        lying = {**data["volume"], "geometry": geometry}
        (said,) = answers(tmp_path, to_line({"do": "run", **data, "volume": lying}))
        assert said["kind"] == "error"


class Silent:
    """A process that has said nothing, for a client that is handed lines."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.notes = folder, 0

    def note(self, text: str) -> None:
        self.notes += 1
        assert len(text) < 5_000


def test_events(tmp_path: Path) -> None:
    """The client's side: whatever comes, the job ends at most once, and nothing is raised."""
    rng = random.Random(2)
    facts = {"task": "denoise", "geometry": VOLUME.geometry.to_json(), "evidence": []}
    facts.update(provenance={}, warnings=[], modality="", units="", uncertainty=None)
    event = {"kind": "result", "job": "ab12", "progress": None, "message": "", "details": ""}
    event.update(error="", result=facts)
    results = 0
    for _ in range(EVENTS):
        np.save(output_file(tmp_path, "ab12"), VOLUME.voxels)
        worker = Worker()
        worker._process, worker._job = Silent(tmp_path), "ab12"  # type: ignore[assignment]
        heard = worker._heard(damaged_line(rng, event))
        assert len(heard) <= 1
        assert worker.busy == (not heard or not heard[0].is_last)
        for last in heard:
            assert last.result is not None or isinstance(last.exception, MedEnhanceError)
            results += last.result is not None
        worker._process = None
    count("worker events", EVENTS)
    assert 20 < results < EVENTS // 2
