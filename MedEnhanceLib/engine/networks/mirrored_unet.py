"""A U-Net that looks at a volume and at its mirror image."""

from __future__ import annotations

import math

import torch
from monai.networks.nets import UNet

RIGHT = -1
"""The axis that is mirrored: the last one runs right in a volume turned to RAS."""


class MirroredUNet(UNet):
    """MONAI's `UNet`; once trained it is asked twice, and the mean of its chances counts.

    (B, C, D, H, W) -> logarithms of the chances (B, classes, D, H, W), or its plain scores while
    it is trained. It has the weights of the U-Net, whose arguments it takes. For what lies on
    either side of the body and was taught by mirroring (test-time augmentation, Wang et al. 2019,
    doi:10.1016/j.neucom.2019.01.103).
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = super().forward(x)
        if self.training:
            return scores
        mirrored: torch.Tensor = super().forward(x.flip(RIGHT)).flip(RIGHT)
        both = (each.float().log_softmax(dim=1) for each in (scores, mirrored))
        return torch.logaddexp(*both) - math.log(2)
