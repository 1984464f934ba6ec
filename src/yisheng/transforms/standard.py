"""Zero mean and unit variance."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.transforms._affine import Affine
from yisheng.transforms._row_chunks import (
    RowSubset,
    compute_std,
    count_columns,
    iterate_chunks,
    raise_nonfinite,
)


@register(default_for=lambda spec: spec.task == "regression")
@dataclass(frozen=True)
class standard:  # noqa: N801  # its name is the registered name
    """Zero mean and unit variance on the training part: per channel of images, per column of rows.

    ``y = (x − mean) / std``, with the population standard deviation (divided by N, as in scikit-learn's
    StandardScaler). A constant channel or column keeps its scale.

    Args:
        mean: one value per channel or column.
        std: one value per channel or column, above zero.

    Raises:
        DataError: the numbers of values differ, or a value is not finite or not above zero.

    >>> scale = standard.fit(np.array([[0.0, 5.0], [4.0, 5.0]], np.float32))
    >>> scale
    standard(mean=(2.0, 5.0), std=(2.0, 1.0))
    >>> scale.apply(torch.tensor([[6.0, 5.0]]))
    tensor([[2., 0.]])

    Source: LeCun, Bottou, Orr and Müller, Efficient BackProp (1998), section 4.3.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        finite = all(map(math.isfinite, (*self.mean, *self.std)))
        if not (len(self.mean) == len(self.std) > 0 and finite and min(self.std) > 0):
            raise DataError(
                Message(
                    "transform standard needs an equal number of finite means and of standard deviations above zero",
                ),
                Message("copy the file from an intact run folder"),
            )

    @classmethod
    def fit(cls, x: np.ndarray | RowSubset) -> standard:
        """Fit means and standard deviations to rows or images, read once, in chunks.

        Args:
            x: rows ``(N, D)`` or images ``(N, C, H, W)``.

        Raises:
            DataError: there are no rows, or a value is missing or infinite.

        Source: Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample
        variances (1979), equation 2.1.
        """
        count, mean, squares = 0, np.zeros(count_columns(x)), np.zeros(count_columns(x))
        with np.errstate(invalid="ignore"):  # infinite values are reported below
            for chunk in iterate_chunks(x):
                values = chunk.astype(np.float64)
                n = values.shape[0] * values.shape[2]
                chunk_mean = values.mean(axis=(0, 2))
                values -= chunk_mean[:, None]
                delta = chunk_mean - mean
                squares += np.einsum("ncp,ncp->c", values, values) + delta**2 * (n * count / (n + count))
                mean += delta * (n / (n + count))
                count += n
        if not np.isfinite(squares).all():
            raise_nonfinite(~np.isfinite(squares))
        return cls(tuple(mean.tolist()), tuple(compute_std(squares, mean, count).tolist()))

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Return scaled inputs, float32 (float64 for float64).

        Raises:
            DataError: the number of channels or columns is not that of the fit.
        """
        return self._affine.apply(x)

    def invert(self, x: torch.Tensor) -> torch.Tensor:
        """Return inputs in their original units."""
        return self._affine.invert(x)

    @functools.cached_property
    def _affine(self) -> Affine:
        return Affine(self.mean, self.std)
