"""The stored values as they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from yisheng.core.errors import DataError
from yisheng.core.input_spec import BYTES_PER_VALUE, InputType
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.transforms._row_chunks import RowSubset, iterate_chunks

MAX_ID = 2**53
"""Largest absolute value of an id: larger integers do not survive JSON."""


@register
@dataclass(frozen=True)
class raw:  # noqa: N801  # its name is the registered name
    """The stored values as they are: ids remain integers and bytes remain bytes, for networks that take them.

    It is what ``scale=auto`` means for ids.

    Args:
        dtype: type of the values.
        low: smallest value of the training part.
        high: largest value of the training part.

    Raises:
        DataError: the type is unknown, or the largest value is below the smallest.

    >>> ids = np.array([[3, 1], [0, 2]])
    >>> raw.fit(ids)
    raw(dtype='int64', low=0.0, high=3.0)
    >>> raw.fit(ids).apply(torch.tensor([[5, 1]]))
    tensor([[5, 1]])
    """

    dtype: str
    low: float
    high: float

    def __post_init__(self) -> None:
        if self.dtype not in BYTES_PER_VALUE or not self.low <= self.high:
            raise DataError(
                Message("transform raw needs a type of values, and a smallest value that is not above the largest one"),
                Message("copy the file from an intact run folder"),
            )

    @classmethod
    def fit(cls, x: np.ndarray | RowSubset) -> raw:
        """Return the type and the range of the values.

        Args:
            x: inputs ``(N, ...)``.

        Raises:
            DataError: there are no rows, or an id is too large.
        """
        chunks = [(chunk.min(), chunk.max()) for chunk in iterate_chunks(x)]
        low, high = float(min(low for low, _ in chunks)), float(max(high for _, high in chunks))
        if x.dtype.kind == "i" and max(abs(low), abs(high)) > MAX_ID:
            raise DataError(
                Message("ids go from {low} to {high}", low=f"{low:.0f}", high=f"{high:.0f}"),
                Message("number them from 0"),
            )
        return cls(x.dtype.name, low, high)

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Return the values in the type of the fit; float64 stays float64."""
        dtype = torch.float64 if self.dtype == "float32" and x.dtype is torch.float64 else getattr(torch, self.dtype)
        return x.to(dtype)

    def invert(self, x: torch.Tensor) -> torch.Tensor:
        """Return the values unchanged."""
        return x

    def spec(self, spec: Spec) -> Spec:
        """Return the spec with the type of values that the network receives."""
        dtype: InputType = self.dtype  # type: ignore[assignment]  # checked above
        return replace(spec, dtype=dtype, columns=spec.columns if dtype == "float32" else ())
