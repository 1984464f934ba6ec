"""Count the instructions that the doctor adds to a user's own loop.

Of the smallest network all updates are counted. Of the others a thousand would take hours under callgrind: the first
updates are counted one by one, and what the doctor adds to the later ones is composed from three kinds of steps, whose
numbers follow from the schedule.
"""

from __future__ import annotations

import contextlib
import copy
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from benchmarks.doctor import loop_overhead
from benchmarks.doctor.callgrind import Counter, count_instructions

import yisheng
from yisheng.diagnosis.recorder.batch_order import INTERVAL, MAX_PERIOD
from yisheng.diagnosis.recorder.schedule import FIRST_STEPS, next_recorded_step

COUNTED_STEPS = {"mlp": 1000, "lenet": 22, "resnet18": 12}
"""Updates that are counted; the last must not be the one before a recorded update."""
WARM_UP_STEPS = 10

Kind = Literal["recorded", "followed", "light"]


@dataclass(frozen=True)
class Composition:
    """What the doctor adds to a training, in instructions.

    Args:
        plain: of an update without the doctor.
        fixed: entering and leaving the doctor.
        first: the updates that were counted, together.
        costs: of a later update by kind.
        numbers: of later updates by kind.
    """

    plain: float
    fixed: int
    first: int
    costs: dict[Kind, float]
    numbers: dict[Kind, int]

    @property
    def total(self) -> float:
        """Return what the doctor adds to all updates."""
        return self.fixed + self.first + sum(self.costs[kind] * number for kind, number in self.numbers.items())


def classify(step: int) -> Kind:
    """Return how the doctor observes an update, numbered from 1, of a loop with one backward pass per update.

    >>> [classify(step) for step in (1, 5, 6, 10, 11, 20, 30, 90)]
    ['recorded', 'recorded', 'followed', 'recorded', 'light', 'recorded', 'followed', 'light']
    """
    if next_recorded_step(step - 1) == step:
        return "recorded"
    is_compared = step <= INTERVAL or (step % INTERVAL == 0 and step < MAX_PERIOD + INTERVAL)
    return "followed" if is_compared else "light"


def compose(plain: Sequence[int], observed: Sequence[int], steps: int) -> Composition:
    """Compose the cost of a training from that of its first updates.

    A recorded update is prepared at the end of the one before, which is therefore left out of the means.

    Args:
        plain: instructions without the doctor: before the first update, of each update, and after the last.
        observed: the same with the doctor.
        steps: updates of the training.

    >>> plain = [0, *[100] * 12, 0]
    >>> added = [50, *[30] * 5, *[10] * 3, 15, 35, 1, 1, 7]
    >>> cost = compose(plain, [a + b for a, b in zip(plain, added)], 1000)
    >>> cost.costs, cost.numbers, cost.fixed
    ({'light': 1, 'followed': 10, 'recorded': 40}, {'light': 977, 'followed': 4, 'recorded': 7}, 57)
    """
    added = [b - a for a, b in zip(plain, observed, strict=True)]
    counted = range(1, len(added) - 1)
    costs: dict[Kind, float] = {}
    for kind in ("light", "followed"):
        unprepared = [k for k in counted if k > FIRST_STEPS and classify(k) == kind and classify(k + 1) != "recorded"]
        costs[kind] = statistics.mean(added[k] for k in unprepared)
    recorded = [k for k in counted if k > FIRST_STEPS and classify(k) == "recorded"]
    costs["recorded"] = statistics.mean(added[k] + added[k - 1] - costs[classify(k - 1)] for k in recorded)
    later = [classify(step) for step in range(counted.stop, steps + 1)]
    numbers = {kind: later.count(kind) for kind in costs}
    return Composition(
        statistics.mean(plain[1:-1]), added[0] + added[-1], sum(added[k] for k in counted), costs, numbers
    )


def count_network(name: str, steps: int, repeats: int) -> list[str]:
    """Return a line of the table for each count of a network."""
    counted = min(steps, COUNTED_STEPS[name])
    return [describe_count(name, counted, steps) for _ in range(repeats)]


def describe_count(name: str, counted: int, steps: int) -> str:
    """Count a network once and return the line of the table."""
    counts = count_instructions([str(Path(__file__)), name, str(counted), "whole" if counted == steps else "each"])
    if counted == steps:
        plain, total = counts["plain"], counts["doctor"] - counts["plain"]
        return f"| {name} | {steps:,} | {plain / 1e6:,.1f} | {total / 1e6:,.2f} | {100 * total / plain:+.2f}% | | | |"
    sections = range(counted + 2)
    cost = compose([counts[f"plain {k}"] for k in sections], [counts[f"doctor {k}"] for k in sections], steps)
    plain = cost.plain * steps
    return (
        f"| {name} | {counted} of {steps:,} | {plain / 1e6:,.1f} | {cost.total / 1e6:,.2f} | "
        f"{100 * cost.total / plain:+.2f}% | "
        + " | ".join(f"{cost.costs[kind] / 1e3:,.0f}" for kind in ("recorded", "followed", "light"))
        + " |"
    )


def run_counted(name: str, steps: int, mark_each: bool) -> None:
    """Train without and with the doctor under callgrind, and mark the whole loop or each update."""
    counter = Counter()
    torch.set_num_threads(1)
    network, rows = loop_overhead.build_network(name), loop_overhead.generate_rows(name)

    def train(with_doctor: bool, length: int, mark: Callable[[], None]) -> None:
        trained = copy.deepcopy(network)
        optimizer = torch.optim.SGD(trained.parameters(), lr=0.01, momentum=0.9)
        with yisheng.doctor(trained, optimizer) if with_doctor else contextlib.nullcontext():
            mark()
            loop_overhead.update(trained, optimizer, *rows, loop_overhead.MODELS[name][2], length, mark)

    for with_doctor in (False, True):
        train(with_doctor, min(steps, WARM_UP_STEPS), lambda: None)
    for with_doctor in (False, True):
        label, number = "doctor" if with_doctor else "plain", 0

        def mark(label: str = label) -> None:
            nonlocal number
            counter.mark(f"{label} {number}")
            number += 1

        counter.start()
        train(with_doctor, steps, mark if mark_each else lambda: None)
        counter.mark(f"{label} {number}" if mark_each else label)
        counter.stop()


if __name__ == "__main__":
    run_counted(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "each")
