"""The processes of one training: sums in a fixed order, and small messages between them.

Tensors are sent from where they are computed, by gloo from a CPU and by NCCL from a GPU. Everything else is sent by
gloo: reading it does not wait for a GPU, and gloo notices at once that a process ended, which NCCL may not.

Every process computes an aligned part of a binary tree of shards. The upper levels are added by recursive doubling: in
round k a process exchanges its sum with the one whose rank differs in bit k, and both add the two. Addition of two
numbers is commutative to the bit, so all processes have the same sum, which is that of a single process. In every round
each process sends and receives all gradients: log2(N) times the bytes of the weights.

Source: Thakur, Rabenseifner and Gropp, "Optimization of collective communication operations in MPICH", 2005, section
4.5 (recursive doubling).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from yisheng.core.errors import ProcessError, UsageError
from yisheng.core.messages import Message
from yisheng.training.contribution import Contribution, ContributionMessage
from yisheng.training.pieces import add_tensors

TIMEOUT = timedelta(minutes=30)
"""Time to wait for a process that is alive: the first one may plan, score or download for a while."""
CPU = torch.device("cpu")
DIGEST_BYTES = 32


class Peers:
    """The processes of one training, seen from one of them.

    Args:
        group: torch's process group; its processes have the ranks 0 to ``size - 1``.
        rank: of this process.
        size: number of processes, a power of two.
        device: where this process computes.

    Attributes:
        caught: signals that this process has received; see `yisheng.core.signals.collect_signals`.
        stop_signal: a signal that any process had received before the latest `add`, or None: the same in all of them.
        sent_bytes: what this process has sent to others.
        batches_transfers: whether what is sent and received is begun together, and the numbers of an update are sent
            apart from its tensors, as GPUs require it.
    """

    def __init__(self, group: dist.ProcessGroup | None, rank: int, size: int, device: torch.device = CPU) -> None:
        self.rank, self.size, self.device = rank, size, device
        self.caught: Sequence[int] = ()
        self.stop_signal: int | None = None
        self.sent_bytes = 0
        self.batches_transfers = device.type == "cuda"
        self._group = group
        self._messages: tuple[ContributionMessage, ContributionMessage] | None = None

    @property
    def is_first(self) -> bool:
        """Return whether this is the process that writes and shows everything."""
        return self.rank == 0

    def add(
        self, contribution: Contribution, sums_like: Sequence[torch.Tensor], firsts_like: Sequence[torch.Tensor]
    ) -> Contribution:
        """Return the contribution of all processes, the same in all of them.

        Args:
            contribution: of this process.
            sums_like: tensors with the shapes, dtypes and device of ``sums``.
            firsts_like: likewise of ``firsts``.

        Raises:
            ProcessError: another process ended.
        """
        outgoing, incoming = self._make_messages(sums_like, firsts_like)
        signal = self.signal
        for distance in (1 << k for k in range(self.size.bit_length() - 1)):
            partner = self.rank ^ distance
            outgoing.write(contribution, signal)
            for outgoing_part, incoming_part in zip(outgoing.parts, incoming.parts, strict=True):
                self._transfer([(outgoing_part, partner)], [(incoming_part, partner)])
            received, received_signal = incoming.read()
            failures = [part.failed for part in (contribution, received) if part.failed is not None]
            firsts = contribution.firsts
            if received.firsts is not None and (partner < self.rank or firsts is None):
                firsts = [value.clone() for value in received.firsts]
            sums = add_tensors(contribution.sums, received.sums)
            contribution = Contribution(sums, firsts, min(failures, default=None))
            signal = max(signal, received_signal)
        self.stop_signal = signal or None
        return contribution

    @property
    def signal(self) -> int:
        """Return the first signal that this process has received, or 0."""
        return self.caught[0] if self.caught else 0

    def begin_sum(self, tensor: torch.Tensor) -> dist.Work | None:
        """Begin to add up a tensor of all processes in place, in an order that torch.distributed chooses.

        All processes must begin the same sums in the same order.

        Raises:
            ProcessError: another process ended.
        """
        self.sent_bytes += 2 * (self.size - 1) * tensor.nbytes // self.size
        with self._explain_lost_processes():
            return dist.all_reduce(tensor, group=self._group, async_op=True)

    def end_sum(self, work: dist.Work | None, *, on_gpu: bool = False) -> None:
        """Wait until a sum is complete.

        Args:
            work: what `begin_sum` returned.
            on_gpu: whether the tensor is on a GPU: then only its stream waits, and this process goes on.

        Raises:
            ProcessError: another process ended.
        """
        with self._explain_lost_processes():
            try:
                if work is not None:
                    self._wait(work, on_gpu=on_gpu)
            finally:
                work = None  # it holds connections, and an error would hold it

    def add_up(self, tensor: torch.Tensor, *, on_gpu: bool = False) -> None:
        """Add up a tensor of all processes in place, and wait for it; see `begin_sum` and `end_sum`.

        Raises:
            ProcessError: another process ended.
        """
        self.end_sum(self.begin_sum(tensor), on_gpu=on_gpu)

    @staticmethod
    def _wait(work: dist.Work, *, on_gpu: bool) -> None:
        if on_gpu:
            work.wait()  # with a time limit this process would wait, too
        else:
            work.wait(TIMEOUT)

    def broadcast(self, content: bytes | None = None, *, source: int = 0) -> bytes:
        """Return the bytes of one process in all of them.

        Args:
            content: the bytes, in the source.
            source: its rank.

        Raises:
            ProcessError: another process ended.
        """
        if self.rank == source:
            assert content is not None
            receivers = [rank for rank in range(self.size) if rank != source]
            length = torch.tensor([len(content)])
            data = torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.empty(0)
            self._transfer([(length, rank) for rank in receivers], [])
            if content:
                self._transfer([(data, rank) for rank in receivers], [])
            return content
        length = torch.zeros(1, dtype=torch.int64)
        self._transfer([], [(length, source)])
        data = torch.empty(int(length), dtype=torch.uint8)
        if int(length):
            self._transfer([], [(data, source)])
        return data.numpy().tobytes()

    def broadcast_json(self, value: Any = None, *, source: int = 0) -> Any:
        """Return plain data of one process in all of them; see `broadcast`."""
        content = json.dumps(value).encode() if self.rank == source else None
        return json.loads(self.broadcast(content, source=source))

    def gather_json(self, value: Any) -> list[Any]:
        """Return plain data of every process in all of them, in the order of the ranks."""
        return [self.broadcast_json(value if rank == self.rank else None, source=rank) for rank in range(self.size)]

    def require_equal(self, values: Mapping[str, bytes], remedy: str) -> None:
        """Raise an error in all processes unless all have the same values.

        Args:
            values: contents by what they are called in the error.
            remedy: of the error.

        Raises:
            UsageError: a value differs.
            ProcessError: another process ended.
        """
        digests = [hashlib.sha256(content).digest() for content in values.values()]
        digest = torch.frombuffer(bytearray(b"".join(digests)), dtype=torch.uint8)
        gathered = [digest, *(torch.empty_like(digest) for _ in range(1, self.size))]
        differing: list[Any] | None = None
        if self.is_first:
            self._transfer([], [(gathered[rank], rank) for rank in range(1, self.size)])
            for rank, (number, name) in itertools.product(range(1, self.size), enumerate(values)):
                place = slice(DIGEST_BYTES * number, DIGEST_BYTES * (number + 1))
                if differing is None and not torch.equal(gathered[rank][place], digest[place]):
                    differing = [rank, name]
        else:
            self._transfer([(digest, 0)], [])
        differing = self.broadcast_json(differing)
        if differing is not None:
            raise UsageError(
                Message("process {rank} has other {part} than process 0", rank=differing[0], part=differing[1]),
                remedy,
            )

    def wait_for_all(self) -> None:
        """Wait until all processes are here.

        Raises:
            ProcessError: another process ended.
        """
        self.require_equal({"nothing": b""}, "")

    def _make_messages(
        self, sums_like: Sequence[torch.Tensor], firsts_like: Sequence[torch.Tensor]
    ) -> tuple[ContributionMessage, ContributionMessage]:
        """Return a message to send and one to receive; they are kept for the next update."""
        if self._messages is None or not self._messages[0].fits(sums_like, firsts_like):
            make = functools.partial(
                ContributionMessage, sums_like, firsts_like, separate_numbers=self.batches_transfers
            )
            self._messages = make(), make()
        return self._messages

    def _transfer(
        self, outgoing: Sequence[tuple[torch.Tensor, int]], incoming: Sequence[tuple[torch.Tensor, int]]
    ) -> None:
        """Send tensors to ranks and receive tensors from ranks, all at the same time."""
        self.sent_bytes += sum(tensor.nbytes for tensor, _ in outgoing)
        with self._explain_lost_processes():
            on_gpu = any(tensor.is_cuda for tensor, _ in (*outgoing, *incoming))
            works: list[dist.Work | None] = []
            if self.batches_transfers:
                works += _begin_batched_transfers(outgoing, incoming, self._group)
            else:
                works += [dist.isend(tensor, rank, group=self._group) for tensor, rank in outgoing]
                works += [dist.irecv(tensor, rank, group=self._group) for tensor, rank in incoming]
            try:
                for number in range(len(works)):
                    if (work := works[number]) is not None:
                        self._wait(work, on_gpu=on_gpu)
            finally:
                works, work = [], None  # they hold connections, and an error would hold them

    def _abort_sums(self) -> None:
        """End what waits on the GPU for a process that is gone: the weights could not be read behind it."""
        group = self._group or dist.group.WORLD
        if self.device.type == "cuda" and group is not None:
            with contextlib.suppress(RuntimeError):
                group.abort()

    @contextlib.contextmanager
    def _explain_lost_processes(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # gloo's error of a closed connection, and others of torch.distributed
            reason = str(error).splitlines()[0][:200]
            self._abort_sums()
            raise ProcessError(
                Message(
                    "another of the {size} processes of this training ended, or cannot be reached ({reason})",
                    size=self.size,
                    reason=reason,
                ),
                Message("see the messages of the others; train again, or resume the run"),
            ) from error


def _begin_batched_transfers(
    outgoing: Sequence[tuple[torch.Tensor, int]],
    incoming: Sequence[tuple[torch.Tensor, int]],
    group: dist.ProcessGroup | None,
) -> list[dist.Work]:
    """Begin to send and receive at the same time: on a GPU, one after the other would wait for each other.

    Args:
        outgoing: tensors and the ranks to send them to.
        incoming: tensors and the ranks to receive them from.
        group: the process group.
    """
    operations = [dist.P2POp(dist.isend, tensor, rank, group) for tensor, rank in outgoing]
    operations += [dist.P2POp(dist.irecv, tensor, rank, group) for tensor, rank in incoming]
    return dist.batch_isend_irecv(operations)


def describe_sharing(shards: int, processes: int) -> str:
    """Return a note on who computes what.

    >>> describe_sharing(4, 2)
    '4 shards of each batch on 2 processes, 2 each'
    """
    return Message(
        "{shards} shards of each batch on {processes} processes, {each} each",
        shards=shards,
        processes=processes,
        each=shards // processes,
    )
