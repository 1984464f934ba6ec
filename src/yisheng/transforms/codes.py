"""The columns of a table for trees: scaled numbers, codes of categories, missing values as NaN."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from yisheng.core.columns import Column
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.transforms._categories import find_unused_words
from yisheng.transforms._column_statistics import compute_statistics
from yisheng.transforms._row_chunks import RowSubset, count_columns


@register(fits=lambda spec: spec.is_row, requires="rows of numbers")
@dataclass(frozen=True)
class codes:  # noqa: N801  # its name is the registered name
    """The columns of a table for trees: numbers scaled to (x - shift) / scale, categories as their numbers.

    Trees split a column by the order of its values, so they need neither one-hot categories nor filled-in values: a
    missing or infinite number and an unknown category become NaN. Numbers are scaled in float64, so that single
    precision tells apart what is far from 0; the order stays.

    Args:
        category_counts: number of categories of each column, 0 for numbers and yes/no.
        shift: mean of each column in the training part; 0 for categories.
        scale: its standard deviation, above 0; 1 for categories.
        unused: positions of the words, or features of texts, that are left out: they become 0.
        texts: whether the features of texts are used. Without them the trees of a table with few strong columns and
            many words see the strong ones more often.

    Raises:
        DataError: the fields contradict one another.

    >>> x = np.array([[1.0, 0.0], [3.0, 1.0]], np.float32)
    >>> fitted = codes.fit(x, columns=(Column("age"), Column("port", "category", ("Aden", "Brest"))))
    >>> fitted.apply(torch.tensor([[3.0, 1.0], [torch.inf, 5.0]]))
    tensor([[1., 1.],
            [nan, nan]])

    Source: Breiman et al., "Classification and regression trees", 1984.
    """

    category_counts: tuple[int, ...]
    shift: tuple[float, ...]
    scale: tuple[float, ...]
    unused: tuple[int, ...] = ()
    texts: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        lengths = {len(self.category_counts), len(self.shift), len(self.scale)}
        is_finite = all(map(math.isfinite, (*self.shift, *self.scale)))
        is_positive = min((*self.scale, 1.0)) > 0 and min((*self.category_counts, 0)) >= 0
        if len(lengths) != 1 or not (is_finite and is_positive and self._unused_agree()):
            raise DataError(
                Message("the fields of transform codes contradict one another"),
                Message("copy the file from an intact run folder"),
            )

    def _unused_agree(self) -> bool:
        return list(self.unused) == sorted(set(self.unused)) and all(0 <= i < len(self.shift) for i in self.unused)

    @classmethod
    def fit(
        cls,
        x: np.ndarray | RowSubset,
        *,
        columns: Sequence[Column] = (),
        unused: Sequence[int] = (),
        texts: bool = True,
    ) -> codes:
        """Fit means and standard deviations to the training part.

        Args:
            x: rows ``(N, D)``: numbers, NaN where missing; yes/no as 0 and 1; the codes of categories.
            columns: their kinds and categories; without them all are numbers.
            unused: positions of words that are not to be used, in addition to those that are rare.
            texts: see the class.

        Raises:
            DataError: there are no rows, or there are only features of texts and they are not to be used.
        """
        table = tuple(columns) or tuple(Column(f"x{i + 1}") for i in range(count_columns(x)))
        counts = tuple(len(column.categories) if column.kind == "category" else 0 for column in table)
        statistics = compute_statistics(x, counts)
        is_number = np.array([column.kind == "number" for column in table])
        shift = np.where(is_number, statistics.mean, 0.0)
        scale = np.where(is_number, statistics.std, 1.0)
        text_features = () if texts else [i for i, column in enumerate(table) if column.text_part]
        if len(text_features) == len(table):
            raise DataError(
                Message("texts=false leaves no column: all {count} are features of texts", count=len(table)),
                Message("leave texts=false out"),
            )
        unused = tuple(sorted({*unused, *text_features, *find_unused_words(table, statistics.mean, len(x))}))
        return cls(counts, tuple(shift.tolist()), tuple(scale.tolist()), unused, texts=texts)

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Return the rows ``(..., D)``, float32 (float64 for float64).

        Raises:
            DataError: the number of columns is not that of the fit.
        """
        if x.shape[-1] != len(self.shift):
            raise DataError(
                Message(
                    "the transform was fitted on {count} columns, got {columns}",
                    count=len(self.shift),
                    columns=x.shape[-1],
                ),
                Message("give data of the same form as in training"),
            )
        counts, shift, scale = (tensor.to(x.device) for tensor in self._tensors)
        values = x.double()
        is_unknown = (counts > 0) & ~((values >= 0) & (values < counts))
        values = ((values - shift) / scale).masked_fill(~values.isfinite() | is_unknown, torch.nan)
        if self.unused:
            values = values.index_fill(-1, torch.tensor(self.unused, device=x.device), 0)
        return values if x.dtype is torch.float64 else values.float()

    def invert(self, x: torch.Tensor) -> torch.Tensor:
        """Return the rows in their original units."""
        _, shift, scale = (tensor.to(x.device) for tensor in self._tensors)
        return (x.double() * scale + shift).to(x.dtype)

    @functools.cached_property
    def _tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        numbers = (self.shift, self.scale)
        shift, scale = (torch.tensor(values, dtype=torch.float64) for values in numbers)
        return torch.tensor(self.category_counts, dtype=torch.float64), shift, scale
