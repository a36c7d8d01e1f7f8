"""A critic that tells real patches from restored ones, and what it and the generator minimise."""

from __future__ import annotations

from typing import Protocol

import torch
from monai.networks.nets import PatchDiscriminator
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from MedEnhanceLib.engine.networks.folding import FOLD, box_mean, space_to_depth
from MedEnhanceLib.errors import OptionsError

DETAIL_GAIN = 10.0
"""Detail is a few per cent of the peak; this brings it to the image's size."""


class Critic(nn.Module):
    """A 3D PatchGAN critic at half resolution: one score for every neighbourhood.

    Input (B, 1, D, H, W): an image over its peak; sizes must be multiples of 8. Output
    (B, 1, d, h, w): the higher, the more real. The image and its fine detail are folded
    (space-to-depth), which makes MONAI's discriminator behind it cheap on a CPU. PatchGAN: Isola
    et al. 2017, arXiv:1611.07004; spectral norm: Miyato et al. 2018, arXiv:1802.05957.
    """

    def __init__(self, width: int = 32, layers: int = 2, spectral: bool = True) -> None:
        super().__init__()
        self.patches = PatchDiscriminator(
            spatial_dims=3,
            channels=width,
            in_channels=2 * FOLD**3,
            num_layers_d=layers,
            kernel_size=3,
            norm="",
            bias=True,
        )
        if spectral:
            for part in self.patches.modules():
                if isinstance(part, nn.Conv3d):
                    spectral_norm(part)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        detail = (image - box_mean(image, 3)) * DETAIL_GAIN
        scores: torch.Tensor = self.patches(space_to_depth(torch.cat([image, detail], dim=1)))[-1]
        return scores


class AdversarialLoss(Protocol):
    """What the critic minimises, and what the generator minimises to deceive it."""

    def of_critic(self, critic: nn.Module, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        """For images (B, 1, D, H, W); ``fake`` carries no gradient to the generator."""

    def of_generator(
        self, critic: nn.Module, real: torch.Tensor, fake: torch.Tensor
    ) -> torch.Tensor:
        """The gradient reaches the generator through ``fake``."""


class RelativisticAverage:
    """Is a real patch more real than the fake ones on average, and a fake one less?

    Jolicoeur-Martineau 2018, arXiv:1807.00734.
    """

    def of_critic(self, critic: nn.Module, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        return self._more_real(critic(real), critic(fake))

    def of_generator(
        self, critic: nn.Module, real: torch.Tensor, fake: torch.Tensor
    ) -> torch.Tensor:
        return self._more_real(critic(fake), critic(real))

    @staticmethod
    def _more_real(better: torch.Tensor, worse: torch.Tensor) -> torch.Tensor:
        """Binary cross-entropy of "better beats the average of worse, and not the reverse"."""
        ahead = functional.softplus(-(better - worse.mean())).mean()
        behind = functional.softplus(worse - better.mean()).mean()
        return (ahead + behind) / 2


class WassersteinGradientPenalty:
    """Wasserstein distance by a critic whose slope is kept near 1 between real and fake.

    Gulrajani et al. 2017, arXiv:1704.00028.
    """

    def __init__(self, penalty: float = 10.0) -> None:
        self.penalty = penalty

    def of_critic(self, critic: nn.Module, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        distance = critic(fake).mean() - critic(real).mean()
        return distance + self.penalty * self._slope_error(critic, real, fake)

    def of_generator(
        self, critic: nn.Module, real: torch.Tensor, fake: torch.Tensor
    ) -> torch.Tensor:
        return -critic(fake).mean()

    @staticmethod
    def _slope_error(critic: nn.Module, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        share = torch.rand(len(real), 1, 1, 1, 1, device=real.device)
        between = (share * real + (1 - share) * fake).detach().requires_grad_()
        (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        return (slope.flatten(1).norm(dim=1) - 1).square().mean()


LOSSES = {"relativistic": RelativisticAverage, "wgan-gp": WassersteinGradientPenalty}


def adversarial_loss(name: str) -> AdversarialLoss:
    """The loss called ``name``; raises `OptionsError` naming what there is."""
    if name not in LOSSES:
        raise OptionsError(
            f"There is no adversarial loss '{name}'; there are: {', '.join(LOSSES)}."
        )
    loss: AdversarialLoss = LOSSES[name]()
    return loss
