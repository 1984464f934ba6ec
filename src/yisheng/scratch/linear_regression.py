"""Linear regression in closed form."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch._plots import COLORS
from yisheng.scratch.linear import linear
from yisheng.scratch.squared_loss import squared_loss


def _plot(axes: Any) -> None:
    """Draw twenty points and their regression line."""
    generator = torch.Generator().manual_seed(0)
    x = torch.linspace(0, 10, 20)[:, None]
    y = 0.7 * x + 1 + torch.randn(20, 1, generator=generator)
    predicted = linear(x, *linear_regression(x, y))
    axes.vlines(x[:, 0], y[:, 0], predicted[:, 0], color="#c8c8c8", label="errors")
    axes.plot(x[:, 0], y[:, 0], "o", color=COLORS[0], label="data")
    axes.plot(x[:, 0], predicted[:, 0], color=COLORS[1], label="least squares")
    axes.set(xlabel="x", ylabel="y")
    axes.legend()


@register(
    equation="""L(W, b) = 1/N Σᵢ ½ |W xᵢ + b − yᵢ|²
∂L/∂W = 1/N Eᵀ X          ∂L/∂b = 1/N Σᵢ eᵢ          with eᵢ = W xᵢ + b − yᵢ
both are zero at          Wᵀ = (X'ᵀ X')⁻¹ X'ᵀ Y'          b = ȳ − W x̄          X', Y' without their means""",
    usual="""
from sklearn.datasets import make_regression
from sklearn.linear_model import LinearRegression
model = LinearRegression().fit(*make_regression(100, 5, random_state=0))
""",
    when="""As the first model of any table whose target is a number. The closed form needs no learning rate, but D³
operations and linearly independent columns: for more than some thousand features use gradient descent.""",
    plot=_plot,
)
def linear_regression(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Compute least squares' weights and biases: Wᵀ = (X'ᵀ X')⁻¹ X'ᵀ Y', b = ȳ − W x̄, with centered X' and Y'.

    Args:
        x: features (N, D), more rows than columns.
        y: targets (N, T).

    Raises:
        torch.linalg.LinAlgError: the columns of x are linearly dependent, so the solution is not unique.

    Source: Legendre, "Nouvelles méthodes pour la détermination des orbites des comètes", 1805, appendix; Zhang et al.,
    "Dive into deep learning", 2023, section 3.1.1.3.

    >>> w, b = linear_regression(torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[1.0], [3.0], [5.0]]))
    >>> w, b
    (tensor([[2.]]), tensor([1.]))
    """
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    w = torch.linalg.solve(x.T @ x, x.T @ y).T
    return w, y_mean - w @ x_mean


def loss(x: Tensor, y: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Compute half the squared error, a sum over the targets and a mean over the samples.

    >>> loss(torch.tensor([[1.0]]), torch.tensor([[5.0]]), torch.tensor([[3.0]]), torch.tensor([0.0]))
    tensor(2.)
    """
    return squared_loss(linear(x, w, b), y).sum() / len(x)


def gradient(x: Tensor, y: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the gradient of `loss` with respect to w and b.

    >>> gradient(torch.tensor([[2.0]]), torch.tensor([[5.0]]), torch.tensor([[3.0]]), torch.tensor([0.0]))
    (tensor([[2.]]), tensor([1.]))
    """
    error = linear(x, w, b) - y
    return error.T @ x / len(x), error.mean(0)
