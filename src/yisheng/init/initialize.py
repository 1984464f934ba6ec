"""Apply an initialization to a model."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

Fill = Callable[[torch.Tensor], None]
"""A function that fills one weight tensor in place."""

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def initialize(model: nn.Module, init: Fill | None, *, linear: Fill | None = None, conv: Fill | None = None) -> None:
    """Fill the weights of the linear and convolution layers of a model, in place.

    The bias of a layer that is filled becomes zero: the weights break the symmetry between units, and
    the variances that Xavier and Kaiming keep are those of layers without a bias. A layer whose weight the
    initialization does not change (`default`) keeps its bias too. Norm layers keep scale 1 and shift 0.

    Args:
        model: any module; its layers are visited in their order, so a seed always gives the same weights.
        init: fills the weights of both kinds of layer; None leaves them as torch made them.
        linear: for linear layers, instead of ``init``.
        conv: for convolutions, instead of ``init``.

    >>> model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Flatten(), nn.Linear(4, 2))
    >>> initialize(model, nn.init.zeros_, linear=nn.init.ones_)
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
            _fill_layer(module, fill)


@torch.no_grad()
def _fill_layer(layer: nn.Module, fill: Fill) -> None:
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, torch.Tensor)
    initial = weight.clone()
    fill(weight)
    if isinstance(bias, torch.Tensor) and not torch.equal(weight, initial):
        bias.zero_()
