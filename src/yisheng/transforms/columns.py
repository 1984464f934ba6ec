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

from yisheng.core.errors import DataError, UsageError
from yisheng.core.registry import register
from yisheng.core.types import Column, Spec
from yisheng.transforms import _number_scaling
from yisheng.transforms._categories import choose_levels
from yisheng.transforms._chunks import Gather, width
from yisheng.transforms._column_ops import Prepare
from yisheng.transforms._column_statistics import sample, survey

Clip = Annotated[float, Interval(ge=0, le=1e6)] | Literal["auto"]
Count = Annotated[int, Interval(ge=1, le=10**9)]
Values = tuple[float, ...]
KINDS = ("number", "yes/no", "category")


@register
@dataclass(frozen=True)
class columns:  # noqa: N801  # its name is the registered name
    """The columns of a table by their kinds: numbers scaled, missing values filled in and marked, categories one-hot.

    All of it is fitted on the training part. What comes out, in this order:

    - numbers, scaled;
    - yes/no as 0 and 1;
    - for every column with missing values in the training part an indicator of them;
    - for every level of a category an indicator, and one for the rare ones together. A level that was never seen
      counts as rare; where the training part has no rare ones all indicators are 0. (An indicator of its own would
      be 0 in all of training and keep its random first weights.)

    A missing number, or yes/no, becomes the mean of the training part. An infinite value counts as missing, so
    what comes out is finite whatever goes in.

    Args:
        kinds: number, yes/no or category: one for each column of the input.
        mean: one for each column: what a missing value becomes; 0 for categories.
        shift: one for each number, none for quantile.
        scale: likewise, above 0: a number becomes (x - shift) / scale first.
        power: three for each number for power: exponent, mean and standard deviation after it.
        knots: evenly spaced quantiles of each number, ascending, as many of each, one number after the other: what
            quantile goes by, and the edges of the bins that `spec` tells of.
        missing: positions of the columns that have an indicator of missing values.
        pooled: positions of the categories that have an indicator of rare levels.
        level_of: position of the category of each level that has an indicator.
        level: the level's number.
        numbers: standard: zero mean and unit variance; robust: zero median and unit distance between the quartiles
            (half of the range where they are the same); quantile: to the normal distribution by rank; power: made
            as normal as an exponent can (Yeo-Johnson), for linear models on skewed columns; none: as they are.
        clip: scaled numbers are bent so as never to go beyond it, x / sqrt(1 + (x/clip)²); 0: not at all. auto is
            3, RealMLP's, and 0 for numbers=none: a row far outside would else pull a network wherever it likes.
        rare: a level in fewer rows of the training part than this has no indicator of its own.
        levels: a category of so many levels or more keeps the most frequent of them, one less than this, and pools
            the others; it keeps postcodes and the like from exploding.

    Raises:
        DataError: the fields do not fit one another.

    >>> x = np.array([[1.0, 0.0], [3.0, 1.0], [np.nan, 1.0]], np.float32)
    >>> table = (Column("age"), Column("port", "category", ("Aden", "Brest")))
    >>> fitted = columns.fit(x, columns=table, rare=1)
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
    pooled: tuple[int, ...]
    level_of: tuple[int, ...]
    level: tuple[int, ...]
    numbers: _number_scaling.Numbers = field(default="standard", kw_only=True)
    clip: Clip = field(default="auto", kw_only=True)
    rare: Count = field(default=3, kw_only=True)
    levels: Annotated[int, Interval(ge=2, le=10**6)] = field(default=50, kw_only=True)

    def __post_init__(self) -> None:
        D, n = len(self.kinds), self.kinds.count("number")
        affine = 0 if self.numbers == "quantile" else n
        places = (*self.missing, *self.pooled, *self.level_of)
        categories = {i for i, kind in enumerate(self.kinds) if kind == "category"}
        values = (*self.mean, *self.shift, *self.scale, *self.power, *self.knots)
        fit = (
            D > 0
            and all(kind in KINDS for kind in self.kinds)
            and len(self.mean) == D
            and len(self.shift) == len(self.scale) == affine
            and len(self.power) == (3 * n if self.numbers == "power" else 0)
            and all(map(math.isfinite, values))
            and min((*self.scale, *self.power[2::3]), default=1) > 0
            and self._knots_fit(n)
            and all(0 <= i < D for i in places)
            and {*self.pooled, *self.level_of} <= categories
            and len(self.level_of) == len(self.level)
            and list(self.level_of) == sorted(self.level_of)
            and all(0 <= number < 2**24 for number in self.level)
            and len({*zip(self.level_of, self.level, strict=True)}) == len(self.level)
            and all(list(some) == sorted(set(some)) for some in (self.missing, self.pooled))
        )
        if not fit:
            raise DataError("the fields of transform columns do not fit one another", "take the file from a whole run")

    def _knots_fit(self, n: int) -> bool:
        if not n:
            return not self.knots
        each = len(self.knots) // n
        rows = [self.knots[i : i + each] for i in range(0, len(self.knots), each)] if each > 1 else []
        return len(rows) == n and all(list(row) == sorted(row) for row in rows) and len(rows[-1]) == each

    @classmethod
    def fit(
        cls,
        x: np.ndarray | Gather,
        *,
        columns: Sequence[Column] = (),
        numbers: _number_scaling.Numbers = "standard",
        clip: float | Literal["auto"] = "auto",
        rare: int = 3,
        levels: int = 50,
    ) -> columns:
        """Means, scales and levels of the training part, read once, piece by piece.

        Quantiles, quartiles and exponents are those of all rows, or of evenly spaced ones where there are more
        than 8 million values.

        Args:
            x: rows ``(N, D)``: numbers, NaN where missing; yes/no as 0 and 1; categories as the number of the level.
            columns: their kinds and levels; all are numbers without them.
            numbers: see the class.
            clip: see the class.
            rare: see the class.
            levels: see the class.

        Raises:
            DataError: there is no row, or a column is of another kind.
        """
        table = tuple(columns) or tuple(Column(f"x{i + 1}") for i in range(width(x)))
        _require_kinds(table, width(x))
        seen = survey(x, [len(c.levels) if c.kind == "category" else 0 for c in table])
        mean = np.where([c.kind == "category" for c in table], 0, seen.mean)
        pooled, level_of, level = choose_levels(len(x), seen.absent, seen.levels, rare, levels)
        plain = [i for i, c in enumerate(table) if c.kind == "number"]
        shift, scale, power, knots = _fit_numbers(x, plain, numbers, seen.mean, seen.std)
        return cls(
            tuple(c.kind for c in table),
            tuple(mean.tolist()),
            shift,
            scale,
            power,
            knots,
            tuple(np.flatnonzero(seen.absent).tolist()),
            pooled,
            level_of,
            level,
            numbers=numbers,
            clip=clip,
            rare=rare,
            levels=levels,
        )

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Prepared rows ``(..., D')``, float32 (float64 for float64), all finite.

        Raises:
            DataError: the number of columns is not that of the fit.
        """
        return self._prepare.apply(x)

    def invert(self, x: torch.Tensor) -> torch.Tensor:
        """Not possible: rare levels were pooled and missing values filled in.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"columns prepared for a network cannot be turned back, got some of shape {tuple(x.shape)}",
            "take the rows of the data set",
        )

    def spec(self, spec: Spec) -> Spec:
        """The contract of what comes out: more columns, each a number or yes/no.

        Args:
            spec: of the data that went in; its columns give the names.

        Raises:
            DataError: it has another number of columns.
        """
        table = spec.columns or tuple(Column(f"x{i + 1}") for i in range(len(self.kinds)))
        known = all(0 <= number < len(table[i].levels) for i, number in zip(self.level_of, self.level, strict=True))
        if spec.shape != (len(self.kinds),) or tuple(c.kind for c in table) != self.kinds or not known:
            raise DataError(
                f"the preparation was fitted on {len(self.kinds)} columns of other kinds or levels than those given, "
                f"{spec.shape[0]} of shape {spec.shape}",
                "give data of the form that the model was trained on",
            )
        plain = [c.name for c in table if c.kind == "number"]
        after = [Column(name, bins=bins) for name, bins in zip(plain, self._prepare.bins(), strict=True)]
        names = [c.name for c, kind in zip(table, self.kinds, strict=True) if kind == "yes/no"]
        names += [f"{table[i].name} missing" for i in self.missing]
        for i in self._prepare.categories:
            kept = [number for column, number in zip(self.level_of, self.level, strict=True) if column == i]
            names += [f"{table[i].name}={table[i].levels[number]}" for number in kept]
            names += [f"{table[i].name}, rare" for _ in range(i in self.pooled)]
        after += [Column(name, "yes/no") for name in names]
        return replace(spec, shape=(len(after),), columns=tuple(after))

    @functools.cached_property
    def _prepare(self) -> Prepare:
        return Prepare(self)


def _require_kinds(table: Sequence[Column], D: int) -> None:
    if len(table) != D:
        raise DataError(f"{len(table)} columns do not fit rows of {D} values", "name every column, or none")
    other = [f"{c.name} ({c.kind})" for c in table if c.kind not in KINDS]
    if other:
        raise DataError(
            f"a column must be a number, a category or yes/no, got {', '.join(other[:5])}",
            "leave it out with drop=, or say what kind it is",
        )
    empty = [c.name for c in table if c.kind == "category" and not c.levels]
    if empty:
        raise DataError(f"a category must have levels, got none for {', '.join(empty[:5])}", "leave it out with drop=")


def _fit_numbers(
    x: np.ndarray | Gather, plain: Sequence[int], numbers: _number_scaling.Numbers, mean: np.ndarray, std: np.ndarray
) -> tuple[Values, Values, Values, Values]:
    """Shifts, scales, powers and knots, as fields."""
    if not plain:
        return (), (), (), ()
    values = sample(x, plain)
    count = _number_scaling.knot_count(len(x)) if numbers == "quantile" else _number_scaling.edge_count(len(x))
    knots = tuple(np.concatenate([_number_scaling.fit_quantiles(some, count) for some in values]).tolist())
    if numbers == "quantile":
        return (), (), (), knots
    if numbers == "none":
        return (0.0,) * len(plain), (1.0,) * len(plain), (), knots
    shift, scale = mean[plain].tolist(), std[plain].tolist()
    if numbers == "robust":
        shift, scale = zip(*map(_number_scaling.fit_robust, values), strict=True)
    power: list[float] = []
    if numbers == "power":
        for some, middle, spread in zip(values, shift, scale, strict=True):
            power += _number_scaling.fit_power((some - middle) / spread)
    return tuple(shift), tuple(scale), tuple(power), knots
