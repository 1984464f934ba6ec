"""What both SqueezeNets share: the fire module, and how such nets are put together."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

from yisheng.core.types import Spec
from yisheng.models._variants import open_bend


class Fire(nn.Module):
    """Squeeze to few channels with 1 x 1 convolutions, then expand with 1 x 1 and with 3 x 3 side by side.

    y = [relu(expand1x1(s)), relu(expand3x3(s))] with s = relu(squeeze(x)).

    Args:
        channels: of the input.
        squeezed: channels between, few so that the 3 x 3 convolution is cheap.
        expanded: channels of each of the two halves of the output.

    >>> Fire(96, 16, 64)(torch.zeros(1, 96, 5, 5)).shape
    torch.Size([1, 128, 5, 5])
    """

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, kernel_size=1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, kernel_size=1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, kernel_size=3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, C, H, W)`` to ``(B, 2 * expanded, H, W)``."""
        x = self.squeeze_activation(self.squeeze(x))
        return torch.cat(
            [self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))], dim=1
        )


def pool() -> nn.MaxPool2d:
    """Half as many rows and columns, the last one of an odd number counted in."""
    return nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)


def build(first: nn.Conv2d, layers: Sequence[nn.Module], last: nn.Module, spec: Spec) -> nn.Module:
    """A SqueezeNet: a convolution, fire modules and pools, and one map per output, averaged.

    Args:
        first: the first convolution.
        layers: what follows it and its relu.
        last: what follows the last convolution.
        spec: the contract.
    """
    final = nn.Conv2d(512, spec.outputs, kernel_size=1)
    features = nn.Sequential(first, nn.ReLU(inplace=True), *layers)
    classifier = nn.Sequential(nn.Dropout(), final, last, nn.AdaptiveAvgPool2d(1))
    net = nn.Sequential(OrderedDict(features=features, classifier=classifier, flatten=nn.Flatten()))
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            if module is final:
                nn.init.normal_(module.weight, std=0.01)
            else:
                nn.init.kaiming_uniform_(module.weight)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    if isinstance(last, nn.ReLU):
        open_bend(final)
    return net
