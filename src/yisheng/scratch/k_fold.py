"""k-fold cross-validation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.registry import register


def _plot(axes: Any) -> None:
    """Draw which of 23 rows are for validation in each of 5 folds."""
    image = torch.zeros(5, 23)
    for fold, (_, validation) in enumerate(k_fold(23, k=5)):
        image[fold, validation] = 1
    axes.imshow(image.numpy(), cmap="Blues", vmin=0, vmax=1.4, aspect="auto")
    axes.set(xlabel="row", ylabel="fold", title="dark: validation", yticks=range(5))


@register(
    equation="validation_f = the f-th of k nearly equal parts of 0 … N − 1;   training_f = all other rows",
    usual="""
from sklearn.model_selection import KFold
folds = list(KFold(n_splits=5).split(range(23)))
""",
    when="""To choose settings on small data (below about 10,000 rows): the score is a mean over k models, with a
standard deviation. It costs k trainings; rows of one group or of one time series must not be split like this.""",
    plot=_plot,
)
def k_fold(n: int, *, k: int = 5, generator: torch.Generator | None = None) -> list[tuple[Tensor, Tensor]]:
    """Return row numbers for training and for validation, k times; each row is once in validation.

    Args:
        n: number of rows.
        k: number of folds, from 2 to n; 5 or 10 are usual. The first n mod k folds have one row more.
        generator: shuffles the rows; without it each fold is a contiguous range of rows.

    Raises:
        UsageError: k is not from 2 to n.

    Source: Stone, "Cross-validatory choice and assessment of statistical predictions", 1974; Hastie, Tibshirani
    and Friedman, "The elements of statistical learning", 2009, section 7.10.

    >>> for train, validation in k_fold(5, k=2):
    ...     print(train.tolist(), validation.tolist())
    [3, 4] [0, 1, 2]
    [0, 1, 2] [3, 4]
    """
    if not 2 <= k <= n:
        raise UsageError(
            Message("k must be from 2 to the {n} rows, got {k}", n=n, k=k), Message("use k=5, for example")
        )
    order = torch.arange(n) if generator is None else torch.randperm(n, generator=generator)
    parts = order.tensor_split(k)
    return [(torch.cat(parts[:f] + parts[f + 1 :]), parts[f]) for f in range(k)]
