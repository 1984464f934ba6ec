"""Multilayer perceptron on embedded numbers."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from torch import nn

from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.models._table_features import Frequency, Size, TableFeatures
from yisheng.models.activations import ACTIVATIONS, Activation
from yisheng.models.mlp import Rate, Width, expand_dropout


@register(
    fits=lambda spec: spec.is_row,
    requires="rows of a table",
    stackable=False,
)
def embedded_mlp(
    spec: Spec,
    *,
    hidden: tuple[Width, ...] = (256, 256, 256),
    embeddings: Literal["piecewise-linear", "periodic"] = "piecewise-linear",
    embedding_size: Size = 8,
    frequency: Frequency | None = None,
    activation: Activation = "relu",
    dropout: Rate | tuple[Rate, ...] = 0.3,
) -> nn.Module:
    """Build a multilayer perceptron whose numeric inputs are embedded one by one; yes/no columns stay as they are.

    Trees are better than plain networks on tables whose target jumps with a number (a latitude, an age); an embedding
    of each number lets a network follow such jumps.

    Args:
        hidden: units of the hidden layers, from input to output.
        embeddings: piecewise-linear: which of the number's bins are below it; periodic: sines and cosines.
        embedding_size: length of a number's vector; 8 keeps a table of many columns narrow.
        frequency: standard deviation of the initial frequencies of periodic embeddings, in cycles per unit of the
            scaled number; 0.1 if not given. It sets the scale of the details that the network can learn; values
            from 0.01 to 1 are worth trying.
        activation: after each hidden layer.
        dropout: fraction of the hidden units set to zero in training, for all layers or for each; the many inputs make
            it necessary.

    Raises:
        UsageError: frequency is given without periodic embeddings, or dropout does not fit the hidden layers.

    Source: Gorishniy, Rubachev and Babenko, "On embeddings for numerical features in tabular deep learning", 2022
    (their package).

    >>> model = embedded_mlp(Spec("regression", (5,)), hidden=(16,), dropout=0)
    >>> [tuple(p.shape) for p in model.layers.parameters()]
    [(16, 40), (16,), (1, 16), (1,)]
    """
    features = TableFeatures(spec, embeddings, size=embedding_size, frequency=frequency)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    width = sum(features.sizes)
    for i, (units, rate) in enumerate(zip(hidden, expand_dropout(dropout, hidden), strict=True), start=1):
        layers[f"linear{i}"] = nn.Linear(width, units)
        layers[f"activation{i}"] = ACTIVATIONS[activation]()
        if rate:
            layers[f"dropout{i}"] = nn.Dropout(rate)
        width = units
    layers["output"] = nn.Linear(width, spec.outputs)
    return nn.Sequential(OrderedDict(features=features, layers=nn.Sequential(layers)))
