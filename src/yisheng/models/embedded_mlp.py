"""A multilayer perceptron over embedded numbers."""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated, Literal

from annotated_types import Interval
from torch import nn

from yisheng.core.registry import register
from yisheng.core.types import Spec
from yisheng.models._activations import ACTIVATIONS, Activation
from yisheng.models._features import Features, Frequency, Size
from yisheng.models.mlp import Width


@register(
    fits=lambda spec: not spec.is_image,
    wants="rows of a table",
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
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.3,
) -> nn.Module:
    """Multilayer perceptron on numbers that are embedded one by one; yes/no columns go in as they are.

    Trees beat plain networks on tables where the answer jumps with a number (a latitude, an age); a vector for
    each number lets a network jump too.

    Args:
        hidden: units of the hidden layers, from input to output.
        embeddings: piecewise-linear: which of the number's bins lie below it; periodic: sines and cosines.
        embedding_size: length of a number's vector; 8 keeps a table of many columns narrow.
        frequency: of the periodic ones: standard deviation of the first frequencies, in cycles per unit of the
            scaled number; 0.1 if not given. It decides how fine the network can see: worth trying from 0.01 to 1.
        activation: what bends between the layers.
        dropout: share of the hidden units set to zero in training; with so many inputs it is needed.

    Raises:
        UsageError: frequency is given without periodic embeddings.

    Source: Gorishniy, Rubachev and Babenko, "On embeddings for numerical features in tabular deep learning", 2022
    (their package).

    >>> model = embedded_mlp(Spec("regression", (5,)), hidden=(16,), dropout=0)
    >>> [tuple(p.shape) for p in model.layers.parameters()]
    [(16, 40), (16,), (1, 16), (1,)]
    """
    features = Features(spec, embeddings, size=embedding_size, frequency=frequency)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    width = sum(features.sizes)
    for i, units in enumerate(hidden, start=1):
        layers[f"linear{i}"] = nn.Linear(width, units)
        layers[f"activation{i}"] = ACTIVATIONS[activation]()
        if dropout:
            layers[f"dropout{i}"] = nn.Dropout(dropout)
        width = units
    layers["output"] = nn.Linear(width, spec.outputs)
    return nn.Sequential(OrderedDict(features=features, layers=nn.Sequential(layers)))
