"""Overfitting and underfitting: errors on training and validation rows by the degree of a polynomial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch._plots import COLORS


def _plot(axes: Any) -> None:
    """Draw both errors of fits to 15 noisy rows of a sine."""
    x, y, x_validation, y_validation = draw_noisy_sine(rows=15)
    degrees = range(13)
    errors = overfitting(x, y, x_validation, y_validation, degrees=degrees)
    for k, label in enumerate(("training", "validation")):
        axes.semilogy(list(degrees), errors[:, k], "o-", markersize=3, color=COLORS[k], label=label)
    axes.set(xlabel="degree of the polynomial", ylabel="mean squared error", title="underfitting … overfitting")
    axes.legend()


def draw_noisy_sine(*, rows: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw training rows of sin(3x) with noise of 0.2, and 200 validation rows.

    >>> [tuple(t.shape) for t in draw_noisy_sine(rows=15)]
    [(15,), (15,), (200,), (200,)]
    """
    generator = torch.Generator().manual_seed(seed)
    x = 2 * torch.rand(rows + 200, generator=generator, dtype=torch.float64) - 1
    y = (3 * x).sin() + 0.2 * torch.randn(rows + 200, generator=generator, dtype=torch.float64)
    return x[:rows], y[:rows], x[rows:], y[rows:]


def fit_polynomial(x: Tensor, y: Tensor, degree: int) -> Tensor:
    """Compute the coefficients (degree + 1,) of least squares, the constant first.

    >>> fit_polynomial(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 3.0, 5.0]), 1).round().tolist()
    [1.0, 2.0]
    """
    q, r = torch.linalg.qr(compute_powers(x, degree))
    return torch.linalg.solve_triangular(r, (q.T @ y)[:, None], upper=True)[:, 0]


def compute_powers(x: Tensor, degree: int) -> Tensor:
    """Compute the columns 1, x, x², … (N, degree + 1).

    >>> compute_powers(torch.tensor([2.0]), 3)
    tensor([[1., 2., 4., 8.]])
    """
    return x[:, None] ** torch.arange(degree + 1)


@register(
    equation="""error(part) = mean (p(x) − y)²  over the rows of the part,   p fitted to the training rows
underfitting: both errors are high;   overfitting: the training error is far below the validation error""",
    usual="""
import numpy as np
x = np.linspace(-1, 1, 15)
coefficients = np.polynomial.polynomial.polyfit(x, np.sin(3 * x), deg=9)
""",
    when="""Compare the two errors of every model. Against overfitting: more rows, augmentation, weight decay, dropout,
early stopping, a smaller model. Against underfitting: a larger model, longer training, a higher learning rate, better
features. Choose by the validation error, and report that of a test part that chose nothing.""",
    plot=_plot,
)
def overfitting(
    x: Tensor, y: Tensor, x_validation: Tensor, y_validation: Tensor, *, degrees: Sequence[int] = range(10)
) -> Tensor:
    """Compute the mean squared errors of polynomial fits, a row (training, validation) for each degree.

    Args:
        x: training inputs (N,), best within -1 to 1.
        y: training targets (N,).
        x_validation: validation inputs (M,).
        y_validation: validation targets (M,).
        degrees: of the polynomials; at N - 1 the training error is 0.

    Source: Bishop, "Pattern recognition and machine learning", 2006, section 1.1; Zhang et al., "Dive into deep
    learning", 2023, section 3.6.

    >>> x, y, x_validation, y_validation = draw_noisy_sine(rows=8)
    >>> errors = overfitting(x, y, x_validation, y_validation, degrees=(0, 3, 7))
    >>> errors[:, 0].argmin().item(), errors[:, 1].argmin().item()  # the best on the training rows is not the best
    (2, 1)
    """
    errors = []
    for degree in degrees:
        w = fit_polynomial(x, y, degree)
        parts = ((x, y), (x_validation, y_validation))
        errors.append(torch.stack([((compute_powers(a, degree) @ w - b) ** 2).mean() for a, b in parts]))
    return torch.stack(errors)
