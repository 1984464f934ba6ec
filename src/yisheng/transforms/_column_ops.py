"""What `columns` does to a batch, in a few tensor operations for all columns together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from yisheng.core.errors import DataError
from yisheng.transforms import _number_scaling
from yisheng.transforms._categories import level_table

if TYPE_CHECKING:
    from yisheng.transforms.columns import columns

GAP = 1e-4
"""Bins narrower than this, in scaled units, are joined: in single precision their edges would be rough."""


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


class Prepare:
    """From raw rows to prepared ones; the constants are made once per device and precision."""

    def __init__(self, fitted: columns) -> None:
        kinds = fitted.kinds
        self.fitted = fitted
        self.numbers = [i for i, kind in enumerate(kinds) if kind == "number"]
        self.numeric = self.numbers + [i for i, kind in enumerate(kinds) if kind == "yes/no"]
        self.categories, self.sizes, self.starts, self.table, self.indicators = level_table(
            fitted.missing, fitted.pooled, fitted.level_of, fitted.level
        )
        auto = 0.0 if fitted.numbers == "none" else 3.0
        self.clip = auto if fitted.clip == "auto" else fitted.clip
        self._kept: dict[tuple[torch.device, torch.dtype], Constants] = {}

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Rows ``(..., D)`` to ``(..., D')``."""
        if x.ndim < 1 or x.shape[-1] != len(self.fitted.kinds):
            raise DataError(
                f"this transform was fitted on {len(self.fitted.kinds)} columns, got inputs of shape {tuple(x.shape)}",
                "give data of the form that the model was trained on",
            )
        x = x if x.dtype is torch.float64 else x.to(torch.float32)
        c = self._constants(x)
        there = x.isfinite()
        parts = []
        if self.numeric:
            values = torch.where(there.index_select(-1, c.numeric), x.index_select(-1, c.numeric), c.mean)
            n = len(self.numbers)
            parts += [self._scale(values[..., :n], c), values[..., n:]] if n else [values]
        if self.fitted.missing:
            parts.append((~there.index_select(-1, c.missing)).to(x.dtype))
        if self.indicators:
            parts.append(self._one_hot(x.index_select(-1, c.categories), c))
        return torch.cat(parts, -1)

    def _scale(self, x: torch.Tensor, c: Constants) -> torch.Tensor:
        x = _number_scaling.to_normal(x, c.knots) if self.fitted.numbers == "quantile" else (x - c.shift).div_(c.scale)
        if self.fitted.numbers == "power":
            x = (_number_scaling.yeo_johnson(x, c.power[0]) - c.power[1]).div_(c.power[2])
        # A value near the end of the range of floats may have left it.
        furthest = torch.finfo(x.dtype).max
        if not self.clip:
            return x.clamp(-furthest, furthest)
        furthest = furthest**0.5 * min(1.0, self.clip)
        return _number_scaling.smooth_clip(x.clamp(-furthest, furthest), self.clip)

    def bins(self) -> list[tuple[float, ...]]:
        """The knots of each number after scaling, none closer than `GAP`; none for quantile, whose are the normal's."""
        n = len(self.numbers)
        if self.fitted.numbers == "quantile" or not n:
            return [()] * n
        knots = torch.tensor(self.fitted.knots, dtype=torch.float64).reshape(n, -1)
        found = []
        for edges in self._scale(knots.T, self._constants(knots)).T.tolist():
            kept = edges[:1]
            for edge in edges[1:]:
                if edge - kept[-1] > GAP:
                    kept.append(edge)
            found.append(tuple(kept))
        return found

    def _one_hot(self, codes: torch.Tensor, c: Constants) -> torch.Tensor:
        """Place 0 of a category's table is for missing values, 1 for unseen levels, the rest for the levels."""
        known = torch.where((codes >= 0) & (codes < c.sizes), codes, -1)  # NaN compares false, like the unseen
        known = torch.where(codes.isfinite(), known, -2).long() + 2
        hot = codes.new_zeros((*codes.shape[:-1], self.indicators + 1))
        return hot.scatter_(-1, c.table[c.starts + known], 1)[..., :-1]

    def _constants(self, x: torch.Tensor) -> Constants:
        key = (x.device, x.dtype)
        if key not in self._kept:
            f = self.fitted
            n = len(self.numbers)
            # Constants made in inference mode could never again take part in a backward pass.
            with torch.inference_mode(False):
                self._kept[key] = Constants(
                    numeric=torch.tensor(self.numeric, dtype=torch.int64, device=x.device),
                    mean=_values([f.mean[i] for i in self.numeric], x),
                    shift=_values(f.shift, x),
                    scale=_values(f.scale, x),
                    power=_values(f.power, x).reshape(-1, 3).T,
                    knots=_values(f.knots, x).reshape(max(n, 1), -1).contiguous(),
                    missing=torch.tensor(f.missing, dtype=torch.int64, device=x.device),
                    categories=torch.tensor(self.categories, dtype=torch.int64, device=x.device),
                    sizes=torch.tensor(self.sizes, dtype=torch.int64, device=x.device),
                    starts=torch.tensor(self.starts, dtype=torch.int64, device=x.device),
                    table=torch.tensor(self.table, dtype=torch.int64, device=x.device),
                )
        return self._kept[key]


def _values(values: list[float] | tuple[float, ...], x: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).to(x.device, x.dtype)
