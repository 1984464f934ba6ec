"""The first machine that learned: change the weights only after a mistake."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch._bowl import COLOURS

CORNERS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
"""Inputs of a logical function of two arguments."""
AND, OR, XOR = (torch.tensor(y) for y in ([-1.0, -1.0, -1.0, 1.0], [-1.0, 1.0, 1.0, 1.0], [-1.0, 1.0, 1.0, -1.0]))
"""Its outputs, +1 for true."""


def _plot(axes: Any) -> None:
    """The line that it finds between AND's corners."""
    w, b = perceptron(CORNERS, AND)
    for sign, marker, label in ((-1, "o", "false"), (1, "s", "true")):
        corners = CORNERS[sign == AND]
        axes.plot(corners[:, 0], corners[:, 1], marker, color=COLOURS[sign > 0], markersize=12, label=label)
    x = torch.linspace(-0.5, 1.5, 2)
    axes.plot(x, -(b + w[0] * x) / w[1], "--", color=COLOURS[2], label="w·x + b = 0")
    axes.set(xlabel="x₁", ylabel="x₂", title="AND", xlim=(-0.5, 1.5), ylim=(-0.5, 1.5))
    axes.legend()


@register(
    equation="""after each sample with y (w·x + b) ≤ 0:     w ← w + y x          b ← b + y          y = ±1""",
    usual="""
from sklearn.linear_model import Perceptron
x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [-1, -1, -1, 1]
model = Perceptron(shuffle=False, tol=None, max_iter=100).fit(x, y)
""",
    when="""To learn from: where a line parts the classes it finds one after finitely many mistakes, and where none
does (XOR) it never settles. In practice take softmax-regression, whose loss also says how far off a sample is.""",
    plot=_plot,
)
def perceptron(x: Tensor, y: Tensor, *, epochs: int = 100) -> tuple[Tensor, Tensor]:
    """Rosenblatt's rule from w = 0, b = 0: after a mistake w <- w + y x, b <- b + y.

    Args:
        x: features (N, D).
        y: classes (N,), −1 or +1.
        epochs: passes over the samples at most; one without a mistake is the last. If a line at a distance γ from
            every sample parts the classes, there are at most (R/γ)² mistakes, R the length of the longest (x, 1).

    Source: Rosenblatt, "The perceptron: a probabilistic model for information storage and organization in the brain",
    Psychological Review 65, 1958; Minsky and Papert, "Perceptrons", 1969 (XOR).

    >>> perceptron(CORNERS, AND)
    (tensor([3., 2.]), tensor(-4.))
    >>> w, b = perceptron(CORNERS, XOR)
    >>> bool(((CORNERS @ w + b).sign() == XOR).all())  # no line parts them
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
