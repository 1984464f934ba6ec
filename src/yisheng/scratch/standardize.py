"""Standardization: each feature with mean 0 and standard deviation 1."""

from __future__ import annotations

import torch
from torch import Tensor

from yisheng.core.registry import register


@register(
    equation="z = (x − mean) / std          mean and std of each column, over the training rows only",
    usual="""
from sklearn.preprocessing import StandardScaler
train = [[1.0, 200.0], [3.0, 100.0], [2.0, 300.0]]
scaled = StandardScaler().fit(train).transform([[2.0, 150.0]])
""",
    when="""Before any model that sums over features or is trained by gradient descent: otherwise the column with the
largest values dominates. Use mean and standard deviation of the training part only, since the score is biased
otherwise. Trees do not need it.""",
)
def standardize(x: Tensor, train: Tensor) -> Tensor:
    """Scale rows by mean and standard deviation of the training part: (x − mean) / std, column by column.

    Args:
        x: rows (N, D) to scale, of any part.
        train: rows (M, D) of the training part, which give mean and standard deviation (divided by M, not M − 1); a
            column that is constant there is only centered.

    Source: LeCun et al., "Efficient backprop", 1998, section 4.3.

    >>> standardize(torch.tensor([[5.0, 7.0]]), torch.tensor([[1.0, 7.0], [3.0, 7.0]]))
    tensor([[3., 0.]])
    """
    mean = train.mean(0)
    std = ((train - mean) ** 2).mean(0).sqrt()
    constant = train.amax(0) == train.amin(0)
    return (x - mean) / torch.where(constant, 1, std)
