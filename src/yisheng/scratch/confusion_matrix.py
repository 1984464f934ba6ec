"""The confusion matrix of a classification."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch.one_hot import one_hot


def _plot(axes: Any) -> None:
    """Draw the matrix of twelve samples of three classes."""
    y = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
    counts = confusion_matrix(y, torch.tensor([0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 0, 1]), 3)
    axes.imshow(counts.numpy(), cmap="Blues", vmin=0, vmax=8)
    for row in range(3):
        for column in range(3):
            axes.text(column, row, int(counts[row, column]), ha="center", va="center")
    axes.set(xlabel="predicted class", ylabel="true class", xticks=range(3), yticks=range(3))


@register(
    equation="""Mⱼₖ = number of samples i with yᵢ = j that are predicted as k
M = onehot(y)ᵀ onehot(predicted)""",
    usual="""
from sklearn.metrics import confusion_matrix
y, predicted = [0, 1, 2, 2], [0, 2, 2, 2]
counts = confusion_matrix(y, predicted)
""",
    when="""After every training of a classifier: one number cannot show that only shirts and coats are confused.
Precision, recall, F1 and accuracy can all be computed from it.""",
    plot=_plot,
)
def confusion_matrix(y: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Count the samples (C, C): a row for each true class, a column for each predicted class.

    Args:
        y: true class numbers (N,).
        predicted: predicted class numbers (N,).
        classes: number of classes C.

    Source: Stehman, "Selecting and interpreting measures of thematic classification accuracy", Remote Sensing of
    Environment 62, 1997.

    >>> confusion_matrix(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2)
    tensor([[1, 0],
            [1, 1]])
    """
    return one_hot(y, classes).T @ one_hot(predicted, classes)
