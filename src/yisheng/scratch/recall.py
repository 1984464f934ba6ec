"""How much is found."""

from __future__ import annotations

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch.confusion_matrix import confusion_matrix


@register(
    equation="recallₖ = right answers k / samples of k = Mₖₖ / Σⱼ Mₖⱼ          (0 where there is none of k)",
    usual="""
from sklearn.metrics import recall_score
y, predicted = [0, 1, 2, 2], [0, 2, 2, 2]
values = recall_score(y, predicted, average=None, zero_division=0)
""",
    when="""Where a miss is what costs (an illness not seen). Never alone: calling everything ill has recall 1. See
precision. Its mean over the classes is the balanced accuracy.""",
)
def recall(y: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Recall (C,) of each class: of all its samples, the share that is taken for it; 0 where there is none.

    Args:
        y: true class numbers (N,).
        predicted: predicted class numbers (N,).
        classes: how many there are, C.

    Source: van Rijsbergen, "Information retrieval", 1979, chapter 7.

    >>> import torch
    >>> recall(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2)
    tensor([1.0000, 0.5000], dtype=torch.float64)
    """
    counts = confusion_matrix(y, predicted, classes).double()
    return counts.diagonal() / counts.sum(1).clamp(min=1)
