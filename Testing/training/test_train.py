"""A whole tiny run: train, stop, go on, publish."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from MedEnhanceLib.errors import FileError, OptionsError
from training.network import build_network
from training.parallel import joined_processes
from training.precision import MixedPrecision
from training.publish import publish, training_note
from training.recipe import Recipe, make_recipe
from training.train import Training, fresh_network, learning_rate, main
from training.weights import start_from

from .conftest import ALONE, whole_and_halved

CONFIGS = Path(__file__).parents[2] / "training/configs"
TinyConfig = Callable[[str], dict[str, Any]]
Weights = dict[str, torch.Tensor]


@pytest.mark.parametrize("name", ["mr-denoise-residual", "mr-super-resolution"])
def test_training_goes_on_where_it_stopped(name: str, data: Path, tiny_config: TinyConfig) -> None:
    config = tiny_config(name)
    recipe = make_recipe(config, data)
    whole, halved = whole_and_halved(Training, config, recipe, data)
    assert whole["step"] == halved["step"] == 2
    assert whole.keys() >= {"network", "average", "optimiser", "step", "best", "seconds", "stale"}
    for part in ("network", "average"):
        for key, value in whole[part].items():
            torch.testing.assert_close(value, halved[part][key], msg=f"{part} {key}")
    assert len((data / "halved/curve.csv").read_text().splitlines()) == 3


def test_training_stops_when_validation_gets_no_better(
    data: Path, tiny_config: TinyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config("mr-denoise-residual") | {"steps": 20, "patience": 2}
    recipe = make_recipe(config, data)
    monkeypatch.setattr(recipe, "validate", lambda network: {"score": 1.0})
    training = Training(config, recipe, data / "run", ALONE)
    training.run()
    assert training.step == 3


def test_the_best_weights_are_the_average_where_it_scored_most(
    data: Path, tiny_config: TinyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config("mr-denoise-residual") | {"steps": 3}
    recipe = make_recipe(config, data)
    scores, validated = [1.0, 3.0, 2.0], list[Weights]()

    def validate(network: torch.nn.Module) -> dict[str, float]:
        validated.append(copy.deepcopy(network.state_dict()))
        return {"score": scores[len(validated) - 1]}

    monkeypatch.setattr(recipe, "validate", validate)
    training = Training(config, recipe, data / "run", ALONE)
    training.run()
    best = torch.load(data / "run/best.pt", weights_only=True)
    assert [is_same(best, weights) for weights in validated] == [False, True, False]
    assert is_same(validated[2], training.average.module.state_dict())
    assert not is_same(validated[2], training.network.state_dict())


def is_same(weights: Weights, others: Weights) -> bool:
    return all(torch.equal(value, others[name]) for name, value in weights.items())


def test_the_average_forgets_the_first_steps(data: Path, tiny_config: TinyConfig) -> None:
    config = tiny_config("mr-denoise-residual") | {"ema_from": 2}
    training = Training(config, make_recipe(config, data), data / "run", ALONE)
    training.run()
    assert is_same(training.average.module.state_dict(), training.network.state_dict())


def test_large_gradients_are_clipped() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    before = float(network.weight.detach())
    optimiser = torch.optim.SGD(network.parameters(), lr=1.0)
    loss = 1000 * network.weight.sum()
    MixedPrecision("fp32", ALONE.device).step(loss, optimiser, network, clip=0.5)
    assert float(network.weight.detach()) == pytest.approx(before - 0.5, rel=1e-4)


def test_a_run_may_start_from_another_one(
    data: Path, tiny_config: TinyConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config("mr-denoise-residual")
    recipe = make_recipe(config, data)
    first = Training(config, recipe, data / "first", ALONE)
    first.run()
    for name in ("best.pt", "checkpoint.pt"):
        again = fresh_network(config | {"init": str(data / "first" / name)}, recipe, False)
        for key, value in first.average.module.state_dict().items():
            torch.testing.assert_close(again.state_dict()[key], value)
    assert not capsys.readouterr().out.count("keeps its own start")
    deeper = config | {"network_def": config["network_def"] | {"blocks": 2}}
    fresh_network(deeper | {"init": str(data / "first/best.pt")}, recipe, False)
    assert "'kernels.before.1.first.weight' keeps its own start" in capsys.readouterr().out
    wider = config | {"network_def": {**config["network_def"], "width": 6}}
    fresh_network(wider | {"init": str(data / "first/best.pt")}, recipe, False)
    assert "'kernels.head.weight' of 'best.pt' is not used" in capsys.readouterr().out


def test_starting_from_no_weights_is_refused(tmp_path: Path) -> None:
    network = torch.nn.Linear(2, 2)
    with pytest.raises(FileError, match=r"gone\.pt"):
        start_from(network, tmp_path / "gone.pt")
    torch.save({"step": 3}, tmp_path / "step.pt")
    with pytest.raises(FileError, match="no table of weights"):
        start_from(network, tmp_path / "step.pt")
    torch.save({"other": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(FileError, match="no weight of this network"):
        start_from(network, tmp_path / "other.pt")


def test_half_precision_learns_like_full(data: Path, tiny_config: TinyConfig) -> None:
    config = tiny_config("mr-denoise-residual")
    recipe = make_recipe(config, data)
    losses = {}
    for name in ("fp32", "bf16"):
        run = Training(config, recipe, data / name, ALONE, name)
        losses[name] = [run._learn()["loss"], run._learn()["loss"]]
        assert all(p.dtype == torch.float32 for p in run.network.parameters())
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)
    with pytest.raises(OptionsError, match="fp16"):
        MixedPrecision("fp16", ALONE.device)


def test_two_processes_learn_the_same_weights_from_different_batches(
    data: Path, tiny_config: TinyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config("mr-denoise-residual")
    recipe = make_recipe(config, data)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("FREE_PORT", str(free.getsockname()[1]))
    # A fork would inherit locks that threads of this process may hold, and wait for them for ever.
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    workers = [
        context.Process(target=train_as_one_of_two, args=(rank, config, recipe, data, answers))
        for rank in range(2)
    ]
    for worker in workers:
        worker.start()
    told = dict(answers.get(timeout=300) for _ in workers)
    for worker in workers:
        worker.join(timeout=300)
    assert [worker.exitcode for worker in workers] == [0, 0]
    first, second = told[0], told[1]
    assert first["batch"] != second["batch"]
    assert first["weights"] == second["weights"]
    assert len((data / "pair/curve.csv").read_text().splitlines()) == 3


def train_as_one_of_two(
    rank: int, config: dict[str, Any], recipe: Recipe, folder: Path, answers: Any
) -> None:
    """What ``torchrun`` does, without its slow start."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": os.environ["FREE_PORT"]}
    torch.set_num_threads(1)
    with joined_processes("cpu") as processes:
        run = Training(config, recipe, folder / "pair", processes)
        run.run()
        batch = recipe.batch(processes.rng(config["seed"], 0)).inputs.sum()
        weights = [float(p.detach().double().sum()) for p in run.network.parameters()]
        answers.put((processes.rank, {"batch": float(batch), "weights": weights}))


def test_a_published_run_can_be_read_and_used(data: Path, tiny_config: TinyConfig) -> None:
    config = tiny_config("mr-denoise-residual")
    Training(config, make_recipe(config, data), data / "run", ALONE).run()
    folder = publish(config, data / "run", data / "models")
    metadata = json.loads((folder / "configs/metadata.json").read_text(encoding="utf-8"))
    network = build_network(config["network_def"])
    network.load_state_dict(torch.load(folder / "models/model.pt", weights_only=True))
    assert metadata["medenhance"]["halo"] == network.halo
    card = (folder / "docs/README.md").read_text(encoding="utf-8")
    assert "Not measured yet" in card
    assert f"--config training/configs/{config['id']}.json" in card
    assert "(curve.png)" in card
    assert (folder / "docs/curve.png").stat().st_size > 1000


def test_learning_rate_rises_and_falls() -> None:
    config = {"learning_rate": 1.0, "warm_up": 10, "steps": 110}
    rates = [learning_rate(step, config) for step in range(120)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[10:110] == sorted(rates[10:110], reverse=True)
    assert rates[-1] == pytest.approx(0.01)


def test_the_last_step_is_validated_and_kept(data: Path, tiny_config: TinyConfig) -> None:
    config = tiny_config("mr-denoise-residual") | {"steps": 3, "validate_every": 2}
    Training(config, make_recipe(config, data), data / "run", ALONE).run()
    rows = (data / "run/curve.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["2", "3"]
    again = Training(config, make_recipe(config, data), data / "run", ALONE)
    assert again.step == 3


def test_a_note_is_told_of_the_weights_that_it_is_about() -> None:
    bundle = {"training_note": {"weights_sha256": "a1", "text": "How they came about."}}
    assert training_note(bundle, "a1") == "How they came about."
    assert training_note(bundle, "b2") == ""
    assert training_note({}, "a1") == ""


def test_nothing_is_published_of_a_run_without_weights(
    tmp_path: Path, tiny_config: TinyConfig
) -> None:
    config = tiny_config("mr-denoise-residual")
    with pytest.raises(FileError, match="no weights"):
        publish(config, tmp_path / "run", tmp_path / "models")
    (tmp_path / "run").mkdir()
    torch.save({"other": torch.zeros(3)}, tmp_path / "run/best.pt")
    with pytest.raises(FileError, match="of another network"):
        publish(config, tmp_path / "run", tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_a_run_does_not_go_on_with_another_network(data: Path, tiny_config: TinyConfig) -> None:
    config = tiny_config("mr-denoise-residual")
    recipe = make_recipe(config, data)
    Training(config, recipe, data / "run", ALONE).run()
    wider = config | {"network_def": {**config["network_def"], "width": 6}}
    with pytest.raises(FileError, match=r"'.*checkpoint\.pt' are of another network"):
        Training(wider, recipe, data / "run", ALONE)


@pytest.mark.parametrize("broken", ["loss", "validate"])
def test_a_run_that_goes_astray_ends_and_keeps_its_last_checkpoint(
    broken: str, data: Path, tiny_config: TinyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config("mr-denoise-residual")
    recipe = make_recipe(config, data)
    Training(config | {"steps": 1}, recipe, data / "run", ALONE).run()
    before = (data / "run/checkpoint.pt").read_bytes()
    wrong = {
        "loss": lambda output, batch: output.mean() * torch.nan,
        "validate": lambda network: {"score": float("nan")},
    }
    monkeypatch.setattr(recipe, broken, wrong[broken])
    with pytest.raises(OptionsError, match=r"went astray at step 2: .*lower learning_rate"):
        Training(config, recipe, data / "run", ALONE).run()
    assert (data / "run/checkpoint.pt").read_bytes() == before
    assert len((data / "run/curve.csv").read_text().splitlines()) == 2


def test_a_gradient_that_is_no_number_leaves_the_weights_as_they_are() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    before = network.weight.detach().clone()
    # A finite loss whose slope is not: the square root at zero.
    loss = (network(torch.zeros(1, 1)).abs()).sqrt().sum()
    optimiser = torch.optim.SGD(network.parameters(), 1.0)
    with pytest.raises(FloatingPointError):
        MixedPrecision("fp32", ALONE.device).step(loss, optimiser, network, 1.0)
    torch.testing.assert_close(network.weight.detach(), before)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"config": "nowhere.json"}, "There is no configuration 'nowhere.json'"),
        ({"data": "nowhere"}, "There is no folder 'nowhere'"),
        ({"device": "nowhere"}, "cannot compute on the device 'nowhere'"),
        ({"config": CONFIGS / "mr-denoise-guided.json"}, "names no recipe"),
        ({"config": CONFIGS / "mr-denoise-adversarial.json"}, "run training.train_adversarial"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], sentence: str
) -> None:
    options = {"config": CONFIGS / "mr-denoise-residual.json", "data": tmp_path} | changes
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    monkeypatch.setattr("sys.argv", ["train", *words, "--runs", str(tmp_path / "runs")])
    with pytest.raises(SystemExit, match=sentence):
        main()


def test_weights_are_not_named_to_a_run_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "mr-denoise-residual"
    run.mkdir()
    (run / "checkpoint.pt").write_bytes(b"")
    config = CONFIGS / "mr-denoise-residual.json"
    words = ["--config", str(config), "--data", str(tmp_path), "--runs", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["train", *words, "--init", "other.pt"])
    with pytest.raises(SystemExit, match="goes on from its own checkpoint"):
        main()
