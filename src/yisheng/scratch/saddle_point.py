"""Saddle points: places without slope that are neither a minimum nor a maximum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch._plots import COLORS
from yisheng.scratch.gradient_descent import gradient_descent


def _plot(axes: Any) -> None:
    """Draw descent on x² − y² + y⁴/4: it waits at the saddle, then goes to one of the minima."""
    x, y = torch.linspace(-2, 2, 81), torch.linspace(-2, 2, 81)
    height = x[None, :] ** 2 - y[:, None] ** 2 + y[:, None] ** 4 / 4
    axes.contour(x, y, height, levels=20, colors="#c8c8c8", linewidths=0.8)
    for start, color in ((1e-6, COLORS[0]), (-1e-2, COLORS[1])):
        path = gradient_descent(_slope, torch.tensor([-1.8, start]), lr=0.1, steps=120)
        at_saddle = int((path.abs().amax(1) < 0.1).sum())
        axes.plot(path[:, 0], path[:, 1], "o-", markersize=3, color=color, label=f"{at_saddle} updates near the saddle")
    axes.plot(0, 0, "kx", markersize=9, label="saddle")
    axes.set(xlabel="x", ylabel="y", title="x² − y² + y⁴/4")
    axes.legend(loc="upper right", fontsize=8)


def _slope(w: Tensor) -> Tensor:
    return torch.stack([2 * w[0], w[1] ** 3 - 2 * w[1]])


@register(
    equation="""∇f(w) = 0, and the eigenvalues of the Hessian ∂²f/∂w² there:
all positive: minimum      all negative: maximum      of both signs: saddle point""",
    usual="""
import torch
from torch.autograd.functional import hessian
h = hessian(lambda w: w[0] ** 2 - w[1] ** 2, torch.zeros(2))
curvatures = torch.linalg.eigvalsh(h)
""",
    when="""If a training stays on a plateau and then goes on: with many weights, places without slope are nearly always
saddle points, and the noise of mini-batches leaves them. Momentum shortens the wait; all weights equal at the start
(zeros) is a saddle that no gradient leaves.""",
    plot=_plot,
)
def saddle_point(gradient: Callable[[Tensor], Tensor], w: Tensor, *, step: float = 1e-5) -> Tensor:
    """Compute the curvatures (D,) of a function at a place, the eigenvalues of its Hessian, in rising order.

    H_i = (gradient(w + step e_i) - gradient(w - step e_i)) / (2 step)

    Args:
        gradient: returns the gradient (D,) at weights (D,).
        w: the place (D,), float64.
        step: of the numeric derivative.

    Source: Dauphin et al., "Identifying and attacking the saddle point problem in high-dimensional non-convex
    optimization", 2014; Zhang et al., "Dive into deep learning", 2023, section 12.1.

    >>> saddle_point(lambda w: torch.stack([2 * w[0], -2 * w[1]]), torch.zeros(2, dtype=torch.float64)).round()
    tensor([-2.,  2.], dtype=torch.float64)
    """
    steps = step * torch.eye(len(w), dtype=w.dtype)
    hessian = torch.stack([(gradient(w + e) - gradient(w - e)) / (2 * step) for e in steps])
    return torch.linalg.eigvalsh((hessian + hessian.T) / 2)
