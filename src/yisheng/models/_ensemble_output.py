"""Several answers to one: what K members say together."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from yisheng.core.types import Spec


def average(output: torch.Tensor, spec: Spec) -> torch.Tensor:
    """One answer ``(B, O)`` of K members ``(B, K, O)``: the mean of their numbers or of their probabilities.

    Probabilities come back as logits: the logarithm of the mean softmax; for independent units the logit of the
    mean sigmoid. Computed from logarithms, so that members that are sure neither overflow nor become infinite.

    >>> sure, unsure = [4.0, 0.0], [0.0, 0.0]
    >>> spec = Spec("classification", (1,), classes=("a", "b"))
    >>> average(torch.tensor([[sure, unsure]]), spec).softmax(-1)  # (0.982 + 0.5) / 2
    tensor([[0.7410, 0.2590]])
    """
    if spec.task == "regression":
        return output.mean(1)
    if spec.task == "classification" and spec.outputs > 1:
        return F.log_softmax(output, -1).logsumexp(1) - math.log(output.shape[1])
    return F.logsigmoid(output).logsumexp(1) - F.logsigmoid(-output).logsumexp(1)
