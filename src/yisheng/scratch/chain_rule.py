"""The chain rule: the derivative of a composition is the product of the derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots


def _plot(axes: Any) -> None:
    _plots.draw_with_slope(axes, lambda x: (x * x).sin(), label="sin(x²)", low=-3, high=3, xlabel="x")
    axes.set(title="derivative of sin(x²): cos(x²) · 2x")


@register(
    equation="""y = f_L(… f₂(f₁(x))):     ∂y/∂x = J_L · … · J₂ · J₁,     J_l = ∂h_l/∂h_(l−1)
for single numbers:       dz/dx = dz/dy · dy/dx""",
    usual="""
import torch
w = torch.ones(3, 2)
jacobian = torch.func.jacrev(lambda x: (x @ w).exp().sin())(torch.ones(3))
""",
    when="""In every derivative of a network: each layer gives the derivative by its own input, and the product gives
that of the loss. With a single number at the end, multiplying from the last function on (backpropagation) only needs
products of a vector and a matrix; from the first on it needs products of matrices.""",
    plot=_plot,
)
def chain_rule(jacobians: Sequence[Tensor]) -> Tensor:
    """Multiply the Jacobians of the functions of a composition, from the last function to the first.

    Args:
        jacobians: of each function at its own input, (O, I), in the order in which the functions are applied; O of
            a function is I of the next.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, section 6.5.2; Zhang et al., "Dive into deep
    learning", 2023, sections 2.4.3 and 5.3.

    >>> import torch
    >>> x = torch.tensor(1.0)
    >>> square, sine = (2 * x).reshape(1, 1), (x * x).cos().reshape(1, 1)
    >>> chain_rule([square, sine])  # of sin(x²) at 1: 2 cos 1
    tensor([[1.0806]])
    """
    *inner, product = jacobians
    for jacobian in reversed(inner):
        product = product @ jacobian
    return product
