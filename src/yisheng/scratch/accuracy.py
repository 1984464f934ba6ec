"""Accuracy of a classification."""

from __future__ import annotations

from torch import Tensor

from yisheng.core.registry import register


@register(
    equation="accuracy = 1/N Σᵢ [argmaxₖ oᵢₖ = yᵢ]",
    usual="""
from sklearn.metrics import accuracy_score
y, predicted = [0, 1, 2, 2], [0, 2, 2, 2]
value = accuracy_score(y, predicted)
""",
    when="""If the classes have about equal numbers of samples and all mistakes cost the same. If 95% of the samples
are of one class, always predicting it has 0.95: look at precision and recall. It has no gradient, so train on
cross-entropy.""",
)
def accuracy(y: Tensor, output: Tensor) -> Tensor:
    """Compute the accuracy: the fraction of samples whose largest output is that of their class.

    Args:
        y: class numbers (N,).
        output: logits or probabilities (N, C); of equal outputs the first counts.

    Source: Zhang et al., "Dive into deep learning", 2023, section 4.3.2.

    >>> import torch
    >>> accuracy(torch.tensor([0, 1]), torch.tensor([[0.9, 0.1], [0.6, 0.4]]))
    tensor(0.5000, dtype=torch.float64)
    """
    return (output.argmax(1) == y).double().mean()
