"""The perceptron, whose weights change only after a mistake."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch._plots import COLORS

CORNERS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
"""Inputs of a logical function of two arguments."""
AND, OR, XOR = (torch.tensor(y) for y in ([-1.0, -1.0, -1.0, 1.0], [-1.0, 1.0, 1.0, 1.0], [-1.0, 1.0, 1.0, -1.0]))
"""Outputs of the logical functions, +1 for true."""


def _plot(axes: Any) -> None:
    """Draw the line that separates the corners of AND."""
    w, b = perceptron(CORNERS, AND)
    for sign, marker, label in ((-1, "o", "false"), (1, "s", "true")):
        corners = CORNERS[sign == AND]
        axes.plot(corners[:, 0], corners[:, 1], marker, color=COLORS[sign > 0], markersize=12, label=label)
    x = torch.linspace(-0.5, 1.5, 2)
    axes.plot(x, -(b + w[0] * x) / w[1], "--", color=COLORS[2], label="w·x + b = 0")
    axes.set(xlabel="x₁", ylabel="x₂", title="AND", xlim=(-0.5, 1.5), ylim=(-0.5, 1.5))
    axes.legend()


@register(
    equation="""after each sample with y (w·x + b) ≤ 0:     w ← w + y x          b ← b + y          y = ±1""",
    usual="""
from sklearn.linear_model import Perceptron
x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [-1, -1, -1, 1]
model = Perceptron(shuffle=False, tol=None, max_iter=100).fit(x, y)
""",
    when="""To study: if a line separates the classes, it finds one after finitely many mistakes; otherwise (XOR) it
never converges. In practice use softmax-regression, whose loss also measures how wrong a sample is.""",
    plot=_plot,
)
def perceptron(x: Tensor, y: Tensor, *, epochs: int = 100) -> tuple[Tensor, Tensor]:
    """Apply Rosenblatt's rule from w = 0, b = 0: after a mistake w <- w + y x, b <- b + y.

    Args:
        x: features (N, D).
        y: classes (N,), −1 or +1.
        epochs: largest number of passes over the samples; it stops after a pass without a mistake. If a line at a
            distance γ from every sample separates the classes, there are at most (R/γ)² mistakes, with R the length
            of the longest (x, 1).

    Source: Rosenblatt, "The perceptron: a probabilistic model for information storage and organization in the brain",
    Psychological Review 65, 1958; Minsky and Papert, "Perceptrons", 1969 (XOR).

    >>> perceptron(CORNERS, AND)
    (tensor([3., 2.]), tensor(-4.))
    >>> w, b = perceptron(CORNERS, XOR)
    >>> bool(((CORNERS @ w + b).sign() == XOR).all())  # no line separates them
    False
    """
    w, b = x.new_zeros(x.shape[1]), x.new_zeros(())
    for _ in range(epochs):
        mistakes = 0
        for sample, label in zip(x, y, strict=True):
            if label * (w @ sample + b) <= 0:
                w, b = w + label * sample, b + label
                mistakes += 1
        if not mistakes:
            break
    return w, b
