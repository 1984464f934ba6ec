"""Zero mean and unit variance."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch

from yisheng.core.errors import DataError
from yisheng.core.registry import register
from yisheng.transforms._affine import Affine
from yisheng.transforms._chunks import Gather, pieces, refuse, spread, width


@register(default_for=lambda spec: spec.task == "regression")
@dataclass(frozen=True)
class standard:  # noqa: N801  # its name is the registered name
    """Zero mean and unit variance on the training part: per channel of images, per column of rows.

    ``y = (x − mean) / std``, with the population's standard deviation (divided by N, as scikit-learn's
    StandardScaler). A channel or column that is constant keeps its scale.

    Args:
        mean: one value per channel or column.
        std: one value per channel or column, above zero.

    Raises:
        DataError: the fields are not as many, not finite, or not above zero.

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
        whole = len(self.mean) == len(self.std) > 0 and all(map(math.isfinite, (*self.mean, *self.std)))
        if not whole or min(self.std) <= 0:
            raise DataError(
                "transform standard needs as many finite means as standard deviations above zero",
                "take the file from a whole run",
            )

    @classmethod
    def fit(cls, x: np.ndarray | Gather) -> standard:
        """Means and standard deviations of the rows or images, read once, piece by piece.

        Args:
            x: rows ``(N, D)`` or images ``(N, C, H, W)``.

        Raises:
            DataError: there is no row, or a value is missing or infinite.

        Source: Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample
        variances (1979), equation 2.1.
        """
        count, mean, squares = 0, np.zeros(width(x)), np.zeros(width(x))
        with np.errstate(invalid="ignore"):  # infinite values are named below
            for piece in pieces(x):
                values = piece.astype(np.float64)
                n = values.shape[0] * values.shape[2]
                here = values.mean(axis=(0, 2))
                values -= here[:, None]
                delta = here - mean
                squares += np.einsum("ncp,ncp->c", values, values) + delta**2 * (n * count / (n + count))
                mean += delta * (n / (n + count))
                count += n
        if not np.isfinite(squares).all():
            refuse(~np.isfinite(squares))
        return cls(tuple(mean.tolist()), tuple(spread(squares, mean, count).tolist()))

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
        return Affine(self.mean, self.std)
