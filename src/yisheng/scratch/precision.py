"""Precision of each class."""

from __future__ import annotations

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch.confusion_matrix import confusion_matrix


@register(
    equation="precisionₖ = correct predictions of k / predictions of k = Mₖₖ / Σⱼ Mⱼₖ     (0 if k is never predicted)",
    usual="""
from sklearn.metrics import precision_score
y, predicted = [0, 1, 2, 2], [0, 2, 2, 2]
values = precision_score(y, predicted, average=None, zero_division=0)
""",
    when="""If false positives are expensive (a letter among the spam). Never alone: predicting the class once, for a
certain case, has precision 1. See recall.""",
)
def precision(y: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Compute the precision (C,) of each class: the fraction of its predictions that are correct; 0 without any.

    Args:
        y: true class numbers (N,).
        predicted: predicted class numbers (N,).
        classes: number of classes C.

    Source: van Rijsbergen, "Information retrieval", 1979, chapter 7.

    >>> import torch
    >>> precision(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2)
    tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    counts = confusion_matrix(y, predicted, classes).double()
    return counts.diagonal() / counts.sum(0).clamp(min=1)
