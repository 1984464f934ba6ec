"""Multilayer perceptron."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Annotated

from annotated_types import Interval
from torch import nn

from yisheng.core.registry import register
from yisheng.core.types import Spec
from yisheng.models.activations import ACTIVATIONS, Activation

Width = Annotated[int, Interval(ge=1, le=2**20)]


@register(default_for=lambda spec: not spec.is_image and not any(column.source for column in spec.columns))
def mlp(
    spec: Spec,
    *,
    hidden: tuple[Width, ...] = (256,),
    activation: Activation = "relu",
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
    batch_norm: bool = False,
) -> nn.Module:
    """Build a multilayer perceptron: h = activation(h W^T + b) for every hidden layer, then a linear layer.

    A hidden layer is linear, batch norm, activation, dropout, in this order; batch norm has a shift, so the linear
    layer before it has no bias.

    Args:
        hidden: units of the hidden layers, from input to output; 256 is the textbook's, and wide enough for
            most tables. Without hidden layers it is `linear`.
        activation: after each hidden layer; relu is cheap and does not saturate.
        dropout: fraction of the hidden units set to zero in training; the remaining ones are scaled by
            1/(1 - dropout). Off by default; worth a try if the validation loss rises while the training loss falls.
        batch_norm: whether each hidden layer is normalized over the batch; training then needs at least 2 rows in
            every batch.

    Source: Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", 1986;
    Srivastava et al., "Dropout", 2014, section 4; Ioffe and Szegedy, "Batch normalization", 2015, section 3.2.

    >>> mlp(Spec("regression", (13,)), hidden=(64,), dropout=0.5)
    Sequential(
      (flatten): Flatten(start_dim=1, end_dim=-1)
      (linear1): Linear(in_features=13, out_features=64, bias=True)
      (activation1): ReLU()
      (dropout1): Dropout(p=0.5, inplace=False)
      (output): Linear(in_features=64, out_features=1, bias=True)
    )
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    width = math.prod(spec.shape)
    for i, units in enumerate(hidden, start=1):
        layers[f"linear{i}"] = nn.Linear(width, units, bias=not batch_norm)
        if batch_norm:
            layers[f"norm{i}"] = nn.BatchNorm1d(units)
        layers[f"activation{i}"] = ACTIVATIONS[activation]()
        if dropout:
            layers[f"dropout{i}"] = nn.Dropout(dropout)
        width = units
    layers["output"] = nn.Linear(width, spec.outputs)
    return nn.Sequential(layers)
