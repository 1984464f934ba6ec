"""Updates over shards: parts of a batch that are computed independently, in one process or in several.

Each shard starts from the same weights and buffers, draws its random numbers from (seed, step, shard), and adds its
loss, its gradients and the changes of its running statistics to one binary tree. Nothing depends on who computes a
shard, so any number of processes that divides the number of shards gives the same weights to the bit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn

from yisheng.core.errors import NonFiniteError, UsageError
from yisheng.core.events import Batch
from yisheng.core.generator_states import preserve_generators, seed_generators
from yisheng.core.messages import Message
from yisheng.core.seeds import derive
from yisheng.training.contribution import Contribution
from yisheng.training.distributed import Peers
from yisheng.training.pieces import (
    Piece,
    Tensors,
    TreeSum,
    compute_pieces,
    set_gradients,
    split_batch,
    sum_weights,
    take_gradients,
    take_piece,
)
from yisheng.training.state import State

MIN_ROWS = 2
"""Rows of a shard, at least: batch norm cannot normalize a single one."""

ComputeShardPiece = Callable[..., torch.Tensor]
"""As `yisheng.training.pieces.ComputePiece`, with ``is_observed=``: whether the doctor sees the loss."""


@dataclass(frozen=True)
class Sharding:
    """How each batch is divided.

    Args:
        count: number of shards, a power of two.
        micro_batch: rows of a piece, of which a shard has several if gradients are accumulated; None for one piece.
        seed: of the random numbers that the network draws.
        peers: the processes among which the shards are divided, or None if this one computes all of them.
        exact: add in the order of the tree; otherwise see `yisheng.training.overlapped_shards`.
    """

    count: int
    micro_batch: int | None
    seed: int
    peers: Peers | None = None
    exact: bool = True

    @property
    def shards_per_process(self) -> int:
        """Return the number of shards that each process computes."""
        return self.count // (1 if self.peers is None else self.peers.size)

    @property
    def own_shards(self) -> range:
        """Return the shards that this process computes: an aligned part of the tree."""
        first = 0 if self.peers is None else self.peers.rank * self.shards_per_process
        return range(first, first + self.shards_per_process)


def bound_shards(rows: int, count: int) -> list[tuple[int, int]]:
    """Return the first row and the end of each shard of a batch.

    Their sizes differ by one row at most. A batch of few rows has fewer shards, and the last ones are empty: no row is
    repeated or left out.

    >>> bound_shards(128, 2), bound_shards(5, 4)
    ([(0, 64), (64, 128)], [(0, 2), (2, 5), (5, 5), (5, 5)])
    """
    used = max(1, min(count, rows // MIN_ROWS))
    return [(rows * min(n, used) // used, rows * min(n + 1, used) // used) for n in range(count)]


def split_shard(batch: Batch, bounds: tuple[int, int], micro_batch: int | None) -> list[Piece]:
    """Return the pieces of one shard, none if it is empty; their fractions are those of the complete batch."""
    start, end = bounds
    if start == end:
        return []
    shard = take_piece(batch, start, end)
    if micro_batch is None or end - start <= micro_batch:
        return [shard]
    total = len(batch) if batch.weight is None else sum_weights(batch.weight)
    parts = [piece.batch for piece in split_batch(shard.batch, micro_batch)]
    return [Piece(part, (len(part) if part.weight is None else part.weight.sum()) / total) for part in parts]


def compute_shards(state: State, batch: Batch, sharding: Sharding, compute: ComputeShardPiece) -> torch.Tensor:
    """Compute the shards of a batch; leave the gradients of its mean loss in ``grad``, and return that loss.

    Floating-point buffers (running statistics) change by the mean of the shards' changes, weighted by their rows, and
    other buffers as the first shard changes them. The random generators are as before. The doctor sees the losses of
    the first shard, whatever the number of processes.

    Args:
        state: the training.
        batch: the complete batch.
        sharding: how it is divided.
        compute: computes a piece and adds to ``grad``.

    Raises:
        NonFiniteError: a shard's loss is not finite; the same error in all processes. Buffers are unchanged.
        ProcessError: another process ended. Weights and buffers are unchanged.
    """
    parameters: list[nn.Parameter] = [p for group in state.optimizer.param_groups for p in group["params"]]
    buffers = ShardBuffers(state.model)
    bounds = bound_shards(len(batch), sharding.count)
    loss_dtype = torch.float64 if any(p.dtype == torch.float64 for p in parameters) else torch.float32
    tree, failure = TreeSum(), ShardFailure()
    with preserve_generators(batch.index.device):
        for shard in sharding.own_shards:
            rows = bounds[shard][1] - bounds[shard][0]
            tensors: Tensors = [None] * (1 + len(parameters) + buffers.count)
            if rows and failure.error is None:
                seed_shard(sharding, state.step, shard, batch.index.device)
                pieces = split_shard(batch, bounds[shard], sharding.micro_batch)
                try:
                    loss = compute_pieces(pieces, parameters, functools.partial(compute, is_observed=shard == 0))
                    changes = buffers.take_changes(rows / len(batch))
                    tensors = [loss.to(loss_dtype, copy=True), *take_dense_gradients(parameters), *changes]
                except NonFiniteError as error:
                    failure = ShardFailure(shard, error)
                finally:
                    buffers.restore()
            tree.add(tensors)
    contribution = Contribution(tree.total(), buffers.first_values, failure.shard)
    if sharding.peers is not None:
        loss_like = torch.zeros((), dtype=loss_dtype, device=batch.index.device)
        contribution = sharding.peers.add(contribution, [loss_like, *parameters, *buffers.floating], buffers.discrete)
    if contribution.failed is not None:
        set_gradients(parameters, [None] * len(parameters))
        raise share_failure(sharding, contribution.failed, failure.error)
    mean, gradients = contribution.sums[0], contribution.sums[1 : 1 + len(parameters)]
    assert mean is not None
    set_gradients(parameters, gradients)
    buffers.change(contribution.sums[1 + len(parameters) :], contribution.firsts)
    return mean


@dataclass(frozen=True)
class ShardFailure:
    """The first own shard whose loss is not finite, with its error; both None if there is none."""

    shard: int | None = None
    error: NonFiniteError | None = None


def share_failure(sharding: Sharding, shard: int, error: NonFiniteError | None) -> NonFiniteError:
    """Return the error of the first shard that failed, in all processes."""
    if sharding.peers is None:
        assert error is not None
        return error
    source = shard // sharding.shards_per_process
    lines = None if error is None else [error.problem, error.remedy]
    problem, remedy = sharding.peers.broadcast_json(lines, source=source)
    return NonFiniteError(problem, remedy)


def take_dense_gradients(parameters: list[nn.Parameter]) -> Tensors:
    """Return the gradients of some parameters, and leave them without.

    Raises:
        UsageError: a gradient is sparse.
    """
    gradients = take_gradients(parameters)
    require_dense(gradients)
    return gradients


def require_dense(gradients: Iterable[torch.Tensor | None]) -> None:
    """Refuse sparse gradients.

    Raises:
        UsageError: there is one.
    """
    if any(gradient is not None and gradient.layout is not torch.strided for gradient in gradients):
        raise UsageError(
            Message("a gradient is sparse, and sparse gradients cannot be added over shards"),
            Message("use shards=1, or nn.Embedding(..., sparse=False)"),
        )


def seed_shard(sharding: Sharding, step: int, shard: int, device: torch.device) -> None:
    """Seed the random generators for the network in one shard of an update."""
    seed_generators(derive(sharding.seed, "shard", step, shard), device)


class ShardBuffers:
    """The buffers of a network during one update: each shard starts from the same ones.

    Args:
        model: the network; it may replace its buffers by other tensors.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._start = {name: buffer.clone() for name, buffer in model.named_buffers()}
        self.floating = [buffer for buffer in self._start.values() if buffer.is_floating_point()]
        self.discrete = [buffer for buffer in self._start.values() if not buffer.is_floating_point()]
        self.count = len(self.floating)
        self.first_values: list[torch.Tensor] | None = None

    def take_changes(self, fraction: float) -> Tensors:
        """Return the changes of the floating-point buffers since the start, times ``fraction``; None for none.

        On a GPU they are not compared, which would wait for it, and there is a change of 0 in place of None.
        """
        buffers = dict(self._model.named_buffers())
        if self.first_values is None:
            self.first_values = [buffers[name].clone() for name, b in self._start.items() if not b.is_floating_point()]
        pairs = [(buffers[name], start) for name, start in self._start.items() if start.is_floating_point()]
        return [
            None
            if start.device.type == "cpu" and _have_equal_bits(buffer, start)
            else _subtract(buffer, start) * fraction
            for buffer, start in pairs
        ]

    def restore(self) -> None:
        """Restore the buffers of the start."""
        for name, buffer in self._model.named_buffers():
            buffer.copy_(self._start[name])

    def change(self, changes: Tensors, first_values: list[torch.Tensor] | None) -> None:
        """Change the buffers by the sum of all changes; take the others from the first shard."""
        buffers = dict(self._model.named_buffers())
        floating = [buffers[name] for name, start in self._start.items() if start.is_floating_point()]
        discrete = [buffers[name] for name, start in self._start.items() if not start.is_floating_point()]
        for buffer, change in zip(floating, changes, strict=True):
            if change is not None and buffer.device.type == "cpu":
                buffer.add_(change)
            elif change is not None:
                add_nonzero(buffer, change)
        for buffer, value in zip(discrete, first_values or [], strict=False):
            buffer.copy_(value)


def add_nonzero(buffer: torch.Tensor, change: torch.Tensor) -> None:
    """Add a change to a buffer in place; values that it does not change keep their bits, the sign of zero included.

    >>> buffer = torch.tensor([-0.0, 1.0])
    >>> add_nonzero(buffer, torch.tensor([0.0, 2.0]))
    >>> buffer
    tensor([-0., 3.])
    """
    buffer.copy_(torch.where(change == 0, buffer, buffer + change))


def _have_equal_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Return whether two tensors of one shape are equal, NaN and the sign of zero included."""
    return torch.equal(*(tensor.reshape(-1).view(torch.uint8) for tensor in (a, b)))


def _subtract(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return ``a - b``, which is 0 where they are equal, and both infinite."""
    return torch.where(a == b, torch.zeros_like(a), a - b)
