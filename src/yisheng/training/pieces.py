"""Pieces of a batch: which rows are computed at once, and the one order in which their gradients are added.

Floating-point addition depends on its order. Gradients of pieces are therefore added in the order of a binary tree,
``((0 + 1) + (2 + 3)) + (4 + 5)``: parts of the tree can be computed in several processes, to the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from yisheng.core import nested
from yisheng.core.events import Batch

Tensors = list[torch.Tensor | None]
"""Values to add up; None where a piece contributes nothing."""


@dataclass(frozen=True)
class Piece:
    """Rows of a batch that are computed in one forward and backward pass.

    Args:
        batch: the rows.
        fraction: the factor of their mean loss in the mean of the complete batch; None for an unsplit batch.
    """

    batch: Batch
    fraction: float | torch.Tensor | None


ComputePiece = Callable[[Piece], torch.Tensor]
"""Computes the loss of a piece and adds its gradients to ``grad``; returns the loss times the fraction, detached."""


def split_batch(batch: Batch, size: int | None) -> list[Piece]:
    """Split a batch into pieces of ``size`` rows; a last single row joins the previous piece.

    Batch norm cannot normalize a single row.

    >>> rows = Batch(torch.zeros(7, 2), torch.zeros(7), torch.arange(7))
    >>> [(len(piece.batch), piece.fraction) for piece in split_batch(rows, 3)]
    [(3, 0.42857142857142855), (4, 0.5714285714285714)]
    """
    if size is None or len(batch) <= size:
        return [Piece(batch, None)]
    starts = list(range(0, len(batch), size))
    if len(batch) - starts[-1] == 1:
        starts.pop()
    return [take_piece(batch, start, end) for start, end in zip(starts, [*starts[1:], len(batch)], strict=True)]


def take_piece(batch: Batch, start: int, end: int) -> Piece:
    """Return the rows from ``start`` to ``end`` of a batch, with their fraction of its mean loss."""
    rows = slice(start, end)
    weight = None if batch.weight is None else batch.weight[rows]
    fraction: float | torch.Tensor = (end - start) / len(batch)
    if weight is not None and batch.weight is not None:
        fraction = weight.sum() / sum_weights(batch.weight)
    return Piece(Batch(nested.take(batch.x, rows), batch.y[rows], batch.index[rows], weight), fraction)


def sum_weights(weight: torch.Tensor) -> torch.Tensor:
    """Return the sum of the weights; samples that all have weight 0 have a loss of 0, not 0/0."""
    return weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)


def add_tensors(a: Tensors, b: Tensors) -> Tensors:
    """Return the sums, in the memory of ``a`` where it has any; a missing value counts as zero.

    The result is the same to the bit if ``a`` and ``b`` are exchanged.

    >>> add_tensors([torch.ones(1), None, None], [torch.ones(1), torch.ones(1), None])
    [tensor([2.]), tensor([1.]), None]
    """
    return [_add(x, y) for x, y in zip(a, b, strict=True)]


def _add(x: torch.Tensor | None, y: torch.Tensor | None) -> torch.Tensor | None:
    if x is None:
        return None if y is None else y + 0  # -0 becomes 0, as in a sum with zeros
    return x.add_(0) if y is None else x.add_(y)


class TreeSum:
    """The sum of tensors that are added one after the other, in the order of a binary tree.

    It keeps one partial sum for each level of the tree.

    >>> total = TreeSum()
    >>> for value in (1e8, 1.0, -1e8, 1.0):
    ...     total.add([torch.tensor(value)])
    >>> total.total()  # (1e8 + 1) + (-1e8 + 1) in float32
    [tensor(0.)]
    """

    def __init__(self) -> None:
        self._sums: list[tuple[int, Tensors]] = []

    def add(self, tensors: Tensors) -> None:
        """Add the next tensors; their memory may be used for sums."""
        level = 0
        while self._sums and self._sums[-1][0] == level:
            tensors = add_tensors(self._sums.pop()[1], tensors)
            level += 1
        self._sums.append((level, tensors))

    def total(self) -> Tensors:
        """Return the sum of all; nothing can be added afterwards."""
        _, total = self._sums.pop()
        while self._sums:
            total = add_tensors(self._sums.pop()[1], total)
        return total


def compute_pieces(
    pieces: Sequence[Piece], parameters: Sequence[torch.nn.Parameter], compute: ComputePiece
) -> torch.Tensor:
    """Compute pieces in turn; leave the sum of their gradients in ``grad``, and return that of their losses.

    Autograd itself adds the gradients of two neighbors; the upper levels of the tree are added here.

    Args:
        pieces: one or more.
        parameters: whose ``grad`` is None.
        compute: computes one piece.
    """
    losses, gradients = TreeSum(), TreeSum()
    for number, piece in enumerate(pieces):
        losses.add([compute(piece)])
        if len(pieces) > 2 and (number % 2 or number == len(pieces) - 1):
            gradients.add(take_gradients(parameters))
    if len(pieces) > 2:
        set_gradients(parameters, gradients.total())
    (loss,) = losses.total()
    assert loss is not None
    return loss


def take_gradients(parameters: Sequence[torch.nn.Parameter]) -> Tensors:
    """Return the gradients of some parameters, and leave them without."""
    gradients = [parameter.grad for parameter in parameters]
    set_gradients(parameters, [None] * len(gradients))
    return gradients


def set_gradients(parameters: Sequence[torch.nn.Parameter], gradients: Tensors) -> None:
    """Set the gradients of some parameters."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
