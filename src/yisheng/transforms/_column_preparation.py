"""The tensor operations of the `columns` transform, a few for all columns together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.transforms import _number_scaling
from yisheng.transforms._categories import build_indicator_table

if TYPE_CHECKING:
    from yisheng.transforms.columns import columns

MIN_BIN_WIDTH = 1e-4
"""Width, in scaled units, below which bins are joined: single precision would round their edges."""
DEFAULT_CLIP = 3.0
"""Bound of ``clip=auto``: RealMLP's."""


@dataclass(frozen=True)
class Constants:
    """The fitted values as tensors: positions int64, values in the precision of the input."""

    numeric: torch.Tensor
    mean: torch.Tensor
    shift: torch.Tensor
    scale: torch.Tensor
    power: torch.Tensor
    knots: torch.Tensor
    missing: torch.Tensor
    categories: torch.Tensor
    sizes: torch.Tensor
    starts: torch.Tensor
    table: torch.Tensor


class ColumnPreparation:
    """The map from raw to prepared rows; its constants are created once per device and precision."""

    def __init__(self, fitted: columns) -> None:
        kinds = fitted.kinds
        self.fitted = fitted
        self.numbers = [i for i, kind in enumerate(kinds) if kind == "number"]
        self.numeric = self.numbers + [i for i, kind in enumerate(kinds) if kind == "yes/no" and i not in fitted.unused]
        self.categories, self.sizes, self.starts, self.table, self.indicator_count = build_indicator_table(
            fitted.missing, fitted.infrequent, fitted.category_columns, fitted.category_codes
        )
        auto_clip = 0.0 if fitted.numbers == "none" else DEFAULT_CLIP
        self.clip = auto_clip if fitted.clip == "auto" else fitted.clip
        self._cache: dict[tuple[torch.device, torch.dtype], Constants] = {}

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Return prepared rows ``(..., D')`` of raw rows ``(..., D)``.

        Raises:
            DataError: the number of columns is wrong.
        """
        if x.ndim < 1 or x.shape[-1] != len(self.fitted.kinds):
            raise DataError(
                Message(
                    "this transform was fitted on {count} columns, got inputs of shape {shape}",
                    count=len(self.fitted.kinds),
                    shape=tuple(x.shape),
                ),
                Message("give data of the same form as in training"),
            )
        x = x if x.dtype is torch.float64 else x.to(torch.float32)
        c = self._constants(x)
        outputs = []
        if self.numeric:
            values = x.index_select(-1, c.numeric)
            values = torch.where(_is_finite(values), values, c.mean)
            n = len(self.numbers)
            outputs += [self._scale(values[..., :n], c), values[..., n:]] if n else [values]
        if self.fitted.missing:
            outputs.append((~_is_finite(x.index_select(-1, c.missing))).to(x.dtype))
        if self.indicator_count:
            outputs.append(self._one_hot(x.index_select(-1, c.categories), c))
        return torch.cat(outputs, -1)

    def _scale(self, x: torch.Tensor, c: Constants) -> torch.Tensor:
        if self.fitted.numbers == "quantile":
            x = _number_scaling.map_to_normal(x, c.knots)
        else:
            x = (x - c.shift).div_(c.scale)
        if self.fitted.numbers == "power":
            x = (_number_scaling.yeo_johnson(x, c.power[0]) - c.power[1]).div_(c.power[2])
        # The scaled value of a number near the end of the floating-point range may be infinite.
        largest = torch.finfo(x.dtype).max
        if not self.clip:
            return x.clamp(-largest, largest)
        largest = largest**0.5 * min(1.0, self.clip)  # smooth_clip squares it
        return _number_scaling.smooth_clip(x.clamp(-largest, largest), self.clip)

    def compute_bins(self) -> list[tuple[float, ...]]:
        """Return the scaled knots of each number, at least `MIN_BIN_WIDTH` apart.

        They are empty for quantile scaling, whose bins are those of the normal distribution.
        """
        n = len(self.numbers)
        if self.fitted.numbers == "quantile" or not n:
            return [()] * n
        knots = torch.tensor(self.fitted.knots, dtype=torch.float64).reshape(n, -1)
        bins = []
        for scaled in self._scale(knots.T, self._constants(knots)).T.tolist():
            edges = scaled[:1]
            for edge in scaled[1:]:
                if edge - edges[-1] > MIN_BIN_WIDTH:
                    edges.append(edge)
            bins.append(tuple(edges))
        return bins

    def _one_hot(self, codes: torch.Tensor, c: Constants) -> torch.Tensor:
        # In a column's part of the table, entry 0 is for missing values, 1 for unseen categories, then come the codes.
        entries = torch.where((codes >= 0) & (codes < c.sizes), codes, -1)  # NaN compares false, like an unseen one
        entries = torch.where(_is_finite(codes), entries, -2).long() + 2
        one_hot = codes.new_zeros((*codes.shape[:-1], self.indicator_count + 1))
        return one_hot.scatter_(-1, c.table[c.starts + entries], 1)[..., :-1]

    def _constants(self, x: torch.Tensor) -> Constants:
        key = (x.device, x.dtype)
        if key not in self._cache:
            fitted = self.fitted
            n = len(self.numbers)
            # A backward pass cannot use tensors that were created in inference mode.
            with torch.inference_mode(False):
                self._cache[key] = Constants(
                    numeric=_positions(self.numeric, x),
                    mean=_values([fitted.mean[i] for i in self.numeric], x),
                    shift=_values(fitted.shift, x),
                    scale=_values(fitted.scale, x),
                    power=_values(fitted.power, x).reshape(-1, 3).T,
                    knots=_values(fitted.knots, x).reshape(max(n, 1), -1).contiguous(),
                    missing=_positions(fitted.missing, x),
                    categories=_positions(self.categories, x),
                    sizes=_positions(self.sizes, x),
                    starts=_positions(self.starts, x),
                    table=_positions(self.table, x),
                )
        return self._cache[key]


def _is_finite(x: torch.Tensor) -> torch.Tensor:
    """Return `torch.isfinite`, which takes several times as long: NaN compares false."""
    return x.abs() <= torch.finfo(x.dtype).max


def _positions(positions: list[int] | tuple[int, ...], x: torch.Tensor) -> torch.Tensor:
    return torch.tensor(positions, dtype=torch.int64, device=x.device)


def _values(values: list[float] | tuple[float, ...], x: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).to(x.device, x.dtype)
