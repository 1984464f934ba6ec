"""The interval from 0 to 1."""

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
from yisheng.transforms._row_chunks import RowSubset, count_columns, iterate_chunks, raise_nonfinite


@register
@dataclass(frozen=True)
class unit:  # noqa: N801  # its name is the registered name
    """The interval from 0 to 1: bytes are divided by 255, other values scaled by their training range.

    ``y = (x − low) / (high − low)``, per channel of images, per column of rows, as in scikit-learn's MinMaxScaler.
    Later values outside the training range leave the interval. A constant column becomes 0.

    Args:
        low: one value per channel or column, which becomes 0.
        high: one value per channel or column, which becomes 1; not below ``low``.

    Raises:
        DataError: the numbers of values differ, a value is not finite, or a ``high`` is below its ``low``.

    >>> unit.fit(np.zeros((2, 1, 8, 8), np.uint8))
    unit(low=(0.0,), high=(255.0,))
    >>> unit((10.0,), (20.0,)).apply(torch.tensor([[15.0]]))
    tensor([[0.5000]])
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        finite = all(map(math.isfinite, (*self.low, *self.high)))
        if not (len(self.low) == len(self.high) > 0 and finite) or any(
            low > high for low, high in zip(self.low, self.high, strict=True)
        ):
            raise DataError(
                Message("transform unit needs an equal number of finite lows and highs, and no high below its low"),
                Message("copy the file from an intact run folder"),
            )

    @classmethod
    def fit(cls, x: np.ndarray | RowSubset) -> unit:
        """Fit the range of rows or images, read once, in chunks; the range of bytes is 0 to 255.

        Args:
            x: rows ``(N, D)`` or images ``(N, C, H, W)``.

        Raises:
            DataError: there are no rows, or a value is missing or infinite.
        """
        columns = count_columns(x)
        if x.dtype == np.uint8:
            return cls((0.0,) * columns, (255.0,) * columns)
        low, high = np.full(columns, np.inf), np.full(columns, -np.inf)
        for chunk in iterate_chunks(x):
            low, high = np.minimum(low, chunk.min(axis=(0, 2))), np.maximum(high, chunk.max(axis=(0, 2)))
        nonfinite = ~(np.isfinite(low) & np.isfinite(high))
        if nonfinite.any():
            raise_nonfinite(nonfinite)
        return cls(tuple(low.tolist()), tuple(high.tolist()))

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
        tiny = float(np.finfo(np.float32).tiny)
        ranges = (high - low for low, high in zip(self.low, self.high, strict=True))
        return Affine(self.low, [size if size >= tiny else 1.0 for size in ranges])
