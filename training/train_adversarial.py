"""Train against a critic: ``python -m training.train_adversarial --config FILE --data FOLDER``.

A denoiser or super-resolver that was trained to be right on average (``init``) goes on learning:
its recipe's own loss and an edge term keep it right, a critic that was shown real patches makes
it sharp. Everything else, from batches to checkpoints, is as in ``training.train``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from MedEnhanceLib.errors import OptionsError
from training.critic import Critic, adversarial_loss
from training.edges import edge_loss, mean_edge_ratio
from training.failing import failing_in_a_sentence
from training.parallel import Processes, joined_processes
from training.precision import MixedPrecision, Precision
from training.recipe import Batch, Config, MakesImage, Recipe, make_recipe
from training.train import (
    Training,
    learning_rate,
    moved,
    parse_arguments,
    read_config,
    set_learning_rate,
)


def main() -> None:
    args = parse_arguments(__doc__)
    torch.set_num_threads(args.threads)
    with failing_in_a_sentence(), joined_processes(args.device) as processes:
        config = read_config(args)
        check_config(config)
        if processes.count > 1:
            raise OptionsError("Training against a critic runs in one process; leave out torchrun.")
        recipe = make_recipe(config, args.data)
        folder = args.runs / config["id"]
        AdversarialTraining(config, recipe, folder, processes, args.precision).run()


class AdversarialTraining(Training):
    """A run with two networks: the generator, which is published, and the critic."""

    def __init__(
        self,
        config: Config,
        recipe: Recipe,
        folder: Path,
        processes: Processes,
        precision: Precision = "fp32",
    ) -> None:
        self.terms = config["adversarial"]
        self.opponent = adversarial_loss(self.terms["loss"])
        torch.manual_seed(config["seed"])
        self.critic = Critic(**self.terms["critic"]).to(processes.device)
        self.critic_optimiser = torch.optim.AdamW(
            self.critic.parameters(), self.terms["learning_rate"], betas=(0.5, 0.9)
        )
        self.critic_precision = MixedPrecision(precision, processes.device)
        super().__init__(config, recipe, folder, processes, precision)

    def _learn(self) -> dict[str, float]:
        """One step of the critic, then one of the generator, on the same batch."""
        torch.manual_seed(self.config["seed"] + self.step)
        set_learning_rate(self.optimiser, learning_rate(self.step, self.config))
        batch = self.recipe.batch(self.processes.rng(self.config["seed"], self.step))
        batch = moved(batch, self.device)
        with self.precision.autocast():
            output = self.network(batch.inputs)
        output = output.float()
        image = self.recipe.image(output, batch) if isinstance(self.recipe, MakesImage) else output
        critical = self._teach_critic(batch.target, image.detach())
        losses = self._teach_generator(output, image, batch)
        self._finish_step()
        return losses | {"critic": critical}

    def _teach_critic(self, real: torch.Tensor, fake: torch.Tensor) -> float:
        """Show the critic the clean patches and the restored ones."""
        self.critic.requires_grad_(True)
        with self.critic_precision.autocast():
            loss = self.opponent.of_critic(self.critic, real, fake)
        clip = self.config["clip"]
        self.critic_precision.step(loss, self.critic_optimiser, self.critic, clip)
        return float(loss.detach())

    def _teach_generator(
        self, output: torch.Tensor, image: torch.Tensor, batch: Batch
    ) -> dict[str, float]:
        """Come closer to the clean patches, keep their edges, deceive the critic."""
        self.critic.requires_grad_(False)
        with self.critic_precision.autocast():
            deceiving = self.opponent.of_generator(self.critic, batch.target, image)
        terms = {
            "loss": self.recipe.loss(output, batch),
            "edges": edge_loss(image, batch.target, batch.weight),
            "adversarial": deceiving.float(),
        }
        total = (
            terms["loss"]
            + self.terms["edge_weight"] * terms["edges"]
            + self.terms["weight"] * terms["adversarial"]
        )
        self.precision.step(total, self.optimiser, self.network, self.config["clip"])
        return {name: float(term.detach()) for name, term in terms.items()}

    def _measure(self, network: torch.nn.Module) -> dict[str, float]:
        """The recipe's own measures, the sharpness of edges, and a score that minds both.

        A plain network's score would choose the least sharpened weights. Here edges that are as
        strong as the clean image's are worth ``edges_db``.
        """
        measures = self.recipe.validate(network)
        ratio = mean_edge_ratio(network, self.recipe)
        measures["edge_ratio"] = ratio
        measures["score"] -= self.terms["edges_db"] * abs(1 - ratio)
        return measures

    def _state(self) -> dict[str, Any]:
        return super()._state() | {
            "critic": self.critic.state_dict(),
            "critic_optimiser": self.critic_optimiser.state_dict(),
            "critic_scaler": self.critic_precision.state(),
        }

    def _resume(self, state: dict[str, Any]) -> None:
        super()._resume(state)
        self.critic.load_state_dict(state["critic"])
        self.critic_optimiser.load_state_dict(state["critic_optimiser"])
        self.critic_precision.resume(state["critic_scaler"])


def check_config(config: Config) -> None:
    """Raise `OptionsError` when the configuration cannot be trained against a critic."""
    if "adversarial" not in config:
        raise OptionsError(
            f"The configuration '{config['id']}' has no part 'adversarial'; use training.train."
        )
    if "init" not in config:
        raise OptionsError(
            f"The configuration '{config['id']}' names no 'init'; a critic overwhelms a network "
            "that was not trained before, so start from a trained one (--init)."
        )


if __name__ == "__main__":
    main()
