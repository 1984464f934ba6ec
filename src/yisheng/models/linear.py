"""Linear, logistic and softmax regression: one linear layer."""

from __future__ import annotations

import math
from collections import OrderedDict

from torch import nn

from yisheng.core.registry import register
from yisheng.core.spec import Spec


@register(fits=lambda spec: spec.is_numeric, requires="numbers")
def linear(spec: Spec) -> nn.Module:
    """Build linear, logistic or softmax regression, depending on the data: x W^T + b on the flattened input.

    The loss makes the difference: with squared error it is linear regression, with binary cross-entropy logistic
    regression, with cross-entropy softmax regression.

    Source: Zhang et al., "Dive into Deep Learning", chapters 3 and 4.

    >>> linear(Spec("classification", (1, 28, 28), classes=tuple("0123456789")))
    Sequential(
      (flatten): Flatten(start_dim=1, end_dim=-1)
      (output): Linear(in_features=784, out_features=10, bias=True)
    )
    """
    return nn.Sequential(
        OrderedDict(flatten=nn.Flatten(), output=nn.Linear(math.prod(spec.shape), spec.outputs)),
    )
