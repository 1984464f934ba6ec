"""Softmax regression: linear scores of the classes as probabilities."""

from __future__ import annotations

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch.cross_entropy import cross_entropy
from yisheng.scratch.linear import linear
from yisheng.scratch.one_hot import one_hot
from yisheng.scratch.softmax import softmax


@register(
    equation="""P = softmax(X Wᵀ + b)
L(W, b) = −1/N Σᵢ log Pᵢ,yᵢ
∂L/∂W = 1/N (P − Y)ᵀ X          ∂L/∂b = 1/N Σᵢ (pᵢ − yᵢ)          Y: the classes, one-hot""",
    usual="""
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
model = LogisticRegression(C=1.0, max_iter=500).fit(*load_iris(return_X_y=True))
""",
    when="""As the first model of any classification: one matrix, a convex loss, weights that can be interpreted, and
the baseline for every network. If a plane separates the classes perfectly, the weights grow without bound: add
weight decay.""",
)
def softmax_regression(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Compute the probabilities (N, C) of the classes: softmax(x Wᵀ + b).

    Args:
        x: features (N, D).
        w: weights (C, D), a row for each class.
        b: biases (C,).

    Source: Bridle, "Probabilistic interpretation of feedforward classification network outputs", 1990; Zhang et al.,
    "Dive into deep learning", 2023, section 4.1.

    >>> import torch
    >>> softmax_regression(torch.tensor([[1.0, 2.0]]), torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.zeros(2))
    tensor([[0.5000, 0.5000]])
    """
    return softmax(linear(x, w, b))


def loss(x: Tensor, y: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Compute the mean cross-entropy of the classes y (N,).

    >>> import torch
    >>> loss(torch.tensor([[1.0, 2.0]]), torch.tensor([0]), torch.zeros(2, 2), torch.zeros(2))
    tensor(0.6931)
    """
    return cross_entropy(linear(x, w, b), y).mean()


def gradient(x: Tensor, y: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the gradient of `loss` with respect to w and b: probabilities minus the one-hot classes.

    >>> import torch
    >>> gradient(torch.tensor([[1.0, 2.0]]), torch.tensor([0]), torch.zeros(2, 2), torch.zeros(2))
    (tensor([[-0.5000, -1.0000],
            [ 0.5000,  1.0000]]), tensor([-0.5000,  0.5000]))
    """
    error = softmax_regression(x, w, b) - one_hot(y, len(w))
    return error.T @ x / len(x), error.mean(0)
