"""Updates over shards of the batch by processes that divide the weights: the same ones up to rounding.

Every forward and backward pass gathers weights from all processes, so all of them make the same number of passes in
every update: one without rows left repeats rows of the batch with a loss of zero, and one whose loss is not finite goes
on to the end of the update, where all learn of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from yisheng.core.errors import NonFiniteError
from yisheng.core.events import Batch
from yisheng.core.generator_states import preserve_generators
from yisheng.training.distributed import Peers
from yisheng.training.nonfinite import explain_nonfinite_gradient, explain_nonfinite_loss
from yisheng.training.pieces import Piece, Tensors, add_tensors, take_piece
from yisheng.training.setup import Assembly
from yisheng.training.shards import MIN_ROWS, ShardBuffers, Sharding, bound_shards, seed_shard, split_shard
from yisheng.training.state import State
from yisheng.training.step_setup import build_step, make_sharding
from yisheng.training.weight_shards import WeightShards, explain_lost_processes

ComputeLoss = Callable[[Piece], torch.Tensor]
"""Computes the loss of a piece times its fraction."""


NORM_EPSILON = 1e-6
"""Added to the norm of all gradients before clipping, as in `torch.nn.utils.clip_grad_norm_`."""


@dataclass(frozen=True)
class _Failure:
    """A loss that is not finite: its shard, its piece in it, and its value."""

    shard: int
    piece: int
    value: float


@dataclass(frozen=True)
class DividedUpdate:
    """The parts of an update that need all processes, see `yisheng.training.update.make_update`.

    Args:
        sharding: how a batch is divided among the processes.
        weights: the parts of the weights.
    """

    sharding: Sharding
    weights: WeightShards

    def compute(self, state: State, batch: Batch, compute_loss: ComputeLoss) -> torch.Tensor:
        """Compute the shards of a batch; leave a part of the gradients in ``grad`` of the optimizer's parameters.

        Args:
            state: the training.
            batch: the complete batch, the same in all processes.
            compute_loss: computes the loss of a piece.

        Returns:
            The mean loss of the batch, the same in all processes.

        Raises:
            NonFiniteError: a shard's loss is not finite; the same error in all processes. Buffers are unchanged.
            ProcessError: another process ended.
            UsageError: the network reads the weights of a part that is not computing.
        """
        sharding, peers, buffers = self.sharding, self._peers, ShardBuffers(state.model)
        bounds = bound_shards(len(batch), sharding.count)
        passes = [
            sum(len(split_shard(batch, bounds[shard], sharding.micro_batch)) for shard in self._shards_of(rank))
            for rank in range(peers.size)
        ]
        loss = torch.zeros((), dtype=torch.float64)
        changes: Tensors = [None] * buffers.count
        failure: _Failure | None = None
        with preserve_generators(batch.index.device), explain_lost_processes(peers):
            for shard in self._shards_of(peers.rank):
                seed_shard(sharding, state.step, shard, batch.index.device)
                for number, piece in enumerate(split_shard(batch, bounds[shard], sharding.micro_batch)):
                    value = _compute_pass(compute_loss(piece))
                    loss += value
                    if failure is None and not math.isfinite(value):
                        failure = _Failure(shard, number, value)
                rows = bounds[shard][1] - bounds[shard][0]
                if rows:
                    changes = add_tensors(changes, buffers.take_changes(rows / len(batch)))
                    buffers.restore()
            for _ in range(max(passes) - passes[peers.rank]):
                _compute_pass(compute_loss(take_piece(batch, 0, min(MIN_ROWS, len(batch)))) * 0)
                buffers.restore()
        self.weights.take_gradients()
        totals = _Totals(peers, loss, failure, changes, buffers)
        if totals.failed is not None:
            state.optimizer.zero_grad()
            raise self._explain_failure(state, batch, totals.failed, failure)
        buffers.change(totals.changes, totals.firsts)
        is_double = any(p.dtype == torch.float64 for p in self.weights.local.values())
        return totals.loss.to(batch.index.device, torch.float64 if is_double else torch.float32)

    def limit(self, state: State, batch: Batch, *, clip_norm: float | None, clip_value: float | None) -> None:
        """Clip the gradients of all processes together.

        Args:
            state: the training.
            batch: of the gradients.
            clip_norm: see `yisheng.training.update.make_update`.
            clip_value: likewise.

        Raises:
            NonFiniteError: a gradient is not finite, in any process.
            ProcessError: another process ended.
        """
        parts = {name: p.grad for name, p in self.weights.local.items() if p.grad is not None}
        numbers = torch.zeros(1 + len(parts), dtype=torch.float64)
        for place, part in enumerate(parts.values(), 1):
            numbers[place] = not math.isfinite(part.sum().item())
            if clip_value is not None:
                part.clamp_(-clip_value, clip_value)
            if clip_norm is not None:
                numbers[0] += torch.linalg.vector_norm(part, dtype=torch.float64).square().item()
        self._peers.add_up(numbers)
        nonfinite = [name for name, flag in zip(parts, numbers[1:].tolist(), strict=True) if flag]
        if nonfinite:
            raise explain_nonfinite_gradient(state, batch, nonfinite)
        if clip_norm is not None:
            factor = min(1.0, clip_norm / (math.sqrt(numbers[0].item()) + NORM_EPSILON))
            for part in parts.values():
                part.mul_(factor)

    @property
    def _peers(self) -> Peers:
        assert self.sharding.peers is not None
        return self.sharding.peers

    def _shards_of(self, rank: int) -> range:
        first = rank * self.sharding.shards_per_process
        return range(first, first + self.sharding.shards_per_process)

    def _explain_failure(self, state: State, batch: Batch, shard: int, failure: _Failure | None) -> NonFiniteError:
        """Return the error of the first shard that failed, the same in all processes.

        All compute that piece again, together, to find the layer.
        """
        sharding, peers, buffers = self.sharding, self._peers, ShardBuffers(state.model)
        values = None if failure is None else [failure.piece, str(failure.value)]
        number, value = peers.broadcast_json(values, source=shard // sharding.shards_per_process)
        bounds = bound_shards(len(batch), sharding.count)[shard]
        with preserve_generators(batch.index.device), explain_lost_processes(peers):
            seed_shard(sharding, state.step, shard, batch.index.device)
            piece = split_shard(batch, bounds, sharding.micro_batch)[number]
            error = explain_nonfinite_loss(state, piece.batch, float(value))
            buffers.restore()
        problem, remedy = peers.broadcast_json([error.problem, error.remedy] if peers.is_first else None)
        return NonFiniteError(problem, remedy)


def divide_weights(assembly: Assembly, peers: Peers) -> tuple[Assembly, WeightShards]:
    """Divide the weights of a training among its processes; all of them must call it.

    Args:
        assembly: the training in its present state, the same in all processes; its state is changed in place.
        peers: the processes.

    Returns:
        The training with updates of this process's part of the weights, and that part.
    """
    config, device = assembly.config, assembly.train.device
    weights = WeightShards(assembly.state, peers, device)
    divided = DividedUpdate(make_sharding(config, peers), weights)
    return replace(assembly, step=build_step(config, assembly.state.model, device, peers, divided)), weights


def _compute_pass(loss: torch.Tensor) -> float:
    """Make the backward pass of a loss, also of one that is not finite; return its value."""
    loss.backward()
    return loss.item()


class _Totals:
    """What all processes have of an update, but for the gradients; the arguments are those of this process.

    Args:
        peers: the processes.
        loss: the sum of the losses.
        failure: the first loss that is not finite, or None.
        changes: of the floating-point buffers.
        buffers: of the network; those of other types count in the first process, which has the first shard.
    """

    def __init__(
        self, peers: Peers, loss: torch.Tensor, failure: _Failure | None, changes: Tensors, buffers: ShardBuffers
    ) -> None:
        slots = torch.zeros(peers.size, 2, dtype=torch.float64)
        slots[peers.rank] = torch.tensor([0 if failure is None else failure.shard + 1, peers.signal])
        flags = torch.tensor([change is not None for change in changes], dtype=torch.float64)
        numbers = torch.cat([loss.reshape(1), slots.reshape(-1), flags])
        zeros = [torch.zeros_like(buffer) for buffer in buffers.floating]
        self.changes: Tensors = [zero if c is None else c for c, zero in zip(changes, zeros, strict=True)]
        is_source = peers.is_first and buffers.first_values is not None
        values = buffers.first_values if is_source and buffers.first_values is not None else buffers.discrete
        firsts = [value.reshape(-1).view(torch.uint8) * is_source for value in values]
        for part in (numbers, *self.changes, *firsts):
            if part is not None:
                peers.add_up(part)
        self.loss = numbers[0]
        slots, flags = numbers[1 : 1 + slots.numel()].view_as(slots), numbers[1 + slots.numel() :]
        self.failed = min((int(value) - 1 for value in slots[:, 0].tolist() if value), default=None)
        peers.stop_signal = int(slots[:, 1].max()) or None
        self.changes = [c if has else None for c, has in zip(self.changes, flags.tolist(), strict=True)]
        self.firsts = [value.view(b.dtype).view(b.shape) for value, b in zip(firsts, buffers.discrete, strict=True)]
