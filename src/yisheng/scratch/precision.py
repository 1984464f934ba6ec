"""How much an alarm is worth."""

from __future__ import annotations

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch.confusion_matrix import confusion_matrix


@register(
    equation="precisionₖ = right answers k / answers k = Mₖₖ / Σⱼ Mⱼₖ          (0 where nothing is taken for k)",
    usual="""
from sklearn.metrics import precision_score
y, predicted = [0, 1, 2, 2], [0, 2, 2, 2]
values = precision_score(y, predicted, average=None, zero_division=0)
""",
    when="""Where a false alarm is what costs (a letter lost among the spam). Never alone: one sure answer and
silence otherwise has precision 1. See recall.""",
)
def precision(y: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Precision (C,) of each class: of all samples taken for it, the share that are; 0 where none is.

    Args:
        y: true class numbers (N,).
        predicted: predicted class numbers (N,).
        classes: how many there are, C.

    Source: van Rijsbergen, "Information retrieval", 1979, chapter 7.

    >>> import torch
    >>> precision(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2)
    tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    counts = confusion_matrix(y, predicted, classes).double()
    return counts.diagonal() / counts.sum(0).clamp(min=1)
