"""Batches of many models side by side: the rows and the chances of each training alone, gathered once for all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from yisheng.core import machine
from yisheng.core.seeds import derive
from yisheng.core.types import Batch
from yisheng.data.batches import Batches
from yisheng.search.executors.stacked.layers import Mask, columns
from yisheng.transforms.none import none

SHARE = 4
"""Scaled inputs are kept where they take less than this part of the free memory."""


@dataclass(frozen=True)
class Side:
    """The batches of F streams, side by side.

    Args:
        x: inputs ``(F, B, ...)``.
        y: targets ``(F, B, ...)``.
        weight: of the samples ``(F, B)``, or None where all count the same.
        counts: samples of each stream: rows behind them only fill up, and weigh nothing.
    """

    x: torch.Tensor
    y: torch.Tensor
    weight: torch.Tensor | None
    counts: tuple[int, ...]


class Streams:
    """The training batches of F streams.

    Args:
        parts: the batches of each, as a training alone has them; all have as many.
        width: values of an input, where some have fewer and are filled up with zeros; 0: they are all alike.
    """

    def __init__(self, parts: Sequence[Batches], width: int = 0) -> None:
        self._parts, self._width = tuple(parts), width
        self._keys = tuple((part.seed, len(part.rows)) for part in parts)
        self._chances = {
            key: torch.Generator(part.device).manual_seed(derive(part.seed, "train"))
            for key, part in zip(self._keys, parts, strict=True)
        }
        self._block = self._keep() if self._is_kept() else None

    def __len__(self) -> int:
        """Batches per epoch."""
        return len(self._parts[0])

    def select(self, streams: Sequence[int]) -> None:
        """Go on with some of the streams."""
        self._parts, self._keys = (tuple(some[f] for f in streams) for some in (self._parts, self._keys))  # type: ignore[assignment]  # each of its own kind
        if self._block is not None:
            x, y, weight, starts = self._block
            self._block = (x, y, weight, tuple(starts[f] for f in streams))

    def epoch(self, epoch: int) -> Iterator[Side]:
        """The shuffled batches of an epoch."""
        if self._block is None:
            each = (part.epoch(epoch) for part in self._parts)
            yield from (self._side(batches) for batches in zip(*each, strict=True))
            return
        x, y, weight, starts = self._block
        orders = {key: order.epoch(epoch) for key, order in self._orders.items() if key in self._keys}
        for _ in range(len(self)):
            rows = {key: next(order).index for key, order in orders.items()}
            counts = tuple(len(rows[key]) for key in self._keys)
            places = [_filled(rows[key], max(counts)) + start for key, start in zip(self._keys, starts, strict=True)]
            at = torch.cat(places).to(x.device)
            shape = (len(counts), max(counts))
            given = None if weight is None else weight.index_select(0, at).view(shape)
            yield Side(
                x.index_select(0, at).unflatten(0, shape),
                y.index_select(0, at).unflatten(0, shape),
                _weight(given, counts, x),
                counts,
            )

    def mask(self, counts: Sequence[int], models: int) -> Mask:
        """The dropout masks of a step, drawn as each training alone draws them.

        Args:
            counts: samples of each stream.
            models: of each stream.
        """
        of = dict(zip(self._keys, counts, strict=True))
        kinds = tuple(of)

        def mask(width: int, p: float, dtype: torch.dtype) -> torch.Tensor:
            drawn = [
                _filled(
                    torch.empty(of[key], width, dtype=dtype, device=self._parts[0].device)
                    .bernoulli_(1 - p, generator=self._chances[key])
                    .div_(1 - p),
                    max(counts),
                )
                for key in kinds
            ]
            if len(kinds) == 1:
                return drawn[0][None]
            return torch.stack([drawn[kinds.index(key)] for key in self._keys]).repeat_interleave(models, 0)

        return mask

    def _is_kept(self) -> bool:
        first = self._parts[0]
        values = sum(len(part.rows) for part in {id(p.scale): p for p in self._parts}.values())
        known = machine.memory()
        size = values * math.prod(first.x.shape[1:]) * (8 if first.double else 4)
        return not first.augment and (known is None or size < known[1] / SHARE)

    def _keep(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, tuple[int, ...]]:
        """All rows, scaled, one part after the other, and where each stream's begin."""
        found: dict[tuple[int, bytes], int] = {}
        pieces: list[Batch] = []
        starts, n = [], 0
        for part in self._parts:
            key = (id(part.scale), part.rows.cpu().numpy().tobytes())
            if key not in found:
                found[key] = n
                pieces += list(part)
                n += len(part.rows)
            starts.append(found[key])
        self._orders = {
            (part.seed, len(part.rows)): Batches(
                torch.empty(len(part.rows), 0),
                torch.empty(len(part.rows), 0),
                torch.arange(len(part.rows)),
                part.size,
                none(),
                torch.device("cpu"),
                part.seed,
            )
            for part in self._parts
        }
        x = torch.cat([columns(piece.x, self._width) if self._width else piece.x for piece in pieces])
        weights = [piece.weight for piece in pieces if piece.weight is not None]
        return x, torch.cat([piece.y for piece in pieces]), torch.cat(weights) if weights else None, tuple(starts)

    def _side(self, batches: Sequence[Batch]) -> Side:
        counts = tuple(map(len, batches))
        most, x = max(counts), [columns(b.x, self._width) if self._width else b.x for b in batches]
        weights = [_filled(b.weight, most) for b in batches if b.weight is not None]
        return Side(
            torch.stack([_filled(value, most) for value in x]),
            torch.stack([_filled(batch.y, most) for batch in batches]),
            _weight(torch.stack(weights) if weights else None, counts, x[0]),
            counts,
        )


def _filled(values: torch.Tensor, most: int) -> torch.Tensor:
    """The first row once more, as often as rows are missing."""
    missing = most - len(values)
    return torch.cat([values, values[:1].expand(missing, *values.shape[1:])]) if missing else values


def _weight(given: torch.Tensor | None, counts: Sequence[int], like: torch.Tensor) -> torch.Tensor | None:
    """Sample weights of which those that only fill up are 0."""
    if len(set(counts)) == 1:
        return given
    most = max(counts)
    real = torch.arange(most, device=like.device) < torch.tensor(counts, device=like.device)[:, None]
    return real.to(like.dtype) if given is None else given * real
