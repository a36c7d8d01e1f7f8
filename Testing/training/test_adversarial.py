"""The critic, its losses, the sharpness of edges, and a whole tiny adversarial run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from MedEnhanceLib.errors import OptionsError
from training import train_adversarial
from training.critic import (
    Critic,
    RelativisticAverage,
    WassersteinGradientPenalty,
    adversarial_loss,
)
from training.edges import edge_loss, edge_ratio, examples
from training.recipe import make_recipe
from training.train import Training
from training.train_adversarial import AdversarialTraining

from .conftest import ALONE, whole_and_halved

TinyConfig = Callable[[str], dict[str, Any]]
PLAIN = {"denoise": "mr-denoise-residual", "super-resolution": "mr-super-resolution"}


class Scorer(torch.nn.Module):
    """A critic whose slope is ``slope`` everywhere."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.sum(dim=(1, 2, 3, 4)) * self.slope / image[0].numel() ** 0.5


def test_critic_scores_every_neighbourhood() -> None:
    critic = Critic(width=4)
    assert critic(torch.rand(2, 1, 32, 32, 24)).shape == (2, 1, 4, 4, 3)
    convolutions = [m for m in critic.modules() if isinstance(m, torch.nn.Conv3d)]
    assert len(convolutions) == 4
    critic.train()
    for _ in range(20):
        critic(torch.rand(1, 1, 16, 16, 16))
    critic.eval()
    for convolution in convolutions:
        largest = torch.linalg.matrix_norm(convolution.weight.detach().flatten(1), 2)
        assert float(largest) == pytest.approx(1, abs=0.1)


def test_relativistic_loss_is_small_for_who_is_ahead() -> None:
    high, low, same = torch.full((2, 1), 5.0), torch.full((2, 1), -5.0), torch.zeros(2, 1)
    loss = RelativisticAverage()
    identity = torch.nn.Identity()
    assert float(loss.of_critic(identity, high, low)) < 1e-3
    assert float(loss.of_generator(identity, high, low)) > 9
    assert float(loss.of_critic(identity, same, same)) == pytest.approx(np.log(2))


@pytest.mark.parametrize("slope", [1.0, 3.0])
def test_gradient_penalty_wants_a_slope_of_one(slope: float) -> None:
    loss = WassersteinGradientPenalty(penalty=10)
    real, fake = torch.ones(2, 1, 4, 4, 4), torch.zeros(2, 1, 4, 4, 4)
    distance = -slope * 8  # the norm of a change by 1 in 64 voxels is 8
    expected = distance + 10 * (slope - 1) ** 2
    assert float(loss.of_critic(Scorer(slope), real, fake)) == pytest.approx(expected, rel=1e-4)
    assert float(loss.of_generator(Scorer(slope), real, real)) == pytest.approx(distance)


@pytest.mark.parametrize("name", ["relativistic", "wgan-gp"])
def test_critic_learns_to_tell_sharp_from_blurred(name: str) -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    sharp = np.stack([np.kron(rng.random((4, 4, 4)), np.ones((4, 4, 4))) for _ in range(2)])
    blurred = np.stack([ndimage.gaussian_filter(image, 0.8) for image in sharp])
    real, fake = (torch.from_numpy(x).float()[:, None] for x in (sharp, blurred))
    critic, loss = Critic(width=4, spectral=name == "relativistic"), adversarial_loss(name)
    optimiser = torch.optim.Adam(critic.parameters(), 0.01)
    for _ in range(40):
        optimiser.zero_grad()
        loss.of_critic(critic, real, fake).backward()
        optimiser.step()
    assert critic(real).mean() > critic(fake).mean() + 0.05


def test_unknown_adversarial_loss_is_named() -> None:
    with pytest.raises(OptionsError, match="hinge"):
        adversarial_loss("hinge")


def test_edge_ratio_tells_blurred_from_sharpened() -> None:
    clean = np.kron(np.random.default_rng(0).random((3, 3, 3)), np.ones((8, 8, 8)))
    clean = clean.astype(np.float32)
    blurred = ndimage.gaussian_filter(clean, 1)
    assert edge_ratio(clean, clean) == pytest.approx(1)
    assert edge_ratio(blurred, clean) < 0.8
    assert edge_ratio(clean + (clean - blurred), clean) > 1.2


def test_edge_loss_sees_how_steep_and_not_how_bright() -> None:
    target = torch.rand(1, 1, 6, 6, 6)
    weight = torch.full_like(target, 2.0)
    assert float(edge_loss(target + 0.3, target, weight)) == pytest.approx(0, abs=1e-5)
    even = torch.zeros_like(target)
    slope = even + torch.arange(6.0)[:, None, None]
    assert float(edge_loss(slope, even, weight)) == pytest.approx(2, rel=1e-3)
    # Which way it goes up is the business of the recipe's own loss.
    assert float(edge_loss(slope, -slope, weight)) == pytest.approx(0, abs=1e-5)


def test_edge_loss_has_a_slope_where_an_image_is_even() -> None:
    output = torch.zeros(1, 1, 4, 4, 4, requires_grad=True)
    edge_loss(output, torch.rand(1, 1, 4, 4, 4), torch.ones(1, 1, 4, 4, 4)).backward()
    assert output.grad is not None and bool(output.grad.isfinite().all())


@pytest.fixture
def adversarial(data: Path, tiny_config: TinyConfig) -> Callable[[str, str], dict[str, Any]]:
    """A tiny configuration whose generator was trained for two steps."""

    def config(kind: str, loss: str) -> dict[str, Any]:
        whole = tiny_config(f"mr-{kind}-adversarial")
        plain = tiny_config(PLAIN[kind]) | {"network_def": whole["network_def"]}
        Training(plain, make_recipe(plain, data), data / "plain", ALONE).run()
        whole["adversarial"]["critic"] = {"width": 4, "spectral": loss == "relativistic"}
        whole["adversarial"]["loss"] = loss
        return whole | {"init": str(data / "plain/best.pt")}

    return config


@pytest.mark.parametrize(
    ("kind", "loss"), [("denoise", "relativistic"), ("super-resolution", "wgan-gp")]
)
def test_adversarial_training_goes_on_where_it_stopped(
    kind: str, loss: str, data: Path, adversarial: Callable[[str, str], dict[str, Any]]
) -> None:
    config = adversarial(kind, loss)
    recipe = make_recipe(config, data)
    whole, halved = whole_and_halved(AdversarialTraining, config, recipe, data)
    plain = torch.load(data / "plain/best.pt", weights_only=True)
    assert whole["network"].keys() == plain.keys()
    for part in ("network", "critic"):
        for key, value in whole[part].items():
            torch.testing.assert_close(value, halved[part][key], msg=f"{part} {key}")
    heading, row = (data / "whole/curve.csv").read_text().splitlines()[:2]
    found = dict(zip(heading.split(","), map(float, row.split(",")), strict=True))
    assert found.keys() >= {"loss", "edges", "adversarial", "critic", "edge_ratio", "score"}
    assert 0 < found["edge_ratio"] < 3


def test_a_critic_that_goes_astray_ends_the_run(
    data: Path, adversarial: Callable[[str, str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = adversarial("denoise", "relativistic")
    run = AdversarialTraining(config, make_recipe(config, data), data / "run", ALONE)
    monkeypatch.setattr(
        run.opponent, "of_critic", lambda critic, real, _: critic(real).sum() * torch.nan
    )
    with pytest.raises(OptionsError, match="went astray at step 1"):
        run.run()
    assert all(bool(p.isfinite().all()) for p in run.critic.parameters())
    assert not (data / "run/checkpoint.pt").exists()


def test_critic_and_generator_learn_from_their_own_losses_only(
    data: Path, adversarial: Callable[[str, str], dict[str, Any]]
) -> None:
    config = adversarial("denoise", "relativistic")
    run = AdversarialTraining(config, make_recipe(config, data), data / "run", ALONE)
    before = [p.detach().clone() for p in run.critic.parameters()]
    batch = run.recipe.batch(np.random.default_rng(0))
    output = run.network(batch.inputs)
    run._teach_generator(output, output, batch)
    for old, new in zip(before, run.critic.parameters(), strict=True):
        torch.testing.assert_close(old, new)
    weights = [p.detach().clone() for p in run.network.parameters()]
    run._teach_critic(batch.target, run.network(batch.inputs).detach())
    assert any(not torch.equal(o, n) for o, n in zip(before, run.critic.parameters(), strict=True))
    for old, new in zip(weights, run.network.parameters(), strict=True):
        torch.testing.assert_close(old, new)


def test_edges_and_the_critic_guide_the_generator(
    data: Path, adversarial: Callable[[str, str], dict[str, Any]]
) -> None:
    config = adversarial("denoise", "relativistic")
    recipe = make_recipe(config, data)
    batch = recipe.batch(np.random.default_rng(0))

    def gradient(**terms: float) -> torch.Tensor:
        changed = config | {"adversarial": config["adversarial"] | terms}
        run = AdversarialTraining(changed, recipe, data / "run", ALONE)
        output = run.network(batch.inputs)
        run._teach_generator(output, output, batch)
        slopes = [p.grad for p in run.network.parameters() if p.grad is not None]
        return torch.cat([slope.flatten() for slope in slopes])

    usual = gradient()
    torch.testing.assert_close(gradient(), usual)
    for term in ("weight", "edge_weight"):
        with pytest.raises(AssertionError, match="not close"):
            torch.testing.assert_close(gradient(**{term: 0.0}), usual)


def test_edges_that_are_too_weak_or_too_strong_lower_the_score(
    data: Path, adversarial: Callable[[str, str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = adversarial("denoise", "relativistic")
    config["adversarial"]["edges_db"] = 4.0
    recipe = make_recipe(config, data)
    monkeypatch.setattr(recipe, "validate", lambda network: {"score": 3.0})
    run = AdversarialTraining(config, recipe, data / "run", ALONE)
    for ratio, score in ((0.75, 2.0), (1.0, 3.0), (1.25, 2.0)):
        monkeypatch.setattr(train_adversarial, "mean_edge_ratio", lambda *_, r=ratio: r)
        assert run._measure(run.network) == {"edge_ratio": ratio, "score": score}


def test_untrained_generators_are_refused(tiny_config: TinyConfig) -> None:
    with pytest.raises(OptionsError, match=r"training\.train"):
        train_adversarial.check_config(tiny_config("mr-denoise-residual"))
    config = tiny_config("mr-denoise-adversarial")
    del config["init"]
    with pytest.raises(OptionsError, match="--init"):
        train_adversarial.check_config(config)


def test_recipes_without_images_have_no_examples() -> None:
    with pytest.raises(OptionsError, match="int"):
        examples(3, torch.nn.Identity())  # type: ignore[arg-type]
