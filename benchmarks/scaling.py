"""Expect the speed of a training in up to 1,024 processes, and of up to 10,000 trials on a cluster.

The costs of the parts of an update are measured here (`benchmarks.scaling_costs`), and a simulation puts updates
together from them. It must first reproduce the updates that were measured in 1, 2 and 4 processes within 20%; only then
it is asked about more. The tables of docs/scaling.md come from it:

    python -m benchmarks.scaling [rounds=12] [costs=FILE]

``costs=FILE`` writes the measured costs there, or reads them if the file exists.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from benchmarks.scaling_costs import (
    BATCH,
    NETWORKS,
    SHARDS,
    Costs,
    Measured,
    measure,
)
from benchmarks.scaling_trials import TrialCosts, measure_trial_costs, simulate_trials

TOLERANCE = 0.2
UPDATES = 200
"""Simulated updates of which the mean is taken."""
JITTER = 0.05
"""Standard deviation of the logarithm of a shard's time, assumed: machines differ by a few percent."""
MANY_PROCESSES = (2, 4, 8, 16, 64, 256, 1024)
TRIALS, WORKERS, TRIAL_SECONDS = (10, 100, 1_000, 10_000), (4, 32, 256, 1_024), (1.0, 60.0)


@dataclass(frozen=True)
class Link:
    """What connects the processes.

    Args:
        round: seconds of a message without its bytes.
        byte: seconds of each byte.
    """

    round: float
    byte: float


GPU = Costs(0.005, 0.0004, 0.0001, 0.002, 0.0, 0.0, 102_000_000, 102_000_000)
"""An assumed GPU: 2,500 rows a second, a network of 25.5 million weights (ResNet-50), 5 ms for the calls."""
FAST_LINK = Link(20e-6, 1 / 20e9)
"""An assumed network between GPUs: 20 GB/s for each of them, 20 microseconds for a message."""


def simulate_update(
    costs: Costs, link: Link, processes: int, shards: int, batch: int, jitter: float = 0.0, seed: int = 0
) -> float:
    """Return the mean seconds of an update that adds the gradients in the exact tree.

    A process computes its shards and adds them; in each of the log2(N) rounds it waits for its partner, and both
    exchange all gradients.

    Args:
        costs: of the parts.
        link: between the processes.
        processes: number of processes, a power of two.
        shards: number of shards, a multiple of it.
        batch: rows of a complete batch.
        jitter: standard deviation of the logarithm of a shard's time.
        seed: of the random times.
    """
    rng = np.random.default_rng(seed)
    updates = UPDATES if jitter else 1
    per_process = shards // processes
    shard = costs.shard + costs.row * batch / shards
    times = shard * np.exp(jitter * rng.standard_normal((updates, processes, per_process))).sum(2)
    times += (per_process - 1) * costs.addition
    for distance in (1 << k for k in range(processes.bit_length() - 1)):
        partners = times[:, np.arange(processes) ^ distance]
        times = np.maximum(times, partners) + link.round + link.byte * costs.message_bytes
    return float(times.max(1).mean()) + costs.step


def simulate_ring(
    costs: Costs, link: Link, processes: int, shards: int, batch: int, jitter: float = 0.0, seed: int = 0
) -> float:
    """Return the same for gradients that are averaged in a ring (`exact=false`), after the last shard of the slowest.

    Each process sends and receives 2 (N - 1) / N of the bytes in 2 (N - 1) messages. That a part of it happens during
    the backward pass is left out: it depends on the network's layers.
    """
    rng = np.random.default_rng(seed)
    updates = UPDATES if jitter else 1
    shard = costs.shard + costs.row * batch / shards
    times = shard * np.exp(jitter * rng.standard_normal((updates, processes, shards // processes))).sum(2)
    volume = 2 * (processes - 1) / processes * costs.message_bytes
    return float(times.max(1).mean()) + volume * link.byte + 2 * (processes - 1) * link.round + costs.step


def count_bytes(weight_bytes: int, processes: int, *, tree: bool) -> float:
    """Return the bytes that a process sends in an update.

    >>> count_bytes(8, 4, tree=True), count_bytes(8, 4, tree=False)
    (16.0, 12.0)
    """
    return weight_bytes * (math.log2(processes) if tree else 2 * (processes - 1) / processes)


def count_memory(weight_bytes: int, processes: int, shards: int, optimizer_tensors: int = 1) -> int:
    """Return the bytes of a process that depend on the weights alone; activations come on top.

    Weights, what the optimizer keeps, the gradients of a shard, a partial sum for each level of the own tree, and two
    messages.

    >>> count_memory(8, 1, 1), count_memory(8, 2, 4), count_memory(8, 4, 4)
    (24, 48, 40)
    """
    levels = (shards // processes).bit_length() - 1
    return weight_bytes * (1 + optimizer_tensors + 1 + levels + (2 if processes > 1 else 0))


def check(costs: dict[int, Costs], measured: dict[int, Measured], name: str) -> Iterator[str]:
    """Compare the simulation with what was measured; yield a line for each number of processes.

    Raises:
        SystemExit: they differ by more than `TOLERANCE`.
    """
    yield f"{name}: {costs[1].weight_bytes / 1e6:.2f} MB of weights, batch {BATCH}, {SHARDS} shards"
    for processes, update in measured.items():
        part = costs[processes]
        expected = simulate_update(part, Link(part.round, part.byte), processes, SHARDS, BATCH)
        error = expected / update.seconds - 1
        sent = count_bytes(part.message_bytes, processes, tree=True)
        memory = count_memory(part.weight_bytes, processes, SHARDS) - part.weight_bytes  # they were there before
        yield (
            f"    {processes} processes: {update.seconds * 1e3:.1f} ms measured, {expected * 1e3:.1f} ms simulated "
            f"({error:+.0%}); sent {update.sent_bytes / 1e6:.2f} MB, by formula {sent / 1e6:.2f} MB; memory "
            f"{update.memory_bytes / 1e6:.0f} MB with activations, by formula {memory / 1e6:.0f} MB without"
        )
        if abs(error) > TOLERANCE:
            raise SystemExit(f"{processes} processes: the simulation is wrong by {error:+.0%}, nothing is extrapolated")
        if update.sent_bytes and abs(sent / update.sent_bytes - 1) > TOLERANCE:
            raise SystemExit(f"{processes} processes send {update.sent_bytes} bytes, by the formula {sent:.0f}")


def tabulate_processes(costs: Costs, link: Link, rows_each: int) -> Iterator[str]:
    """Yield a row for each number of processes: what they send and how fast they are, with ``rows_each`` rows each."""
    alone = simulate_update(costs, link, 1, 1, rows_each)
    yield "| processes | sent by each, tree | ring | speed, tree | ring |"
    yield "|---|---|---|---|---|"
    for n in MANY_PROCESSES:
        tree = simulate_update(costs, link, n, n, rows_each * n, JITTER)
        ring = simulate_ring(costs, link, n, n, rows_each * n, JITTER)
        sent = [count_bytes(costs.message_bytes, n, tree=is_tree) / 1e6 for is_tree in (True, False)]
        speeds = [n * alone / seconds for seconds in (tree, ring)]
        yield f"| {n:,} | {sent[0]:,.2f} MB | {sent[1]:,.2f} MB | {speeds[0]:,.1f} x | {speeds[1]:,.1f} x |"


def tabulate_trials(costs: TrialCosts, seconds: float) -> Iterator[str]:
    """Yield a row for each number of trials: how many times as fast as one core they are."""
    yield f"| trials of {seconds:g} s | " + " | ".join(f"{n:,} cores" for n in WORKERS) + " |"
    yield "|---" * (1 + len(WORKERS)) + "|"
    for trials in TRIALS:
        speeds = [trials * seconds / simulate_trials(costs, trials, workers, seconds) for workers in WORKERS]
        yield f"| {trials:,} | " + " | ".join(f"{speed:,.1f} x" for speed in speeds) + " |"


def main(words: Sequence[str]) -> None:
    """Measure, check, and print the tables."""
    options = dict(word.split("=", 1) for word in words)
    torch.set_num_threads(1)
    file = Path(options["costs"]) if "costs" in options else None
    if file is not None and file.exists():
        plain = json.loads(file.read_text())
    else:
        costs, updates = measure(int(options.get("rounds", 12)))
        measured = {name: {n: asdict(update) for n, update in updates[name].items()} for name in NETWORKS}
        parts = {name: {n: asdict(part) for n, part in costs[name].items()} for name in NETWORKS}
        plain = json.loads(json.dumps({"costs": parts, "updates": measured, "trials": asdict(measure_trial_costs())}))
        if file is not None:
            file.write_text(json.dumps(plain, indent=2))
    print(json.dumps(plain["costs"]), json.dumps(plain["trials"]), sep="\n")
    read = {name: {int(n): Costs(**part) for n, part in plain["costs"][name].items()} for name in NETWORKS}
    for name in NETWORKS:
        compared = {int(n): Measured(**update) for n, update in plain["updates"][name].items()}
        for line in check(read[name], compared, name):
            print(line, flush=True)
    for name in NETWORKS:
        print(f"\n{name}, {BATCH} rows each, linked as two processes of this machine:")
        print(*tabulate_processes(read[name][1], Link(read[name][2].round, read[name][2].byte), BATCH), sep="\n")
    print("\nassumed GPUs, 256 rows each:")
    print(*tabulate_processes(GPU, FAST_LINK, 256), sep="\n")
    for seconds in TRIAL_SECONDS:
        print("", *tabulate_trials(TrialCosts(**plain["trials"]), seconds), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
