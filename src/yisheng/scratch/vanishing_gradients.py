"""Vanishing gradients in deep networks of sigmoids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from yisheng.core.registry import register


def _plot(axes: Any) -> None:
    """Draw the norms of the gradients of 30 layers of 64 units."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(32, 64, generator=generator)
    weights = [torch.randn(64, 64, generator=generator) / 8 for _ in range(30)]
    axes.semilogy(vanishing_gradients(x, weights), color="#e69f00", label="sigmoid, Xavier")
    kaiming = [2**0.5 * w for w in weights]
    axes.semilogy(vanishing_gradients(x, kaiming, activation="relu"), color="#0072b2", label="relu, Kaiming")
    axes.semilogy(vanishing_gradients(x, weights, activation="relu"), "--", color="#0072b2", label="relu, Xavier")
    axes.set(xlabel="layer (0 is next to the input)", ylabel="norm of the gradient of its weights")
    axes.legend()


@register(
    equation="""h₀ = x,   hₗ = φ(hₗ₋₁ Wₗ),   loss = Σ h_L
∂loss/∂hₗ₋₁ = (∂loss/∂hₗ · φ'(hₗ₋₁ Wₗ)) Wₗᵀ:   each layer multiplies by φ', and sigmoid' ≤ 1/4""",
    usual="""
import torch
from torch import nn
layers = [layer for _ in range(20) for layer in (nn.Linear(8, 8, bias=False), nn.Sigmoid())]
net = nn.Sequential(*layers)
net(torch.randn(4, 8)).sum().backward()
norms = [p.grad.norm() for p in net.parameters()]
""",
    when="""If the first layers of a deep network hardly change: look at the norms of their gradients. The remedies:
relu with Kaiming's initialization, batch norm, residual blocks.""",
    plot=_plot,
)
def vanishing_gradients(
    x: Tensor, weights: Sequence[Tensor], *, activation: Literal["sigmoid", "relu"] = "sigmoid"
) -> Tensor:
    """Compute the norm of the gradient of each layer's weights by the chain rule.

    With h_l = φ(h_(l-1) W_l) and the sum of the last h as the loss: δ <- (δ φ') W_l^T from the last layer to the first.

    Args:
        x: inputs (B, D).
        weights: a matrix for each layer, (D, D).
        activation: φ; sigmoid's slope is 1/4 at most, relu's is 1 on half of the units.

    Returns:
        Norms (L,), in the order of the layers.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010;
    He et al., "Delving deep into rectifiers", 2015, section 2.2.

    >>> weights = [torch.eye(2)] * 10
    >>> norms = vanishing_gradients(torch.zeros(1, 2), weights)
    >>> bool(norms[0] < 1e-5 * norms[-1])
    True
    >>> vanishing_gradients(torch.ones(1, 2), weights, activation="relu")[:2]
    tensor([2., 2.])
    """
    hidden = [x]
    for w in weights:
        a = hidden[-1] @ w
        hidden.append(a.clamp(min=0) if activation == "relu" else 1 / (1 + (-a).exp()))
    delta, norms = torch.ones_like(hidden[-1]), []
    for w, layer_input, h in zip(weights[::-1], hidden[-2::-1], hidden[:0:-1], strict=True):
        delta = delta * ((h > 0) if activation == "relu" else h * (1 - h))
        norms.append((layer_input.T @ delta).norm())
        delta = delta @ w.T
    return torch.stack(norms[::-1])
