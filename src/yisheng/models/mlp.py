"""Multilayer perceptron."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Annotated

from annotated_types import Interval
from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.models.activations import ACTIVATIONS, Activation

Width = Annotated[int, Interval(ge=1, le=2**20)]
Rate = Annotated[float, Interval(ge=0, lt=1)]


@register(
    fits=lambda spec: spec.is_numeric,
    requires="numbers",
    default_for=lambda spec: (
        spec.is_numeric and not spec.has_maps and not any(column.source for column in spec.columns)
    ),
)
def mlp(
    spec: Spec,
    *,
    hidden: tuple[Width, ...] = (256,),
    activation: Activation = "relu",
    dropout: Rate | tuple[Rate, ...] = 0.0,
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
            1/(1 - dropout); one number, or one for each hidden layer (0.2,0.5). Off by default; worth a try if the
            validation loss rises while the training loss falls.
        batch_norm: whether each hidden layer is normalized over the batch; training then needs at least 2 rows in
            every batch.

    Raises:
        UsageError: dropout has several numbers, but not one for each hidden layer.

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
    for i, (units, rate) in enumerate(zip(hidden, expand_dropout(dropout, hidden), strict=True), start=1):
        layers[f"linear{i}"] = nn.Linear(width, units, bias=not batch_norm)
        if batch_norm:
            layers[f"norm{i}"] = nn.BatchNorm1d(units)
        layers[f"activation{i}"] = ACTIVATIONS[activation]()
        if rate:
            layers[f"dropout{i}"] = nn.Dropout(rate)
        width = units
    layers["output"] = nn.Linear(width, spec.outputs)
    return nn.Sequential(layers)


def expand_dropout(dropout: float | Sequence[float], hidden: Sequence[int]) -> Sequence[float]:
    """Return the dropout of each hidden layer.

    Args:
        dropout: one number for all layers, or one for each.
        hidden: units of the hidden layers.

    Raises:
        UsageError: the numbers do not fit the layers.

    >>> expand_dropout(0.5, (64, 32)), expand_dropout((0.2, 0.5), (64, 32))
    ([0.5, 0.5], (0.2, 0.5))
    """
    if isinstance(dropout, int | float):
        return [dropout] * len(hidden)
    if len(dropout) != len(hidden):
        values = ",".join(f"{rate:g}" for rate in dropout)
        raise UsageError(
            Message(
                "dropout={values} has {count} numbers for {layers} hidden layers",
                values=values,
                count=len(dropout),
                layers=len(hidden),
            ),
            Message("give one number, or one for each layer of hidden="),
        )
    return dropout
