"""F1: precision and recall in one number."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch.confusion_matrix import confusion_matrix


def _plot(axes: Any) -> None:
    """Draw contours of F1, which is near the smaller of precision and recall."""
    fraction = torch.linspace(0.01, 1, 100)
    value = 2 / (1 / fraction[:, None] + 1 / fraction)
    lines = axes.contour(
        fraction, fraction, value, levels=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], cmap="viridis"
    )
    axes.clabel(lines)
    axes.set(xlabel="precision", ylabel="recall", title="F1", aspect="equal")


@register(
    equation="""F1ₖ = 2 / (1/precisionₖ + 1/recallₖ) = 2 Mₖₖ / (Σⱼ Mⱼₖ + Σⱼ Mₖⱼ)
(0 if k neither occurs nor is predicted; macro: the mean over the classes)""",
    usual="""
from sklearn.metrics import f1_score
y, predicted = [0, 1, 2, 2], [0, 2, 2, 2]
values = f1_score(y, predicted, average=None, zero_division=0)
""",
    when="""If classes are rare and both kinds of mistakes matter: it is near the smaller of precision and recall. Its
mean over the classes (macro) treats a rare class like a common one. It depends on the threshold, so look at the
curve as well.""",
    plot=_plot,
)
def f1(y: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Compute F1 (C,) of each class, the harmonic mean of precision and recall: 2 M_kk / (Σ_j M_jk + Σ_j M_kj).

    Args:
        y: true class numbers (N,).
        predicted: predicted class numbers (N,).
        classes: number of classes C.

    Source: van Rijsbergen, "Information retrieval", 1979, chapter 7.

    >>> f1(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2)
    tensor([0.6667, 0.6667], dtype=torch.float64)
    """
    counts = confusion_matrix(y, predicted, classes).double()
    return 2 * counts.diagonal() / (counts.sum(0) + counts.sum(1)).clamp(min=1)
