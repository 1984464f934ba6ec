"""Likelihood: the losses are negative logarithms of probabilities."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.scratch._plots import COLORS
from yisheng.scratch.absolute_loss import absolute_loss
from yisheng.scratch.binary_cross_entropy import binary_cross_entropy
from yisheng.scratch.cross_entropy import cross_entropy
from yisheng.scratch.squared_loss import squared_loss


def _plot(axes: Any) -> None:
    """Draw the negative log-likelihood of a coin that fell on heads 7 of 10 times."""
    p = torch.linspace(0.02, 0.98, 193, dtype=torch.float64)
    tosses = torch.tensor([1.0] * 7 + [0.0] * 3, dtype=torch.float64)
    logits = (p / (1 - p)).log()
    losses = likelihood(logits[:, None].expand(-1, 10), tosses.expand(len(p), 10), family="bernoulli").sum(1)
    axes.plot(p, losses, color=COLORS[0], label="−log likelihood")
    axes.axvline(0.7, color=COLORS[1], linestyle="--", label="its minimum: 7 / 10")
    axes.set(xlabel="probability of heads", ylabel="sum over 10 tosses, 7 of them heads")
    axes.legend()


@register(
    equation="""loss = −log p(y | x), so that the minimum of the mean loss is the maximum of the likelihood Π p(y | x)
normal, σ = 1:   ½ (o − y)² + ½ log 2π        squared loss and a constant
Laplace, b = 1:  |o − y| + log 2              absolute loss and a constant
Bernoulli:       log(1 + exp o) − y o         binary cross-entropy on the logit o
categorical:     LSE(o) − o_y                 cross-entropy on logits""",
    usual="""
import torch
output, y = torch.randn(32), torch.randn(32)
loss = -torch.distributions.Normal(output, 1.0).log_prob(y)
""",
    when="""To choose a loss: think which distribution the target has around its prediction. Numbers with normal noise:
squared; with outliers: absolute or Huber; yes or no: binary cross-entropy; one of several classes: cross-entropy.""",
    plot=_plot,
)
def likelihood(
    output: Tensor, y: Tensor, *, family: Literal["normal", "laplace", "bernoulli", "categorical"] = "normal"
) -> Tensor:
    """Compute the negative log-likelihood of each target.

    Args:
        output: center (...) of a normal or Laplace distribution of unit scale, logit (...) or logits (..., C).
        y: targets (...): numbers, zeros and ones, or class numbers.
        family: of the distribution of y given the output.

    Raises:
        UsageError: there is no such family.

    Source: Bishop, "Pattern recognition and machine learning", 2006, sections 3.1.1, 4.3.2 and 4.3.4; Zhang et al.,
    "Dive into deep learning", 2023, sections 3.1.3 and 4.1.2.

    >>> likelihood(torch.tensor([0.0]), torch.tensor([1.0]), family="bernoulli")
    tensor([0.6931])
    """
    if family == "normal":
        return squared_loss(output, y) + math.log(2 * math.pi) / 2
    if family == "laplace":
        return absolute_loss(output, y) + math.log(2)
    if family == "bernoulli":
        return binary_cross_entropy(output, y)
    if family == "categorical":
        return cross_entropy(output, y)
    raise UsageError(
        Message("family={family} is not among the families", family=f"{family!r}"),
        Message("use normal, laplace, bernoulli or categorical"),
    )
