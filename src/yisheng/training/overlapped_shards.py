"""Updates over shards whose gradients are added as they come: those of the tree up to rounding, with less to send.

A process adds the gradients of its shards one after the other. In the backward pass of its last shard the gradients
fill buckets, from the last layers to the first ones; a full bucket is added up over the processes while the pass goes
on. Each process sends 2 (N - 1) / N times the bytes of the weights. That is what DistributedDataParallel does; it is
not used, because a process may have no rows in a small batch, layers may be frozen from some epoch on, and a loss that
is not finite in one process must end all of them.

Source: Li et al., "PyTorch distributed: Experiences on accelerating data parallel training", 2020, section 3.2.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import cast

import torch
import torch.distributed as dist
from torch import nn

from yisheng.core.errors import NonFiniteError
from yisheng.core.events import Batch
from yisheng.core.generator_states import preserve_generators
from yisheng.training.distributed import Peers
from yisheng.training.pieces import Tensors, add_tensors, set_gradients
from yisheng.training.shards import (
    ComputeShardPiece,
    ShardBuffers,
    ShardFailure,
    Sharding,
    bound_shards,
    require_dense,
    seed_shard,
    share_failure,
    split_shard,
)
from yisheng.training.state import State

BUCKET_BYTES = 25 << 20
"""Bytes of a bucket, as in DistributedDataParallel: fewer messages against an earlier begin."""


def compute_overlapped_shards(
    state: State, batch: Batch, sharding: Sharding, compute: ComputeShardPiece
) -> torch.Tensor:
    """Compute the shards of a batch as `yisheng.training.shards.compute_shards` does, up to rounding.

    Args:
        state: the training.
        batch: the complete batch.
        sharding: how it is divided.
        compute: computes a piece and adds to ``grad``.

    Raises:
        NonFiniteError: a shard's loss is not finite; the same error in all processes. Buffers are unchanged.
        ProcessError: another process ended.
    """
    parameters: list[nn.Parameter] = [p for group in state.optimizer.param_groups for p in group["params"]]
    buffers, peers = ShardBuffers(state.model), sharding.peers
    sums = None if peers is None else BucketSums(parameters, peers)
    loss = torch.zeros((), dtype=torch.float64, device=batch.index.device)
    changes: Tensors = [None] * buffers.count
    failure, bounds = ShardFailure(), bound_shards(len(batch), sharding.count)
    own_shards = [shard for shard in sharding.own_shards if bounds[shard][0] < bounds[shard][1]]
    with preserve_generators(batch.index.device):
        for shard in own_shards:
            seed_shard(sharding, state.step, shard, batch.index.device)
            pieces = split_shard(batch, bounds[shard], sharding.micro_batch)
            try:
                for number, piece in enumerate(pieces, 1):
                    is_last = shard == own_shards[-1] and number == len(pieces)
                    with contextlib.nullcontext() if sums is None or not is_last else sums.overlap():
                        loss += compute(piece, is_observed=shard == 0).to(torch.float64)
                fraction = (bounds[shard][1] - bounds[shard][0]) / len(batch)
                changes = add_tensors(changes, buffers.take_changes(fraction))
            except NonFiniteError as error:
                failure = ShardFailure(shard, error)
                break
            finally:
                buffers.restore()
    require_dense(p.grad for p in parameters)
    firsts, failed = buffers.first_values, failure.shard
    if peers is not None and sums is not None:
        with_gradient = sums.finish()
        totals = _Totals(peers, loss, failed, with_gradient, changes, firsts, buffers)
        loss, failed, changes, firsts = totals.loss, totals.failed, totals.changes, totals.firsts
        set_gradients(
            parameters, [p.grad if has else None for p, has in zip(parameters, totals.with_gradient, strict=True)]
        )
    if failed is not None:
        set_gradients(parameters, [None] * len(parameters))
        raise share_failure(sharding, failed, failure.error)
    buffers.change(changes, firsts)
    return loss.to(torch.float64 if any(p.dtype == torch.float64 for p in parameters) else torch.float32)


class BucketSums:
    """The sums of the gradients of all processes, of one bucket of parameters after the other.

    Args:
        parameters: in the order of the network; the buckets begin with the last ones, whose gradients come first.
        peers: the processes; all of them use the same buckets.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], peers: Peers) -> None:
        self._parameters, self._peers = parameters, peers
        self._buckets = _fill_buckets(parameters)
        self._with_gradient: set[nn.Parameter] = set()
        self._running: list[tuple[torch.Tensor, dist.Work | None]] = []

    @contextlib.contextmanager
    def overlap(self) -> Iterator[None]:
        """Begin the sum of each bucket in the backward pass of the block, as soon as its gradients are complete."""
        hooks = [p.register_post_accumulate_grad_hook(self._take) for p in self._parameters if p.requires_grad]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def finish(self) -> list[bool]:
        """Wait for all sums, and put them into ``grad``; return which parameters had a gradient in this process.

        Raises:
            ProcessError: another process ended.
        """
        had_gradient = [p.grad is not None for p in self._parameters]
        while len(self._running) < len(self._buckets):
            self._begin_next()
        try:
            for number, bucket in enumerate(self._buckets):
                self._peers.end_sum(self._running[number][1], on_gpu=self._running[number][0].is_cuda)
                parts = self._running[number][0].split([p.numel() for p in bucket])
                set_gradients(bucket, [part.view(p.shape) for part, p in zip(parts, bucket, strict=True)])
        finally:
            self._running = []  # they hold connections, and an error would hold them
        return had_gradient

    def _take(self, parameter: torch.Tensor) -> None:
        """Note that a gradient is complete; begin the next sums whose gradients are."""
        require_dense([parameter.grad])
        self._with_gradient.add(cast("nn.Parameter", parameter))
        while len(self._running) < len(self._buckets) and self._with_gradient.issuperset(
            self._buckets[len(self._running)]
        ):
            self._begin_next()

    @torch.no_grad()
    def _begin_next(self) -> None:
        bucket = self._buckets[len(self._running)]
        values = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in bucket])
        self._running.append((values, self._peers.begin_sum(values)))


def _fill_buckets(parameters: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Return parameters of one type and device each, of `BUCKET_BYTES` at most or a single one, from the last on."""
    buckets: list[list[nn.Parameter]] = []
    for p in reversed(parameters):
        last = buckets[-1] if buckets else []
        is_alike = bool(last) and (last[0].dtype, last[0].device) == (p.dtype, p.device)
        if is_alike and sum(parameter.nbytes for parameter in last) + p.nbytes <= BUCKET_BYTES:
            last.append(p)
        else:
            buckets.append([p])
    return buckets


class _Totals:
    """What all processes have of an update, but for the gradients; the arguments are those of this process.

    Args:
        peers: the processes.
        loss: the sum of the losses.
        failed: the first shard that failed, or None.
        with_gradient: which parameters have a gradient.
        changes: of the floating-point buffers.
        firsts: the other buffers as the first shard changes them; they count in the first process, which has it.
        buffers: of the network.
    """

    def __init__(
        self,
        peers: Peers,
        loss: torch.Tensor,
        failed: int | None,
        with_gradient: list[bool],
        changes: Tensors,
        firsts: list[torch.Tensor] | None,
        buffers: ShardBuffers,
    ) -> None:
        slots = torch.zeros(peers.size, 2, dtype=torch.float64)
        slots[peers.rank] = torch.tensor([0 if failed is None else failed + 1, peers.signal])
        flags = torch.tensor([*with_gradient, *(change is not None for change in changes)], dtype=torch.float64)
        numbers = torch.cat([slots.reshape(-1), flags])  # on the CPU: reading them does not wait for a GPU
        zeros = [torch.zeros_like(buffer) for buffer in buffers.floating]
        complete = [zero if change is None else change for change, zero in zip(changes, zeros, strict=True)]
        floating = _join([loss, *complete], torch.float64, loss.device)
        mine = firsts if peers.is_first and firsts is not None else [torch.zeros_like(b) for b in buffers.discrete]
        discrete = _join([value.reshape(-1).view(torch.uint8) for value in mine], torch.uint8, loss.device)
        for part in (numbers, floating, discrete):
            if len(part):
                peers.add_up(part, on_gpu=part.is_cuda)
        slots, flags = numbers[: slots.numel()].view_as(slots), numbers[slots.numel() :] > 0
        failures = [int(value) - 1 for value in slots[:, 0].tolist() if value]
        self.failed = min(failures, default=None)
        peers.stop_signal = int(slots[:, 1].max()) or None
        self.with_gradient = flags[: len(with_gradient)].tolist()
        total, *parts = floating.split([1, *(buffer.numel() for buffer in buffers.floating)])
        self.loss = total.reshape(())
        self.changes: Tensors = [
            part.view(zero.shape).to(zero.dtype) if has else None
            for part, zero, has in zip(parts, zeros, flags[len(with_gradient) :].tolist(), strict=True)
        ]
        parts = discrete.split([buffer.nbytes for buffer in buffers.discrete])
        self.firsts = [
            part.clone().view(b.dtype).view(b.shape) for part, b in zip(parts, buffers.discrete, strict=True)
        ]


def _join(tensors: Sequence[torch.Tensor], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    empty = torch.zeros(0, dtype=dtype, device=device)
    return torch.cat([empty, *(tensor.reshape(-1).to(dtype) for tensor in tensors)])
