"""The logarithm of a target, standardised."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch

from yisheng.core.errors import DataError
from yisheng.core.registry import register
from yisheng.transforms._affine import Affine
from yisheng.transforms._chunks import Gather, pieces, width
from yisheng.transforms.standard import standard

SKEW = 1.0
"""From here on a distribution is called highly skewed (Bulmer, "Principles of statistics", 1979)."""


@register
@dataclass(frozen=True)
class log:  # noqa: N801  # its name is the registered name
    """Standardised logarithm: for prices, incomes, durations, whose errors are meant in percent.

    ``y = (log(x + offset) − mean) / std``, per column. Squared error then asks for the median rather than the mean
    of what may be (where log x is normal), which is smaller: a sum of predictions is too low. Below a tenth of the
    smallest training value the logarithm goes on as its tangent, so that 0 and negative values have an image too,
    and every value comes back as it was.

    Args:
        offset: one value per column: 0 where the training part is positive, 1 where it has zeros.
        knee: one value per column, above 0: where x + offset is below it, the tangent takes over.
        mean: one value per column, of the logarithms.
        std: one value per column, above 0, likewise.

    Raises:
        DataError: the fields do not fit one another.

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
        whole = len(self.offset) == len(self.knee) == len(self.mean) == len(self.std) > 0
        finite = all(map(math.isfinite, (*self.offset, *self.knee, *self.mean, *self.std)))
        if not (whole and finite) or min((*self.knee, *self.std)) <= 0 or min(self.offset) < 0:
            raise DataError(
                "transform log needs as many finite offsets, knees, means and standard deviations, "
                "knees and deviations above zero",
                "take the file from a whole run",
            )

    @classmethod
    def fit(cls, x: np.ndarray | Gather) -> log:
        """Offsets, means and standard deviations, read piece by piece.

        Args:
            x: targets ``(N, T)``.

        Raises:
            DataError: there is no row, or a value is negative, missing or infinite.
        """
        low = np.full(width(x), np.inf)
        for piece in pieces(x):
            low = np.minimum(low, piece.astype(np.float64).min(axis=(0, 2)))
        if not (low >= 0).all():  # NaN is not either
            raise DataError(
                f"log needs a target of 0 or more, got {np.min(low):g} in the training part",
                "say target_scale=standard",
            )
        offset = np.where(low > 0, 0.0, 1.0)
        shape = (-1, *[1] * (x.ndim - 2))
        logs = standard.fit(np.log(np.asarray(x, np.float64) + offset.reshape(shape)))
        return cls(tuple(offset.tolist()), tuple(((low + offset) / 10).tolist()), logs.mean, logs.std)

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Scaled logarithms, float32 (float64 for float64).

        Raises:
            DataError: the number of columns is not that of the fit.
        """
        x = self._moved.invert(x)  # x + offset
        knee = self._knees.invert(torch.zeros_like(x))
        return self._map.apply(torch.where(x < knee, knee.log() + (x - knee) / knee, x.clamp_min(knee).log()))

    def invert(self, x: torch.Tensor) -> torch.Tensor:
        """Targets in their original units, finite whatever the logarithm."""
        logs = self._map.invert(x)
        knee = self._knees.invert(torch.zeros_like(logs))
        below = knee.log()
        most = math.log(torch.finfo(logs.dtype).max)
        values = torch.where(logs < below, knee * (1 + logs - below), logs.clamp_max(most).exp())
        largest = torch.finfo(logs.dtype).max
        return self._moved.apply(values.clamp(-largest, largest))

    @functools.cached_property
    def _map(self) -> Affine:
        return Affine(self.mean, self.std)

    @functools.cached_property
    def _moved(self) -> Affine:
        return Affine(self.offset, [1.0] * len(self.offset))

    @functools.cached_property
    def _knees(self) -> Affine:
        return Affine(self.knee, [1.0] * len(self.knee))


def skewed(y: np.ndarray) -> bool:
    """Whether the logarithm of a target is the better one to learn: its skew calls for it.

    Every column must be positive, its skewness above 1, and that of its logarithm, in size, less than half of it.
    Zeros forbid it: where many rows are 0 the median may be 0 too, and predictions with it.

    Args:
        y: targets of the training part ``(N, T)``.

    >>> prices = np.exp(np.linspace(-2, 2, 101))[:, None]
    >>> skewed(prices), skewed(np.log(prices) + 9)
    (True, False)
    """
    values = np.asarray(y, np.float64)
    if len(values) < 3 or not (values > 0).all() or not np.isfinite(values).all():
        return False
    plain, logs = _skewness(values), _skewness(np.log(values))
    return bool(((plain > SKEW) & (np.abs(logs) < plain / 2)).all())


def _skewness(values: np.ndarray) -> np.ndarray:
    """Third standardised moment of each column; 0 where it is constant."""
    centred = values - values.mean(axis=0)
    std = np.sqrt((centred**2).mean(axis=0))
    constant = std <= 1e-12 * np.abs(values).max(axis=0)
    skewness: np.ndarray = ((centred / np.where(constant, 1.0, std)) ** 3).mean(axis=0)
    return np.where(constant, 0.0, skewness)
