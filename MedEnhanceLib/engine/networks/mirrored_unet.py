"""A U-Net that looks at a volume and at its mirror image."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

RIGHT = -1
"""The axis that is mirrored: the last one runs right in a volume turned to RAS."""


class MirroredUNet(nn.Module):
    """MONAI's `UNet`; once trained it is asked twice, and the mean of its chances counts.

    (B, C, D, H, W) -> logarithms of the chances (B, classes, D, H, W), or the plain scores while
    it is trained. For what lies on either side of the body and was taught by mirroring (test-time
    augmentation, Wang et al. 2019, doi:10.1016/j.neucom.2019.01.103).

    Args:
        arguments: of `monai.networks.nets.UNet`.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__()
        # It takes seconds, and the other networks do without.
        from monai.networks.nets import UNet

        self.unet = UNet(**arguments)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.unet(x)
        if self.training:
            return scores
        mirrored = self.unet(x.flip(RIGHT)).flip(RIGHT)
        both = (each.float().log_softmax(dim=1) for each in (scores, mirrored))
        return torch.logaddexp(*both) - math.log(2)
