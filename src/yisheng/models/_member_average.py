"""The average of the members of an ensemble."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from yisheng.core.spec import Spec


def average_predictions(output: torch.Tensor, spec: Spec) -> torch.Tensor:
    """Average K members ``(B, K, O)`` to one output ``(B, O)``: the mean of their numbers or of their probabilities.

    Probabilities are returned as logits: the logarithm of the mean softmax; for independent units the logit of the
    mean sigmoid. They are computed from logarithms, so that confident members neither overflow nor become infinite.

    >>> confident, even = [4.0, 0.0], [0.0, 0.0]
    >>> spec = Spec("classification", (1,), classes=("a", "b"))
    >>> average_predictions(torch.tensor([[confident, even]]), spec).softmax(-1)  # (0.982 + 0.5) / 2
    tensor([[0.7410, 0.2590]])
    """
    if spec.task == "regression":
        return output.mean(1)
    if spec.task == "classification" and spec.outputs > 1:
        return F.log_softmax(output, -1).logsumexp(1) - math.log(output.shape[1])
    return F.logsigmoid(output).logsumexp(1) - F.logsigmoid(-output).logsumexp(1)
