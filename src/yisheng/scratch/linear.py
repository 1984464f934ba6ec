"""The linear layer."""

from __future__ import annotations

from torch import Tensor

from yisheng.core.registry import register


@register(
    equation="y = x Wᵀ + b",
    usual="""
import torch
x = torch.randn(32, 10)
y = torch.nn.Linear(10, 3)(x)
""",
    when="""As a model, the baseline for every other model; as the last layer of nearly every network. Several linear
layers in a row without activations are still one linear map.""",
)
def linear(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Compute a linear layer: y = x Wᵀ + b.

    Args:
        x: inputs (B, D).
        w: weights (O, D), a row for each output unit, as in torch.
        b: biases (O,), in units of the output.

    Source: Zhang et al., "Dive into deep learning", 2023, section 3.1.1.

    >>> import torch
    >>> linear(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0], [0.0, -1.0]]), torch.tensor([0.5, 0.0]))
    tensor([[11.5000, -2.0000]])
    """
    return x @ w.mT + b
