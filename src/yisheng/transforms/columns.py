"""The columns of a table, prepared by their kinds."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Interval

from yisheng.core.columns import Column
from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.transforms import _number_scaling
from yisheng.transforms._categories import choose_categories, find_unused_words
from yisheng.transforms._column_preparation import ColumnPreparation
from yisheng.transforms._column_statistics import compute_statistics, sample_values
from yisheng.transforms._row_chunks import RowSubset, count_columns

Clip = Annotated[float, Interval(ge=0, le=1e6)] | Literal["auto"]
Count = Annotated[int, Interval(ge=1, le=10**9)]
Values = tuple[float, ...]
KINDS = ("number", "yes/no", "category")
MAX_CATEGORY_CODE = 2**24
"""Up to here single precision holds every whole number."""


@register(fits=lambda spec: spec.is_row, requires="rows of numbers")
@dataclass(frozen=True)
class columns:  # noqa: N801  # its name is the registered name
    """The columns of a table by their kinds: numbers scaled, missing values filled in and marked, categories one-hot.

    Everything is fitted on the training part. The outputs are, in this order:

    - numbers, scaled;
    - yes/no as 0 and 1, without words of texts that too few or almost all rows of the training part have, and
      without those in ``unused``;
    - an indicator of missing values for every column that has some in the training part;
    - an indicator for every category, and one for all infrequent categories of a column. An unseen category counts as
      infrequent; if the training part has no infrequent ones, all indicators are 0. (An indicator for unseen
      categories alone would be 0 in all of training and keep its random first weights.)

    A missing number, or yes/no, becomes the mean of the training part. An infinite value counts as missing, so the
    outputs are finite for any input.

    Args:
        kinds: number, yes/no or category for each column of the input.
        mean: replacement of a missing value of each column; 0 for categories.
        shift: one for each number, none for quantile.
        scale: likewise, above 0: a number becomes (x - shift) / scale first.
        power: three for each number for power: exponent, and mean and standard deviation after it.
        knots: evenly spaced quantiles of each number, ascending, an equal number of each, one number after the other:
            the quantiles of ``quantile``, and the bin edges of `spec`.
        missing: positions of the columns that have an indicator of missing values.
        infrequent: positions of the columns that have an indicator of infrequent categories.
        category_columns: position of the column of each category that has an indicator.
        category_codes: the category's number.
        unused: positions of the words that are left out.
        numbers: standard: zero mean and unit variance; robust: zero median and unit interquartile range (half of the
            full range if that is 0); quantile: to the normal distribution by rank; power: as normal as a Yeo-Johnson
            exponent makes it, for linear models on skewed columns; none: unscaled.
        clip: scaled numbers are bent so that they stay below it, x / sqrt(1 + (x/clip)²); 0 turns it off. auto is 3,
            RealMLP's, and 0 for numbers=none: otherwise a row far outside could move a network arbitrarily.
        min_frequency: a category in fewer rows of the training part than this is infrequent.
        max_categories: a column of this many categories or more keeps one less, the most frequent ones; the others
            count as infrequent, so that columns such as postcodes do not become thousands of inputs.

    Raises:
        DataError: the fields contradict one another.

    >>> x = np.array([[1.0, 0.0], [3.0, 1.0], [np.nan, 1.0]], np.float32)
    >>> table = (Column("age"), Column("port", "category", ("Aden", "Brest")))
    >>> fitted = columns.fit(x, columns=table, min_frequency=1)
    >>> [c.name for c in fitted.spec(Spec("regression", (2,), columns=table)).columns]
    ['age', 'age missing', 'port=Aden', 'port=Brest']
    >>> fitted.apply(torch.tensor([[2.0, 1.0], [torch.nan, -1.0]]))
    tensor([[0., 0., 0., 1.],
            [0., 1., 0., 0.]])

    Source: Gorishniy et al., "Revisiting deep learning models for tabular data" (2021), section 5.2; Holzmüller,
    Grinsztajn and Steinwart, "Better by default" (2024), section 3.
    """

    kinds: tuple[str, ...]
    mean: tuple[float, ...]
    shift: tuple[float, ...]
    scale: tuple[float, ...]
    power: tuple[float, ...]
    knots: tuple[float, ...]
    missing: tuple[int, ...]
    infrequent: tuple[int, ...]
    category_columns: tuple[int, ...]
    category_codes: tuple[int, ...]
    unused: tuple[int, ...] = ()
    numbers: _number_scaling.NumberScaling = field(default="standard", kw_only=True)
    clip: Clip = field(default="auto", kw_only=True)
    min_frequency: Count = field(default=3, kw_only=True)
    max_categories: Annotated[int, Interval(ge=2, le=10**6)] = field(default=50, kw_only=True)

    def __post_init__(self) -> None:
        n = self.kinds.count("number")
        if not (self._numbers_agree(n) and self._knots_agree(n) and self._categories_agree()):
            raise DataError(
                Message("the fields of transform columns contradict one another"),
                Message("copy the file from an intact run folder"),
            )

    def _numbers_agree(self, n: int) -> bool:
        affine_count = 0 if self.numbers == "quantile" else n
        values = (*self.mean, *self.shift, *self.scale, *self.power, *self.knots)
        return (
            len(self.kinds) > 0
            and all(kind in KINDS for kind in self.kinds)
            and len(self.mean) == len(self.kinds)
            and len(self.shift) == len(self.scale) == affine_count
            and len(self.power) == (3 * n if self.numbers == "power" else 0)
            and all(map(math.isfinite, values))
            and min((*self.scale, *self.power[2::3]), default=1) > 0
        )

    def _knots_agree(self, n: int) -> bool:
        if not n:
            return not self.knots
        count = len(self.knots) // n
        rows = [self.knots[i : i + count] for i in range(0, len(self.knots), count)] if count > 1 else []
        return len(rows) == n and all(list(row) == sorted(row) for row in rows) and len(rows[-1]) == count

    def _categories_agree(self) -> bool:
        positions = (*self.missing, *self.infrequent, *self.category_columns, *self.unused)
        category_positions = {i for i, kind in enumerate(self.kinds) if kind == "category"}
        pairs = list(zip(self.category_columns, self.category_codes, strict=False))
        return (
            all(0 <= i < len(self.kinds) for i in positions)
            and {*self.infrequent, *self.category_columns} <= category_positions
            and len(self.category_columns) == len(self.category_codes)
            and list(self.category_columns) == sorted(self.category_columns)
            and all(0 <= code < MAX_CATEGORY_CODE for code in self.category_codes)
            and len(set(pairs)) == len(pairs)
            and all(list(field) == sorted(set(field)) for field in (self.missing, self.infrequent, self.unused))
            and all(self.kinds[i] == "yes/no" and i not in self.missing for i in self.unused)
            and len(self.unused) < len(self.kinds)
        )

    @classmethod
    def fit(
        cls,
        x: np.ndarray | RowSubset,
        *,
        columns: Sequence[Column] = (),
        unused: Sequence[int] = (),
        numbers: _number_scaling.NumberScaling = "standard",
        clip: float | Literal["auto"] = "auto",
        min_frequency: int = 3,
        max_categories: int = 50,
    ) -> columns:
        """Fit means, scales and categories to the training part, read once, in chunks.

        Quantiles, quartiles and exponents are those of all rows, or of evenly spaced ones if there are more than 8
        million values.

        Args:
            x: rows ``(N, D)``: numbers, NaN where missing; yes/no as 0 and 1; the codes of categories.
            columns: their kinds and categories; without them all are numbers.
            unused: positions of words that are not to be used, in addition to those that are rare.
            numbers: see the class.
            clip: see the class.
            min_frequency: see the class.
            max_categories: see the class.

        Raises:
            DataError: there are no rows, or a column is of another kind.
        """
        table = tuple(columns) or tuple(Column(f"x{i + 1}") for i in range(count_columns(x)))
        _require_kinds(table, count_columns(x))
        statistics = compute_statistics(x, [len(c.categories) if c.kind == "category" else 0 for c in table])
        mean = np.where([c.kind == "category" for c in table], 0, statistics.mean)
        infrequent, category_columns, category_codes = choose_categories(
            len(x), statistics.missing_counts, statistics.category_counts, min_frequency, max_categories
        )
        unused = tuple(sorted({*unused, *find_unused_words(table, statistics.mean, len(x))}))
        if len(unused) == len(table):  # a network needs an input
            unused = unused[1:]
        numeric = [i for i, c in enumerate(table) if c.kind == "number"]
        shift, scale, power, knots = _fit_numbers(x, numeric, numbers, statistics.mean, statistics.std)
        return cls(
            tuple(c.kind for c in table),
            tuple(mean.tolist()),
            shift,
            scale,
            power,
            knots,
            tuple(np.flatnonzero(statistics.missing_counts).tolist()),
            infrequent,
            category_columns,
            category_codes,
            unused,
            numbers=numbers,
            clip=clip,
            min_frequency=min_frequency,
            max_categories=max_categories,
        )

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Return prepared rows ``(..., D')``, float32 (float64 for float64), all finite.

        Raises:
            DataError: the number of columns is not that of the fit.
        """
        return self._preparation.apply(x)

    def invert(self, x: torch.Tensor) -> torch.Tensor:
        """Raise an error: infrequent categories are merged and missing values filled in.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            Message("prepared columns cannot be inverted, got some of shape {shape}", shape=tuple(x.shape)),
            Message("use the rows of the data set"),
        )

    def spec(self, spec: Spec) -> Spec:
        """Return the spec of the outputs: more columns, each a number or yes/no.

        Args:
            spec: spec of the inputs; its columns give the names.

        Raises:
            DataError: it has other columns than the transform was fitted on.
        """
        table = spec.columns or tuple(Column(f"x{i + 1}") for i in range(len(self.kinds)))
        kinds = tuple(c.kind for c in table)
        pairs = list(zip(self.category_columns, self.category_codes, strict=True))
        if (
            spec.shape != (len(self.kinds),)
            or kinds != self.kinds
            or any(code >= len(table[i].categories) for i, code in pairs)
        ):
            raise DataError(
                Message(
                    "the transform was fitted on {count} columns, got inputs of shape {shape} with other kinds or "
                    "categories",
                    count=len(self.kinds),
                    shape=spec.shape,
                ),
                Message("give data of the same form as in training"),
            )
        number_names = [c.name for c in table if c.kind == "number"]
        outputs = [
            Column(name, bins=bins) for name, bins in zip(number_names, self._preparation.compute_bins(), strict=True)
        ]
        names = [c.name for i, c in enumerate(table) if c.kind == "yes/no" and i not in self.unused]
        names += [f"{table[i].name} missing" for i in self.missing]
        for i in self._preparation.categories:
            names += [f"{table[i].name}={table[i].categories[code]}" for column, code in pairs if column == i]
            names += [f"{table[i].name}, infrequent" for _ in range(i in self.infrequent)]
        outputs += [Column(name, "yes/no") for name in names]
        return replace(spec, shape=(len(outputs),), columns=tuple(outputs))

    @functools.cached_property
    def _preparation(self) -> ColumnPreparation:
        return ColumnPreparation(self)


def _require_kinds(table: Sequence[Column], D: int) -> None:
    if len(table) != D:
        raise DataError(
            Message("{count} columns do not fit rows of {width} values", count=len(table), width=D),
            Message("name every column, or none"),
        )
    wrong_kinds = [f"{c.name} ({c.kind})" for c in table if c.kind not in KINDS]
    if wrong_kinds:
        raise DataError(
            Message(
                "a column must be a number, a category or yes/no, got {wrong_kinds}",
                wrong_kinds=", ".join(wrong_kinds[:5]),
            ),
            Message("leave it out with drop=, or give its kind with kinds="),
        )
    empty = [c.name for c in table if c.kind == "category" and not c.categories]
    if empty:
        raise DataError(
            Message("a column of categories must have some, got none for {empty}", empty=", ".join(empty[:5])),
            Message("leave it out with drop="),
        )


def _fit_numbers(
    x: np.ndarray | RowSubset,
    numeric: Sequence[int],
    numbers: _number_scaling.NumberScaling,
    mean: np.ndarray,
    std: np.ndarray,
) -> tuple[Values, Values, Values, Values]:
    """Return shifts, scales, powers and knots, as fields."""
    if not numeric:
        return (), (), (), ()
    samples = sample_values(x, numeric)
    choose_count = _number_scaling.choose_knot_count if numbers == "quantile" else _number_scaling.choose_edge_count
    count = choose_count(len(x))
    quantiles = [_number_scaling.fit_quantiles(sample, count) for sample in samples]
    knots = tuple(np.concatenate(quantiles).tolist())
    if numbers == "quantile":
        return (), (), (), knots
    if numbers == "none":
        return (0.0,) * len(numeric), (1.0,) * len(numeric), (), knots
    shift, scale = mean[numeric].tolist(), std[numeric].tolist()
    if numbers == "robust":
        shift, scale = zip(*map(_number_scaling.fit_robust, samples), strict=True)
    power: list[float] = []
    if numbers == "power":
        for sample, center, width in zip(samples, shift, scale, strict=True):
            power += _number_scaling.fit_power((sample - center) / width)
    return tuple(shift), tuple(scale), tuple(power), knots
