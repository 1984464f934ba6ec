"""Recall of each class."""

from __future__ import annotations

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch.confusion_matrix import confusion_matrix


@register(
    equation="recallₖ = correct predictions of k / samples of k = Mₖₖ / Σⱼ Mₖⱼ     (0 if there is no sample of k)",
    usual="""
from sklearn.metrics import recall_score
y, predicted = [0, 1, 2, 2], [0, 2, 2, 2]
values = recall_score(y, predicted, average=None, zero_division=0)
""",
    when="""If false negatives are expensive (an undetected illness). Never alone: predicting the class for every
sample has recall 1. See precision. Its mean over the classes is the balanced accuracy.""",
)
def recall(y: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Compute the recall (C,) of each class: the fraction of its samples that are predicted as it; 0 without any.

    Args:
        y: true class numbers (N,).
        predicted: predicted class numbers (N,).
        classes: number of classes C.

    Source: van Rijsbergen, "Information retrieval", 1979, chapter 7.

    >>> import torch
    >>> recall(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2)
    tensor([1.0000, 0.5000], dtype=torch.float64)
    """
    counts = confusion_matrix(y, predicted, classes).double()
    return counts.diagonal() / counts.sum(1).clamp(min=1)
