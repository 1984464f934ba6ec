"""Gradient check: comparison with numeric derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register

Function = Callable[[Tensor], Tensor]


def _plot(axes: Any) -> None:
    """Draw the error by step: long steps leave the linear range, short steps are dominated by rounding."""
    x = torch.tensor([1.0], dtype=torch.float64)
    steps = 10.0 ** torch.arange(-14, 0.1, 0.25, dtype=torch.float64)
    errors = [gradient_check(lambda x: torch.sin(x).sum(), x, torch.cos(x), step=float(h)) for h in steps]
    axes.loglog(steps, torch.stack(errors).clamp(min=1e-17), color="#0072b2")
    axes.set(xlabel="step", ylabel="relative error", title="slope of sin at 1, float64")


def numeric_gradient(f: Function, x: Tensor, *, step: float = 1e-6) -> Tensor:
    """Compute (f(x + step e_i) - f(x - step e_i)) / (2 step) for every entry i of x."""
    slopes = []
    for i in range(x.numel()):
        e = torch.zeros_like(x)
        e.view(-1)[i] = step
        slopes.append((f(x + e) - f(x - e)) / (2 * step))
    return torch.stack(slopes).view(x.shape)


@register(
    equation="""numeric_i = (f(x + h eᵢ) − f(x − h eᵢ)) / 2h
error = |numeric − gradient| / (|numeric| + |gradient|)""",
    usual="""
import torch
x = torch.ones(3, dtype=torch.float64, requires_grad=True)
right = torch.autograd.gradcheck(lambda x: x.sin().sum(), (x,))
""",
    when="""For every gradient that is derived manually, on a few numbers in float64, away from kinks such as relu's
at 0. Below 1e-7 it is correct, above 1e-3 wrong. It needs two evaluations per number: a test, never part of
training.""",
    plot=_plot,
)
def gradient_check(f: Function, x: Tensor, gradient: Tensor, *, step: float = 1e-6) -> Tensor:
    """Compute the relative difference between a gradient and the numeric derivatives at x.

    |n - g| / (|n| + |g|), n_i = (f(x + h e_i) - f(x - h e_i)) / 2h

    Args:
        f: the function; it returns a single number.
        x: the point, float64 of any shape.
        gradient: the gradient of f at x to check, of the same shape.
        step: h; the error of the derivative is about h² + 1e-16 / h, so 1e-5 to 1e-6 is best in float64.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, section 11.5.

    >>> x = torch.tensor([0.5, 2.0], dtype=torch.float64)
    >>> bool(gradient_check(lambda x: (x**3).sum(), x, 3 * x**2) < 1e-8)
    True
    >>> bool(gradient_check(lambda x: (x**3).sum(), x, 2 * x**2) > 1e-3)
    True
    """
    numeric = numeric_gradient(f, x, step=step)
    size = (numeric.norm() + gradient.norm()).clamp(min=torch.finfo(x.dtype).tiny)
    return (numeric - gradient).norm() / size
