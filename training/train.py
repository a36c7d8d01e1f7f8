"""Train one model with supervision: ``python -m training.train --config FILE --data FOLDER``.

One process, one run folder. The run can be stopped at any moment and started again with the same
command: it goes on from its last checkpoint. The weights that are validated and published are an
exponential moving average of those that are trained, so that they are usable at any time.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.tensorboard import SummaryWriter

from training.network import build_network
from training.recipe import Config, Recipe, make_recipe

SAY_EVERY = 50


def main() -> None:
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    config = json.loads(args.config.read_text(encoding="utf-8"))
    if args.steps is not None:
        config["steps"] = args.steps
    recipe = make_recipe(config, args.data)
    Training(config, recipe, args.runs / config["id"], torch.device(args.device)).run()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, help="one of training/configs")
    parser.add_argument("--data", type=Path, required=True, help="the folder with the scans")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs are kept")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--steps", type=int, help="instead of the number in the configuration")
    return parser.parse_args()


class Training:
    """A run: the network, its optimiser, where it stands, and the folder that keeps it all."""

    def __init__(self, config: Config, recipe: Recipe, folder: Path, device: torch.device) -> None:
        self.config, self.recipe, self.folder, self.device = config, recipe, folder, device
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(config["seed"])
        self.network = build_network(config["network_def"])
        if not (folder / "checkpoint.pt").exists():
            recipe.prepare(self.network)
        self.network.to(device).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.average = AveragedModel(
            self.network, multi_avg_fn=get_ema_multi_avg_fn(config["ema"]), use_buffers=True
        )
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), config["learning_rate"], weight_decay=config["weight_decay"]
        )
        self.step, self.best, self.seconds, self.stale = 0, -math.inf, 0.0, 0
        self._resume()

    def run(self) -> None:
        """Train to the last step, or until validation has not improved for ``patience`` turns."""
        started, losses = time.monotonic() - self.seconds, []
        with SummaryWriter(str(self.folder)) as log:
            while self.step < self.config["steps"] and self.stale < self.config["patience"]:
                losses.append(self._learn())
                if self.step % SAY_EVERY == 0:
                    print(f"step {self.step}: loss {np.mean(losses[-SAY_EVERY:]):.4f}", flush=True)
                if self.step % self.config["validate_every"] == 0:
                    self.seconds = time.monotonic() - started
                    self._report(log, float(np.mean(losses)))
                    losses.clear()
                    self._save()

    def _learn(self) -> float:
        """One optimisation step; the batch depends only on the seed and the step."""
        rate = learning_rate(self.step, self.config)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        batch = self.recipe.batch(np.random.default_rng([self.config["seed"], self.step]))
        inputs = batch.inputs.to(self.device, memory_format=torch.channels_last_3d)
        batch = type(batch)(inputs, batch.target.to(self.device), batch.weight.to(self.device))
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.recipe.loss(self.network(inputs), batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config["clip"])
        self.optimiser.step()
        self.step += 1
        if self.step == self.config["ema_from"]:
            self.average.n_averaged.zero_()
        self.average.update_parameters(self.network)
        return float(loss.detach())

    def _report(self, log: SummaryWriter, loss: float) -> None:
        """Validate the averaged network, log it, and keep it when it is the best so far."""
        averaged = self.average.module.eval()
        measures = self.recipe.validate(averaged)
        row = {"step": self.step, "minutes": round(self.seconds / 60, 1), "loss": round(loss, 5)}
        row |= {name: round(value, 4) for name, value in measures.items()}
        append_row(self.folder / "curve.csv", row)
        log.add_scalar("loss", loss, self.step)
        for name, value in measures.items():
            log.add_scalar(f"validation/{name}", value, self.step)
        log.flush()
        print(json.dumps(row), flush=True)
        self.stale += 1
        if measures["score"] > self.best:
            self.best, self.stale = measures["score"], 0
            write_atomically(averaged.state_dict(), self.folder / "best.pt")

    def _save(self) -> None:
        state: dict[str, Any] = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "best": self.best,
            "seconds": self.seconds,
            "stale": self.stale,
        }
        write_atomically(state, self.folder / "checkpoint.pt")

    def _resume(self) -> None:
        checkpoint = self.folder / "checkpoint.pt"
        if not checkpoint.exists():
            return
        state = torch.load(checkpoint, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.best = state["step"], state["best"]
        self.seconds, self.stale = state["seconds"], state["stale"]


def learning_rate(step: int, config: Config) -> float:
    """A short linear rise, then half a cosine down to a hundredth."""
    rise = config["warm_up"]
    if step < rise:
        return float(config["learning_rate"] * (step + 1) / rise)
    share = min(1.0, (step - rise) / max(1, config["steps"] - rise))
    return float(config["learning_rate"] * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2))


def append_row(path: Path, row: dict[str, float]) -> None:
    """Add a row to a CSV file, with a heading when the file is new."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)


def write_atomically(state: dict[str, Any], path: Path) -> None:
    """Save beside the file, then rename, so that a stopped run leaves no half file."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


if __name__ == "__main__":
    main()
