"""Multilayer perceptron, with backpropagation for one hidden layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch.kaiming import kaiming
from yisheng.scratch.linear import linear
from yisheng.scratch.one_hot import one_hot
from yisheng.scratch.perceptron import CORNERS, XOR
from yisheng.scratch.relu import relu
from yisheng.scratch.softmax import softmax

Layer = tuple[Tensor, Tensor]
"""Weights (O, D) and biases (O,)."""


def _plot(axes: Any) -> None:
    """Draw XOR, which no line separates, learned with sixteen hidden units."""
    hidden, output = learn_xor()
    x = torch.linspace(-0.5, 1.5, 81)
    grid = torch.cartesian_prod(x, x)
    p = softmax(mlp(grid, [hidden, output]))[:, 1].reshape(81, 81).T
    axes.contourf(x, x, p, levels=[0, 0.25, 0.5, 0.75, 1], cmap="RdBu", alpha=0.6)
    for sign, marker, label in ((-1, "o", "false"), (1, "s", "true")):
        corners = CORNERS[sign == XOR]
        axes.plot(corners[:, 0], corners[:, 1], f"k{marker}", markersize=10, label=label)
    axes.set(xlabel="x₁", ylabel="x₂", title="XOR: probability of true")
    axes.legend()


@register(
    equation="""h₁ = relu(x W₁ᵀ + b₁)     h₂ = relu(h₁ W₂ᵀ + b₂)     …     o = h W_Lᵀ + b_L
backpropagation for one hidden layer and the mean cross-entropy:
δ₂ = (softmax(o) − onehot(y)) / N       ∂L/∂W₂ = δ₂ᵀ h     ∂L/∂b₂ = Σ δ₂
δ₁ = (δ₂ W₂) if a > 0, else 0        ∂L/∂W₁ = δ₁ᵀ x     ∂L/∂b₁ = Σ δ₁       a = x W₁ᵀ + b₁""",
    usual="""
import torch
model = torch.nn.Sequential(torch.nn.Linear(10, 64), torch.nn.ReLU(), torch.nn.Linear(64, 3))
output = model(torch.randn(32, 10))
""",
    when="""For tables, and other features without neighbors (for images use a convolutional network). Start with one
hidden layer of 64 to 256 units and scaled inputs; without the relu it would be a linear model.""",
    plot=_plot,
)
def mlp(x: Tensor, layers: Sequence[Layer]) -> Tensor:
    """Compute a multilayer perceptron: linear layers with a relu after each except the last.

    Args:
        x: inputs (B, D).
        layers: weights (O, I) and biases (O,) of each layer, in order; O of a layer is I of the next.

    Source: Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", Nature 323, 1986;
    Zhang et al., "Dive into deep learning", 2023, sections 5.1 and 5.3.

    >>> hidden = torch.tensor([[1.0, 1.0], [1.0, 1.0]]), torch.tensor([0.0, -1.0])
    >>> output = torch.tensor([[1.0, -2.0]]), torch.zeros(1)
    >>> mlp(CORNERS, [hidden, output]).T  # XOR
    tensor([[0., 1., 1., 0.]])
    """
    *hidden_layers, output_layer = layers
    for w, b in hidden_layers:
        x = relu(linear(x, w, b))
    return linear(x, *output_layer)


def gradients(x: Tensor, y: Tensor, hidden: Layer, output: Layer) -> tuple[Layer, Layer]:
    """Compute the gradients by backpropagation for one hidden layer and the mean cross-entropy of classes y (N,).

    >>> hidden, output = (torch.ones(1, 1), torch.zeros(1)), (torch.zeros(2, 1), torch.zeros(2))
    >>> gradients(torch.tensor([[3.0]]), torch.tensor([0]), hidden, output)[1]
    (tensor([[-1.5000],
            [ 1.5000]]), tensor([-0.5000,  0.5000]))
    """
    a = linear(x, *hidden)
    h = relu(a)
    output_delta = (softmax(linear(h, *output)) - one_hot(y, len(output[0]))) / len(x)
    hidden_delta = torch.where(a > 0, output_delta @ output[0], 0)
    return (hidden_delta.T @ x, hidden_delta.sum(0)), (output_delta.T @ h, output_delta.sum(0))


def learn_xor(*, width: int = 16, steps: int = 200, lr: float = 0.5, seed: int = 0) -> tuple[Layer, Layer]:
    """Learn XOR by gradient descent.

    >>> softmax(mlp(CORNERS, learn_xor())).argmax(1)
    tensor([0, 1, 1, 0])
    """
    generator = torch.Generator().manual_seed(seed)
    hidden = kaiming(torch.empty(width, 2), generator=generator), torch.zeros(width)
    output = kaiming(torch.empty(2, width), generator=generator), torch.zeros(2)
    for _ in range(steps):
        hidden_gradient, output_gradient = gradients(CORNERS, (XOR > 0).long(), hidden, output)
        hidden = hidden[0] - lr * hidden_gradient[0], hidden[1] - lr * hidden_gradient[1]
        output = output[0] - lr * output_gradient[0], output[1] - lr * output_gradient[1]
    return hidden, output
