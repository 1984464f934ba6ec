"""Measure what an update consists of, and what it costs in several processes, for `benchmarks.scaling`.

All times are processor seconds, the shortest of several rounds, since a busy machine lengthens times of the clock and
hardly those. The parts are measured in one process and in a pair that exchanges messages; the complete updates, which
the simulation must reproduce, in 1, 2 and 4 processes that train together.
"""

from __future__ import annotations

import itertools
import json
import math
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from yisheng.core import registry
from yisheng.core.events import Batch
from yisheng.core.spec import Spec
from yisheng.training.contribution import Contribution
from yisheng.training.distributed import Peers
from yisheng.training.pieces import add_tensors, take_piece
from yisheng.training.shards import Sharding
from yisheng.training.state import State
from yisheng.training.update import make_update

NETWORKS = {
    "lenet, 28 x 28": ("lenet", (1, 28, 28), {}),
    "mlp, 2.1 million weights": ("mlp", (784,), {"hidden": (1024, 1024, 256)}),
}
BATCH, SHARDS = 128, 4
PROCESSES = (1, 2, 4)
KEYS = ("seconds", "sent", "memory")
MESSAGE_BYTES = (1 << 16, 1 << 24)


@dataclass(frozen=True)
class Costs:
    """What the parts of an update cost, in processor seconds.

    Args:
        shard: of a shard, but for its rows: calls, random numbers, buffers.
        row: of each row in it.
        addition: of adding two sets of gradients.
        step: of the optimizer and the check of the gradients.
        round: of an exchange of messages with another process, without its bytes.
        byte: of each byte in it: written, sent, received and added.
        weight_bytes: bytes of the weights.
        message_bytes: bytes of a message.
    """

    shard: float
    row: float
    addition: float
    step: float
    round: float
    byte: float
    weight_bytes: int
    message_bytes: int


@dataclass(frozen=True)
class Measured:
    """A complete update in several processes.

    Args:
        seconds: processor seconds of a process.
        sent_bytes: bytes that each process sends.
        memory_bytes: largest growth of a process's memory by updates, with the activations.
    """

    seconds: float
    sent_bytes: int
    memory_bytes: int


def cross_entropy(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the loss of each sample."""
    return nn.functional.cross_entropy(output, y, reduction="none")


def make_training(name: str) -> tuple[State, Batch]:
    """Return a network in the state of training, and a batch."""
    model_name, shape, options = NETWORKS[name]
    torch.manual_seed(0)
    spec = Spec("classification", shape, classes=tuple("0123456789"))
    model = registry.find("models", model_name).build(spec, **options)
    batch = Batch(torch.randn(BATCH, *shape), torch.randint(0, 10, (BATCH,)), torch.arange(BATCH))
    return State(model, torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9)), batch


def measure_shortest(
    functions: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.thread_time
) -> dict[str, float]:
    """Return the processor seconds of each function: the shortest of several rounds, in which they take turns."""
    shortest = dict.fromkeys(functions, float("inf"))
    for _ in range(rounds):
        for name, function in functions.items():
            start = clock()
            function()
            shortest[name] = min(shortest[name], clock() - start)
    return shortest


def make_parts(name: str) -> dict[str, Callable[[], object]]:
    """Return updates of two shards in one process, and the parts of updates, as functions to measure."""
    state, batch = make_training(name)
    parameters = list(state.model.parameters())
    gradients = [[torch.randn_like(p) for p in parameters] for _ in range(2)]
    update = make_update(sharding=Sharding(2, None, seed=0))

    def step() -> None:
        for p, gradient in zip(parameters, gradients[0], strict=True):
            p.grad = gradient
        if not all(math.isfinite(gradient.sum().item()) for gradient in gradients[0]):
            raise SystemExit("the gradients are not finite")
        state.optimizer.step()
        state.optimizer.zero_grad()

    return {
        "halves": lambda: update(state, batch, cross_entropy),
        "quarters": lambda: update(state, take_piece(batch, 0, BATCH // 2).batch, cross_entropy),
        "addition": lambda: add_tensors(list(gradients[0]), list(gradients[1])),
        "step": step,
    }


def compute_costs(name: str, seconds: dict[str, float], exchange: float, byte: float) -> Costs:
    """Return what the parts of an update cost.

    Args:
        name: of the network.
        seconds: processor seconds of `make_parts`.
        exchange: processor seconds of an exchange of the network's gradients with another process.
        byte: of each byte in it.
    """
    state, _ = make_training(name)
    weight_bytes = sum(p.nbytes for p in state.model.parameters())
    row = max(0.0, (seconds["halves"] - seconds["quarters"]) / (BATCH // 2))
    two_shards = seconds["quarters"] - BATCH // 2 * row - seconds["addition"] - seconds["step"]
    return Costs(
        shard=max(0.0, two_shards / 2),
        row=row,
        addition=seconds["addition"],
        step=seconds["step"],
        round=max(0.0, exchange - byte * weight_bytes),
        byte=byte,
        weight_bytes=weight_bytes,
        message_bytes=weight_bytes + sum(b.nbytes for b in state.model.buffers()),
    )


def measure(rounds: int) -> tuple[dict[str, dict[int, Costs]], dict[str, dict[int, Measured]]]:
    """Return the costs of the parts, and the complete updates, by network and number of processes in `PROCESSES`.

    The parts and the update take turns in the same processes, all at the same time, because processes on one machine
    slow each other. The lowest value of all of them counts, since all do the same.

    Args:
        rounds: of each of the most processes; fewer processes have more rounds.
    """
    context, count = multiprocessing.get_context("spawn"), max(PROCESSES)
    with tempfile.TemporaryDirectory() as folder:
        processes = [context.Process(target=_measure, args=(rank, count, rounds, folder)) for rank in range(count)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        if any(process.exitcode for process in processes):
            raise SystemExit("a process of the measurement failed")
        results = [json.loads(Path(folder, f"{rank}.json").read_text()) for rank in range(count)]
    small_seconds, large_seconds = (min(result["exchange"][n] for result in results[:2]) for n in (0, 1))
    byte = max(0.0, (large_seconds - small_seconds) / (MESSAGE_BYTES[1] - MESSAGE_BYTES[0]))
    costs: dict[str, dict[int, Costs]] = {name: {} for name in NETWORKS}
    updates: dict[str, dict[int, Measured]] = {name: {} for name in NETWORKS}
    for name, n in itertools.product(NETWORKS, PROCESSES):
        seconds = [result["seconds"][name][str(n)] for result in results[:n]]
        lowest = {part: min(values[part] for values in seconds) for part in seconds[0]}
        costs[name][n] = compute_costs(name, lowest, lowest.get("exchange", 0.0) / max(1.0, math.log2(n)), byte)
        memory = max(result["memory"][name][str(n)] for result in results[:n])
        updates[name][n] = Measured(lowest["update"], results[0]["sent"][name][str(n)], memory)
    return costs, updates


def _measure(rank: int, count: int, rounds: int, folder: str) -> None:
    """Measure as one of several processes; those that a measurement does not need wait, which costs nothing."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=count)
    everyone = Peers(None, rank, count)
    peers = {n: Peers(dist.new_group(list(range(n))), rank, n) for n in PROCESSES}
    results: dict[str, Any] = {"exchange": [], **{key: {name: {} for name in NETWORKS} for key in KEYS}}
    for nbytes in MESSAGE_BYTES:
        if rank < 2:
            functions = {"exchange": _make_exchange(peers[2], [torch.zeros(nbytes // 4)])}
            results["exchange"].append(measure_shortest(functions, rounds * 2, time.process_time)["exchange"])
        everyone.wait_for_all()
    for name in NETWORKS:
        for n in PROCESSES:
            if rank < n:
                values = _measure_updates(peers[n], name, rounds * count // n)
                for key, value in zip(KEYS, values, strict=True):
                    results[key][name][n] = value
            everyone.wait_for_all()
    Path(folder, f"{rank}.json").write_text(json.dumps(results))
    everyone.wait_for_all()
    dist.destroy_process_group()


def _measure_updates(peers: Peers, name: str, rounds: int) -> tuple[dict[str, float], int, int]:
    """Return processor seconds, bytes sent in an update, and the growth of memory by two of them."""
    state, batch = make_training(name)
    update = make_update(sharding=Sharding(SHARDS, None, seed=0, peers=peers if peers.size > 1 else None))
    before, sent = _reset_peak_memory(), peers.sent_bytes
    update(state, batch, cross_entropy)
    sent = peers.sent_bytes - sent
    update(state, batch, cross_entropy)  # with what the optimizer has made in the first one
    growth = _read_peak_memory() - before
    functions = {**make_parts(name), "update": lambda: update(state, batch, cross_entropy)}
    if peers.size > 1:
        functions["exchange"] = _make_exchange(peers, list(state.model.parameters()))
    return measure_shortest(functions, rounds, time.process_time), sent, growth


def _make_exchange(peers: Peers, tensors: list[torch.Tensor]) -> Callable[[], object]:
    """Return a function that adds up tensors over the processes."""
    values = [torch.zeros_like(tensor) for tensor in tensors]
    return lambda: peers.add(Contribution(list(values), []), tensors, [])


def _reset_peak_memory() -> int:
    """Begin to measure the peak of this process's memory (Linux); return the memory now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _read_peak_memory()


def _read_peak_memory() -> int:
    """Return the peak of this process's memory since `_reset_peak_memory`, in bytes."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
