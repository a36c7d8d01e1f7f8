"""Train one model with supervision: ``python -m training.train --config FILE --data FOLDER``.

One run folder. The run can be stopped at any moment and started again with the same command, less
``--init``: it goes on from its last checkpoint. The weights that are validated and published are an
exponential moving average of those that are trained, so that they are usable at any time. In
several processes, each with batches of its own:
``torchrun --nproc-per-node 4 -m training.train ...``.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from MedEnhanceLib.errors import FileError, OptionsError
from training.failing import at_least_one, failing_in_a_sentence
from training.network import build_network
from training.parallel import Processes, joined_processes
from training.precision import PRECISIONS, MixedPrecision, Precision
from training.recipe import (
    Batch,
    Config,
    UsesNetwork,
    Validates,
    make_recipe,
    read_configuration,
)
from training.run_folder import RunFolder
from training.weights import load_whole, start_from

SAY_EVERY = 50
Measures = dict[str, float]


def main() -> None:
    args = parse_arguments(__doc__)
    torch.set_num_threads(args.threads)
    with failing_in_a_sentence(), joined_processes(args.device) as processes:
        config = read_config(args)
        if "adversarial" in config:
            raise OptionsError(
                f"'{config['id']}' learns against a critic; run training.train_adversarial."
            )
        recipe = make_recipe(config, args.data)
        Training(config, recipe, args.runs / config["id"], processes, args.precision).run()


def parse_arguments(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, help="one of training/configs")
    parser.add_argument("--data", type=Path, required=True, help="the folder with the scans")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs are kept")
    parser.add_argument("--threads", type=at_least_one, default=1, help="CPU threads")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of convolutions")
    parser.add_argument("--init", type=Path, help="start from the weights of another run or model")
    parser.add_argument("--steps", type=at_least_one, help="instead of the configuration's number")
    return parser.parse_args()


def read_config(args: argparse.Namespace) -> Config:
    """The configuration, with what the command line says instead.

    Raises:
        MedEnhanceError: when it or the scans are not there, or weights are named to start from
            though the run goes on from its own.
    """
    config = read_configuration(args.config)
    if not args.data.is_dir():
        raise FileError(f"There is no folder '{args.data}'; name the one that holds the scans.")
    run = args.runs / config["id"]
    if args.init is not None and RunFolder(run).has_checkpoint:
        raise OptionsError(
            f"The run in '{run}' goes on from its own checkpoint; leave out --init, or begin "
            "another run with --runs."
        )
    if args.steps is not None:
        config["steps"] = args.steps
    if args.init is not None:
        config["init"] = str(args.init)
    return config


class Training:
    """A run: the network, its optimiser, where it stands, and the folder that keeps it all."""

    recipe: Any
    """A `Recipe`, or what a subclass learns from in a way of its own."""

    def __init__(
        self,
        config: Config,
        recipe: Validates,
        folder: Path,
        processes: Processes,
        precision: Precision = "fp32",
    ) -> None:
        self.config, self.recipe, self.processes = config, recipe, processes
        self.folder, self.device = RunFolder(folder), processes.device
        self.precision = MixedPrecision(precision, self.device)
        self.network = fresh_network(config, recipe, self.folder.has_checkpoint).to(self.device)
        self.average = moving_average(self.network, config)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), config["learning_rate"], weight_decay=config["weight_decay"]
        )
        self.step, self.best, self.seconds, self.stale = 0, -math.inf, 0.0, 0
        if isinstance(recipe, UsesNetwork):
            recipe.use(self.network)
        if self.folder.has_checkpoint:
            self._resume(self.folder.read_checkpoint(self.device))
        elif processes.is_first:
            self.folder.forget_after(0)
        self.shared = processes.wrapped(self.network)

    def run(self) -> None:
        """Train to the last step, or until validation has not improved for ``patience`` turns.

        Raises:
            OptionsError: when loss, gradient or score are no finite numbers any more.
        """
        started, losses = time.monotonic() - self.seconds, list[Measures]()
        steps = self.config["steps"]
        if self.processes.is_first:
            self._say_why_over()
        while self.step < steps and self.stale < self.config["patience"]:
            losses.append(self._one_step())
            if self.step % SAY_EVERY == 0 and self.processes.is_first:
                print(f"step {self.step}: {means(losses[-SAY_EVERY:])}", flush=True)
            if self.step % self.config["validate_every"] == 0 or self.step == steps:
                self.seconds = time.monotonic() - started
                if self.processes.is_first:
                    self._report(means(losses))
                    self.folder.write_checkpoint(self._state())
                self.stale = int(self.processes.first_says(self.stale))
                losses.clear()
        self.folder.close()

    def _say_why_over(self) -> None:
        """Where there is nothing to be done any more."""
        if self.step >= self.config["steps"]:
            print(
                f"This run has made all its {self.step} steps; --steps gives it more.", flush=True
            )
        elif self.stale >= self.config["patience"]:
            print(
                f"This run ended at step {self.step}, as validation had not improved "
                f"{self.stale} times in a row; with more patience in its configuration it goes on.",
                flush=True,
            )

    def _one_step(self) -> Measures:
        """Raises `OptionsError` when it goes nowhere, before that reaches a checkpoint."""
        try:
            return self._learn()
        except FloatingPointError as error:
            raise self._astray(self.step + 1, str(error)) from error

    def _astray(self, step: int, why: str) -> OptionsError:
        return OptionsError(
            f"The run '{self.config['id']}' went astray at step {step}: {why}; what it kept "
            "before stays, so go on from there with a lower learning_rate, or with fp32."
        )

    def _learn(self) -> Measures:
        """One optimisation step; chance depends only on the seed, the step and the process."""
        set_learning_rate(self.optimiser, learning_rate(self.step, self.config))
        batch = self.recipe.batch(self.processes.rng(self.config["seed"], self.step))
        batch = moved(batch, self.device)
        with self.precision.autocast():
            output = self.shared(batch.inputs)
        loss = self.recipe.loss(output.float(), batch)
        self.precision.step(loss, self.optimiser, self.network, self.config["clip"])
        self._finish_step()
        return {"loss": float(loss.detach())}

    def _finish_step(self) -> None:
        """Count the step and let the average follow; it forgets the first ``ema_from`` steps."""
        self.step += 1
        if self.step == self.config["ema_from"]:
            self.average.n_averaged.zero_()
        self.average.update_parameters(self.network)

    def _report(self, losses: Measures) -> None:
        """Validate the averaged network, log it, and keep it when it is the best so far."""
        averaged = self.average.module.eval()
        measures = self._measure(on_cpu(averaged))
        if not math.isfinite(measures["score"]):
            raise self._astray(self.step, "the score of its validation is not a finite number")
        self.folder.report(self.step, self.seconds, losses, measures)
        self.stale += 1
        if measures["score"] > self.best:
            self.best, self.stale = measures["score"], 0
            self.folder.write_best(averaged.state_dict())

    def _measure(self, network: torch.nn.Module) -> Measures:
        """Measures on validation subjects; ``score`` among them decides which weights are best."""
        return self.recipe.validate(network)

    def _state(self) -> dict[str, Any]:
        """All that is needed to go on from here."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.precision.state(),
            "step": self.step,
            "best": self.best,
            "seconds": self.seconds,
            "stale": self.stale,
        }

    def _resume(self, state: dict[str, Any]) -> None:
        load_whole(self.network, state["network"], self.folder.path / "checkpoint.pt")
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        for group in self.optimiser.param_groups:
            group["weight_decay"] = self.config["weight_decay"]
        self.precision.resume(state.get("scaler", {}))
        self.step, self.best = state["step"], state["best"]
        if self.processes.is_first:
            self.folder.forget_after(self.step)
        self.seconds, self.stale = state["seconds"], state["stale"]


def fresh_network(config: Config, recipe: Validates, resumes: bool) -> torch.nn.Module:
    """The network before its first step: by the seed, by the recipe, or from another run."""
    torch.manual_seed(config["seed"])
    network = build_network(config["network_def"])
    if not resumes:
        recipe.prepare(network)
        if "init" in config:
            for sentence in start_from(network, Path(config["init"]), bool(config.get("widen"))):
                print(sentence, flush=True)
    return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]


def moving_average(network: torch.nn.Module, config: Config) -> AveragedModel:
    """An exponential moving average of the weights, of which ``ema`` is kept at every step."""
    return AveragedModel(
        network, multi_avg_fn=get_ema_multi_avg_fn(config["ema"]), use_buffers=True
    )


def on_cpu(network: torch.nn.Module) -> torch.nn.Module:
    """The network where recipes validate; a copy when it computes elsewhere."""
    here = next(network.parameters()).device.type == "cpu"
    return network if here else copy.deepcopy(network).cpu()


def moved(batch: Batch, device: torch.device) -> Batch:
    """The batch on the device, its input in the order of memory that convolutions like best."""
    inputs = batch.inputs.to(device, memory_format=torch.channels_last_3d)
    return type(batch)(inputs, batch.target.to(device), batch.weight.to(device))


def means(rows: list[Measures]) -> Measures:
    """The mean of each measure over all rows."""
    return {name: round(float(np.mean([row[name] for row in rows])), 5) for name in rows[0]}


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate


def learning_rate(step: int, config: Config) -> float:
    """A short linear rise, then half a cosine down to a hundredth."""
    rise = config["warm_up"]
    if step < rise:
        return float(config["learning_rate"] * (step + 1) / rise)
    share = min(1.0, (step - rise) / max(1, config["steps"] - rise))
    return float(config["learning_rate"] * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2))


if __name__ == "__main__":
    main()
