"""Cross-entropy on logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch._plots import COLORS
from yisheng.scratch.log_sum_exp import log_sum_exp
from yisheng.scratch.softmax import softmax_naive


def _plot(axes: Any) -> None:
    p = torch.linspace(0.005, 1, 300)
    axes.plot(p, -p.log(), color=COLORS[0], label="−log p")
    axes.set(xlabel="probability p given to the class", ylabel="cross-entropy")
    axes.legend()


@register(
    equation="""l(z, y) = −log p_y = LSE(z) − z_y,     p = softmax(z),     LSE(z) = log Σⱼ exp(zⱼ)
∂l/∂z = p − onehot(y)""",
    usual="""
import torch
logits, y = torch.randn(32, 10), torch.randint(10, (32,))
loss = torch.nn.functional.cross_entropy(logits, y, reduction="none")
""",
    when="""For one class out of several. It takes logits, never probabilities: softmax followed by the logarithm
overflows. Uniform guesses over C classes have the loss log C: a higher loss at the start indicates a defect.""",
    plot=_plot,
)
def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Compute the cross-entropy of each sample: log Σ_j exp(z_j) − z_y.

    Args:
        logits: outputs of the network (..., C), before any softmax.
        y: class numbers (...), int64.

    Source: Bridle, "Probabilistic interpretation of feedforward classification network outputs", 1990; Zhang et al.,
    "Dive into deep learning", 2023, sections 4.1.2 and 4.5.2.

    >>> cross_entropy(torch.tensor([[0.0, 0.0], [1000.0, 0.0]]), torch.tensor([0, 1]))
    tensor([6.9315e-01, 1.0000e+03])
    """
    return log_sum_exp(logits) - logits.gather(-1, y[..., None])[..., 0]


def cross_entropy_naive(logits: Tensor, y: Tensor) -> Tensor:
    """Compute the definition directly: the logarithm of the softmax.

    >>> cross_entropy_naive(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))
    tensor([0.6931])
    """
    return -softmax_naive(logits).gather(-1, y[..., None])[..., 0].log()


def overflow() -> tuple[Tensor, Tensor]:
    """Compute the losses of two confident samples, one correct and one wrong: naive, and with log-sum-exp.

    >>> naive, stable = overflow()
    >>> naive  # inf / inf, and -log(0 / inf)
    tensor([nan, inf])
    >>> stable
    tensor([   0., 1000.])
    """
    logits, y = torch.tensor([[1000.0, 0.0], [1000.0, 0.0]]), torch.tensor([0, 1])
    return cross_entropy_naive(logits, y), cross_entropy(logits, y)
