"""Backpropagation through a multilayer perceptron of any depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch._plots import COLORS
from yisheng.scratch.cross_entropy import cross_entropy
from yisheng.scratch.kaiming import kaiming
from yisheng.scratch.linear import linear
from yisheng.scratch.one_hot import one_hot
from yisheng.scratch.perceptron import CORNERS, XOR
from yisheng.scratch.relu import relu
from yisheng.scratch.softmax import softmax

Layer = tuple[Tensor, Tensor]
"""Weights (O, I) and biases (O,)."""


def _plot(axes: Any) -> None:
    """Draw the loss of networks of several depths that learn XOR by these gradients."""
    y = (XOR > 0).long()
    for depth, color in zip((1, 2, 3), COLORS, strict=False):
        generator = torch.Generator().manual_seed(0)
        widths = [2, *[16] * depth, 2]
        shapes = list(zip(widths[1:], widths, strict=False))
        layers = [(kaiming(torch.empty(shape), generator=generator), torch.zeros(shape[0])) for shape in shapes]
        losses = []
        for _ in range(100):
            loss, gradients = backpropagation(CORNERS, y, layers)
            losses.append(loss)
            layers = [(w - 0.3 * dw, b - 0.3 * db) for (w, b), (dw, db) in zip(layers, gradients, strict=True)]
        axes.plot(losses, color=color, label=f"{depth} hidden layer{'s' * (depth > 1)}")
    axes.set(xlabel="update", ylabel="cross-entropy", title="XOR, learned by backpropagation")
    axes.legend()


@register(
    equation="""forward:    h₀ = x,   a_l = h_(l−1) W_lᵀ + b_l,   h_l = relu(a_l),   logits = a_L
backward:   δ_L = (softmax(a_L) − onehot(y)) / N,   δ_(l−1) = (δ_l W_l) · relu'(a_(l−1))
            ∂L/∂W_l = δ_lᵀ h_(l−1),   ∂L/∂b_l = Σ δ_l""",
    usual="""
import torch
model = torch.nn.Sequential(torch.nn.Linear(10, 64), torch.nn.ReLU(), torch.nn.Linear(64, 3))
loss = torch.nn.functional.cross_entropy(model(torch.randn(32, 10)), torch.randint(3, (32,)))
loss.backward()
gradients = [p.grad for p in model.parameters()]
""",
    when="""In every training of a network by gradients; torch does it in `backward()`. Each layer keeps its input from
the forward pass, and the error δ goes through the transposed weights. Its gradients are exact: compare your own with
`yisheng explain gradient-check`.""",
    plot=_plot,
)
def backpropagation(x: Tensor, y: Tensor, layers: Sequence[Layer]) -> tuple[Tensor, list[Layer]]:
    """Compute the mean cross-entropy of a multilayer perceptron with relus, and the gradients of all its layers.

    Args:
        x: inputs (N, D).
        y: class numbers (N,), int64.
        layers: weights (O, I) and biases (O,) of each layer, in order; O of a layer is I of the next.

    Source: Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", Nature 323, 1986;
    Zhang et al., "Dive into deep learning", 2023, section 5.3.

    >>> layers = [(torch.ones(1, 1), torch.zeros(1)), (torch.zeros(2, 1), torch.zeros(2))]
    >>> loss, gradients = backpropagation(torch.tensor([[3.0]]), torch.tensor([0]), layers)
    >>> loss, gradients[1]
    (tensor(0.6931), (tensor([[-1.5000],
            [ 1.5000]]), tensor([-0.5000,  0.5000])))
    """
    inputs, h = [], x
    for w, b in layers:
        inputs.append(h)
        logits = linear(h, w, b)
        h = relu(logits)
    delta = (softmax(logits) - one_hot(y, logits.shape[1])) / len(x)
    gradients = []
    for (w, _), layer_input in zip(reversed(layers), reversed(inputs), strict=True):
        gradients.append((delta.T @ layer_input, delta.sum(0)))
        delta = (delta @ w) * (layer_input > 0)  # relu' of the layer before; of x itself it is not used
    return cross_entropy(logits, y).mean(), gradients[::-1]
