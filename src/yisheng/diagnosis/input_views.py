"""Changes that inputs of evaluation may have suffered, and the views of rows in which they show."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F  # its common name

from yisheng.core.messages import Message

MAX_CHANNELS, MAX_PERMUTED_CHANNELS, MAX_COLUMNS = 16, 4, 64
"""Channels of images and series that are compared, those of which each order is tried, and columns of a table."""
GRID, SEGMENTS = 4, 16
"""Parts per side of an image and parts of a series whose means are compared."""
MIN_SIDE = 4
"""Height and width of an image."""
QUANTILES = (0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95)
MIN_QUANTILE_GAIN = 0.35
"""Mean distance of the quantiles of two columns, in standard deviations, by which another column must be nearer than
the one at the same place: those of two samples of 128 rows are 0.1 apart."""
MIN_SCALE, MIN_SHIFT = 1.5, 0.5
"""Standard deviation of one part over that of the other, or difference of the means in standard deviations: brightness
and contrast that are drawn again change them by less on average."""

Change = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Candidate:
    """A change that would turn inputs of evaluation into such as training has.

    Args:
        description: what the inputs of evaluation are, compared with those of training.
        change: rows ``(N, ...)`` -> rows.
    """

    description: str
    change: Change


def view_channels(rows: torch.Tensor) -> torch.Tensor:
    """Return mean and standard deviation of each channel of images or series ``(N, C, ...)`` -> ``(N, 2 C)``."""
    values = rows.flatten(2)
    return torch.cat([values.mean(2), values.std(2, correction=0)], 1)


def view_layout(rows: torch.Tensor) -> torch.Tensor:
    """Return the means of the parts of images ``(N, C, H, W)`` or series ``(N, C, T)``, all channels together."""
    together = rows.mean(1, keepdim=True)
    if rows.ndim == 4:
        return F.adaptive_avg_pool2d(together, GRID).flatten(1)
    return F.adaptive_avg_pool1d(together, min(SEGMENTS, rows.shape[2])).flatten(1)


def to_channels(rows: torch.Tensor) -> torch.Tensor | None:
    """Return images as ``(N, C, H, W)`` and series as ``(N, C, T)``, or None if rows are neither."""
    if rows.ndim == 3:
        if min(rows.shape[1:]) >= 2 * MIN_SIDE and rows.shape[1] == rows.shape[2]:
            return rows[:, None]
        return rows.transpose(1, 2) if rows.shape[2] < rows.shape[1] else rows
    return rows if rows.ndim == 4 and min(rows.shape[2:]) >= MIN_SIDE else None


def list_channel_orders(rows: torch.Tensor, evaluated: torch.Tensor) -> Iterator[Candidate]:
    """Yield other orders of the channels of images or series ``(N, C, ...)``, or of the columns of a table ``(N, D)``.

    Args:
        rows: of training.
        evaluated: of evaluation.
    """
    count = rows.shape[1]
    if rows.ndim > 2 and 2 <= count <= MAX_PERMUTED_CHANNELS:
        orders: Sequence[Sequence[int]] = list(itertools.permutations(range(count)))[1:]
    elif 2 <= count <= (MAX_COLUMNS if rows.ndim == 2 else MAX_CHANNELS):
        views = (rows, evaluated) if rows.ndim == 2 else (rows.flatten(2).mean(2), evaluated.flatten(2).mean(2))
        orders = [_assign_columns(*views)]
    else:
        return
    for order in orders:
        moved = [number for number, source in enumerate(order) if number != source]
        if moved:
            yield Candidate(_describe_order(order, moved, is_table=rows.ndim == 2), _Order(tuple(order)))


@dataclass(frozen=True)
class _Order:
    order: tuple[int, ...]

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        return rows[:, list(self.order)]


def _describe_order(order: Sequence[int], moved: Sequence[int], *, is_table: bool) -> Any:
    numbers, sources = ", ".join(map(str, moved)), ", ".join(str(order[number]) for number in moved)
    if is_table:
        return Message("columns {numbers} are at the places {sources}", numbers=numbers, sources=sources)
    return Message("channels {numbers} are at the places {sources}", numbers=numbers, sources=sources)


def _assign_columns(a: torch.Tensor, b: torch.Tensor) -> list[int]:
    """Return the column of ``b`` whose quantiles are nearest to those of each column of ``a``, preferably its own."""
    from scipy.optimize import linear_sum_assignment  # a training imports scipy only where it needs it

    levels = torch.tensor(QUANTILES, dtype=a.dtype)
    scale = a.std(0).clamp(min=1e-12)
    quantiles, evaluated_quantiles = a.quantile(levels, 0), b.quantile(levels, 0)
    costs = (quantiles[:, :, None] - evaluated_quantiles[:, None, :]).abs().mean(0) / scale[:, None]
    costs -= MIN_QUANTILE_GAIN * torch.eye(len(costs), dtype=costs.dtype)
    return [int(number) for number in linear_sum_assignment(costs.numpy())[1]]


def list_layouts(rows: torch.Tensor, evaluated: torch.Tensor) -> Iterator[Candidate]:
    """Yield mirrored, rotated, reversed, reshaped, inverted and otherwise scaled rows.

    Args:
        rows: of training, ``(N, C, H, W)`` or ``(N, C, T)``.
        evaluated: of evaluation, likewise.
    """
    yield from _list_moves(evaluated)
    mean, std = float(rows.mean()), float(rows.std())
    other_mean, other_std = float(evaluated.mean()), float(evaluated.std())
    if not (std > 0 and other_std > 0):
        return
    ratio = std / other_std
    yield Candidate(Message("values are inverted (dark for bright)"), _Scale(-ratio, mean + ratio * other_mean))
    is_scaled = not 1 / MIN_SCALE < ratio < MIN_SCALE
    if is_scaled or abs(mean - other_mean) > MIN_SHIFT * min(std, other_std):
        yield Candidate(
            Message(
                "values have mean {other_mean} and standard deviation {other_std} instead of {mean} and {std}",
                other_mean=f"{other_mean:.3g}",
                other_std=f"{other_std:.3g}",
                mean=f"{mean:.3g}",
                std=f"{std:.3g}",
            ),
            _Scale(ratio, mean - ratio * other_mean),
        )


@dataclass(frozen=True)
class _Scale:
    factor: float
    offset: float

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        return self.factor * rows + self.offset


def _list_moves(rows: torch.Tensor) -> Iterator[Candidate]:
    if rows.ndim == 3:
        yield Candidate(Message("series are reversed in time"), lambda x: x.flip(-1))
        return
    yield Candidate(Message("images are mirrored left to right"), lambda x: x.flip(-1))
    yield Candidate(Message("images are mirrored top to bottom"), lambda x: x.flip(-2))
    yield Candidate(Message("images are rotated by 180 degrees"), lambda x: x.flip(-1, -2))
    if rows.shape[-1] == rows.shape[-2]:
        yield Candidate(Message("height and width are swapped"), lambda x: x.transpose(-1, -2))
        yield Candidate(Message("images are rotated by 90 degrees"), lambda x: x.rot90(1, (-2, -1)))
        yield Candidate(Message("images are rotated by 90 degrees"), lambda x: x.rot90(3, (-2, -1)))
    if rows.shape[1] > 1:
        yield Candidate(
            Message("images are reshaped from (H, W, C) to (C, H, W) instead of permuted"),
            lambda x: x.reshape(len(x), *x.shape[2:], x.shape[1]).permute(0, 3, 1, 2),
        )
