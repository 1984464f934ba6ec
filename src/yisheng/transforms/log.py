"""The logarithm of a target, standardized."""

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
from yisheng.transforms._row_chunks import RowSubset, count_columns, iterate_chunks
from yisheng.transforms.standard import standard

HIGH_SKEWNESS = 1.0
"""From here on a distribution is called highly skewed (Bulmer, "Principles of statistics", 1979)."""


@register
@dataclass(frozen=True)
class log:  # noqa: N801  # its name is the registered name
    """Standardized logarithm: for prices, incomes and durations, whose errors are relative.

    ``y = (log(x + offset) − mean) / std``, per column. The squared error is then minimized by the median of x rather
    than its mean (if log x is normal), which is smaller: a sum of predictions is too low. Below a tenth of the
    smallest training value the tangent replaces the logarithm, so that 0 and negative values are defined too, and
    every value can be inverted.

    Args:
        offset: one value per column: 0 if the training part is positive, 1 if it has zeros.
        knee: one value per column, above 0: below it, x + offset goes through the tangent.
        mean: mean of the logarithms, one value per column.
        std: standard deviation of the logarithms, one value per column, above 0.

    Raises:
        DataError: the fields contradict one another.

    >>> scale = log.fit(np.array([[10.0], [1000.0]], np.float32))
    >>> scale.apply(torch.tensor([[10.0], [100.0], [1000.0]])).flatten()
    tensor([-1.,  0.,  1.])

    Source: Zhang, Lipton, Li and Smola, "Dive into Deep Learning", section 5.7 (house prices).
    """

    offset: tuple[float, ...]
    knee: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        same_length = len(self.offset) == len(self.knee) == len(self.mean) == len(self.std) > 0
        finite = all(map(math.isfinite, (*self.offset, *self.knee, *self.mean, *self.std)))
        if not (same_length and finite) or min((*self.knee, *self.std)) <= 0 or min(self.offset) < 0:
            raise DataError(
                Message(
                    "transform log needs an equal number of finite offsets, knees, means and standard "
                    "deviations, knees and deviations above zero",
                ),
                Message("copy the file from an intact run folder"),
            )

    @classmethod
    def fit(cls, x: np.ndarray | RowSubset) -> log:
        """Fit offsets, means and standard deviations, read in chunks.

        Args:
            x: targets ``(N, T)``.

        Raises:
            DataError: there are no rows, or a value is negative, missing or infinite.
        """
        low = np.full(count_columns(x), np.inf)
        for chunk in iterate_chunks(x):
            low = np.minimum(low, chunk.astype(np.float64).min(axis=(0, 2)))
        if not (low >= 0).all():  # False for NaN
            raise DataError(
                Message("log needs a target of 0 or more, got {low} in the training part", low=f"{np.min(low):g}"),
                Message("use target_scale=standard"),
            )
        offset = np.where(low > 0, 0.0, 1.0)
        shape = (-1, *[1] * (x.ndim - 2))
        logs = standard.fit(np.log(np.asarray(x, np.float64) + offset.reshape(shape)))
        return cls(tuple(offset.tolist()), tuple(((low + offset) / 10).tolist()), logs.mean, logs.std)

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Return scaled logarithms, float32 (float64 for float64).

        Raises:
            DataError: the number of columns is not that of the fit.
        """
        dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
        x = self._offset.invert(x)  # x + offset, which may need float64
        knee = self._knee.invert(torch.zeros_like(x))
        logs = torch.where(x < knee, knee.log() + (x - knee) / knee, x.clamp_min(knee).log())
        return self._affine.apply(logs).to(dtype)

    def invert(self, x: torch.Tensor) -> torch.Tensor:
        """Return targets in their original units, finite for any finite logarithm."""
        logs = self._affine.invert(x)
        knee = self._knee.invert(torch.zeros_like(logs))
        log_knee = knee.log()
        largest = torch.finfo(logs.dtype).max
        values = torch.where(logs < log_knee, knee * (1 + logs - log_knee), logs.clamp_max(math.log(largest)).exp())
        return self._offset.apply(values.clamp(-largest, largest))

    @functools.cached_property
    def _affine(self) -> Affine:
        return Affine(self.mean, self.std)

    @functools.cached_property
    def _offset(self) -> Affine:
        return Affine(self.offset, [1.0] * len(self.offset))

    @functools.cached_property
    def _knee(self) -> Affine:
        return Affine(self.knee, [1.0] * len(self.knee))


def is_skewed(y: np.ndarray) -> bool:
    """Return whether a target is so skewed that its logarithm is easier to learn.

    Every column must be positive, its skewness above 1, and the absolute skewness of its logarithm less than half of
    that. Zeros rule it out: if many rows are 0, the median may be 0, and so may the predictions.

    Args:
        y: targets of the training part ``(N, T)``.

    >>> prices = np.exp(np.linspace(-2, 2, 101))[:, None]
    >>> is_skewed(prices), is_skewed(np.log(prices) + 9)
    (True, False)
    """
    from scipy.stats import skew

    values = np.asarray(y, np.float64)
    if len(values) < 3 or not (values > 0).all() or not np.isfinite(values).all():
        return False
    if (values.std(axis=0) <= 1e-12 * values.max(axis=0)).any():  # the skewness of a constant column is undefined
        return False
    skewness, log_skewness = skew(values), skew(np.log(values))
    return bool(((skewness > HIGH_SKEWNESS) & (np.abs(log_skewness) < skewness / 2)).all())
