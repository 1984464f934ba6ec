"""Log-sum-exp: the logarithm of a sum of exponentials, without overflow."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots


def _plot(axes: Any) -> None:
    """Draw log-sum-exp of two numbers, which is a smooth maximum."""
    curves: dict[str, _plots.Curve] = {
        "log(exp z + exp 0)": lambda z: log_sum_exp(torch.stack([z, torch.zeros_like(z)], -1)),
        "max(z, 0)": lambda z: z.clamp(min=0),
    }
    _plots.draw_curves(axes, curves, low=-5, high=5, xlabel="z")


@register(
    equation="""LSE(z) = log Σⱼ exp(zⱼ) = m + log Σⱼ exp(zⱼ − m),     m = maxⱼ zⱼ
∂LSE/∂z = softmax(z)""",
    usual="""
import torch
logits = torch.randn(32, 10)
total = torch.logsumexp(logits, dim=-1)
""",
    when="""To add probabilities that are given as logarithms: softmax's denominator, mixtures. It is between the
maximum and the maximum plus log C.""",
    plot=_plot,
)
def log_sum_exp(z: Tensor) -> Tensor:
    """Compute the logarithm of the sum of exponentials over the last axis: m + log Σ exp(z − m), m the largest.

    Args:
        z: any numbers (..., C), including infinite ones.

    Source: Blanchard, Higham and Higham, "Accurately computing the log-sum-exp and softmax functions", IMA Journal of
    Numerical Analysis 41, 2021, section 1.

    >>> log_sum_exp(torch.tensor([1000.0, 1000.0]))
    tensor(1000.6932)
    >>> log_sum_exp_naive(torch.tensor([1000.0, 1000.0]))
    tensor(inf)
    """
    m = z.detach().amax(-1, keepdim=True)
    m = torch.where(m.isinf(), 0, m)  # inf - inf would be NaN
    return (z - m).exp().sum(-1).log() + m[..., 0]


def log_sum_exp_naive(z: Tensor) -> Tensor:
    """Compute the definition directly.

    >>> log_sum_exp_naive(torch.tensor([0.0, 0.0]))
    tensor(0.6931)
    """
    return z.exp().sum(-1).log()
