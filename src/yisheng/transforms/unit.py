"""To the interval from 0 to 1."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch

from yisheng.core.errors import DataError
from yisheng.core.registry import register
from yisheng.transforms._affine import Affine
from yisheng.transforms._chunks import Gather, pieces, refuse, width


@register
@dataclass(frozen=True)
class unit:  # noqa: N801  # its name is the registered name
    """To the interval from 0 to 1: bytes are divided by 255, other values by their training range.

    ``y = (x − low) / (high − low)``, per channel of images, per column of rows, as scikit-learn's
    MinMaxScaler. Later values outside the training range fall outside the interval. A constant column
    becomes 0.

    Args:
        low: one value per channel or column, which becomes 0.
        high: one value per channel or column, which becomes 1; not below ``low``.

    Raises:
        DataError: the fields are not as many, not finite, or out of order.

    >>> unit.fit(np.zeros((2, 1, 8, 8), np.uint8))
    unit(low=(0.0,), high=(255.0,))
    >>> unit((10.0,), (20.0,)).apply(torch.tensor([[15.0]]))
    tensor([[0.5000]])
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        whole = len(self.low) == len(self.high) > 0 and all(map(math.isfinite, (*self.low, *self.high)))
        if not whole or any(low > high for low, high in zip(self.low, self.high, strict=True)):
            raise DataError(
                "transform unit needs as many finite lows as highs, and no high below its low",
                "take the file from a whole run",
            )

    @classmethod
    def fit(cls, x: np.ndarray | Gather) -> unit:
        """The range of the rows or images, read once, piece by piece; bytes are not looked at.

        Args:
            x: rows ``(N, D)`` or images ``(N, C, H, W)``.

        Raises:
            DataError: there is no row, or a value is missing or infinite.
        """
        columns = width(x)
        if x.dtype == np.uint8:
            return cls((0.0,) * columns, (255.0,) * columns)
        low, high = np.full(columns, np.inf), np.full(columns, -np.inf)
        for piece in pieces(x):
            low, high = np.minimum(low, piece.min(axis=(0, 2))), np.maximum(high, piece.max(axis=(0, 2)))
        bad = ~(np.isfinite(low) & np.isfinite(high))
        if bad.any():
            refuse(bad)
        return cls(tuple(low.tolist()), tuple(high.tolist()))

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Scaled inputs, float32 (float64 for float64).

        Raises:
            DataError: the number of channels or columns is not that of the fit.
        """
        return self._map.apply(x)

    def invert(self, x: torch.Tensor) -> torch.Tensor:
        """Inputs in their original units."""
        return self._map.invert(x)

    @functools.cached_property
    def _map(self) -> Affine:
        tiny = float(np.finfo(np.float32).tiny)
        ranges = (high - low for low, high in zip(self.low, self.high, strict=True))
        return Affine(self.low, [size if size >= tiny else 1.0 for size in ranges])
