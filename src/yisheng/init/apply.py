"""From one initialiser to a whole model."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

Fill = Callable[[torch.Tensor], None]
"""Fills one weight tensor in place."""

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def apply(model: nn.Module, init: Fill | None, *, linear: Fill | None = None, conv: Fill | None = None) -> None:
    """Give the linear and convolution layers of a model their first weights, in place.

    The bias of a layer that is filled becomes zero: what breaks the symmetry between units are the weights, and
    the variances that Xavier and Kaiming keep are those of layers without a bias. A layer whose weight the
    initialiser leaves as it was (`default`) keeps its bias too. Norm layers stay at scale 1 and shift 0.

    Args:
        model: any module; its layers are visited in their order, so a seed gives the same weights always.
        init: fills the weights of both kinds of layer; None leaves them as torch made them.
        linear: for linear layers, in the place of ``init``.
        conv: for convolutions, in the place of ``init``.

    >>> model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Flatten(), nn.Linear(4, 2))
    >>> apply(model, nn.init.zeros_, linear=nn.init.ones_)
    >>> [float(p.detach().sum()) for p in model.parameters()]
    [0.0, 0.0, 8.0, 0.0]
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            fill = linear or init
        elif isinstance(module, CONVOLUTIONS):
            fill = conv or init
        else:
            continue
        if fill is not None:
            _fill(module, fill)


@torch.no_grad()
def _fill(layer: nn.Module, fill: Fill) -> None:
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, torch.Tensor)
    before = weight.clone()
    fill(weight)
    if isinstance(bias, torch.Tensor) and not torch.equal(weight, before):
        bias.zero_()
