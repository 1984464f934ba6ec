"""One by one, or all in one pass: measured on a few updates of both, then decided and said."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import torch

from yisheng.core import machine
from yisheng.core.errors import NonFiniteError
from yisheng.core.types import Dataset
from yisheng.search.executors.serial import Trainer, serial
from yisheng.search.executors.stacked import chunks, layers
from yisheng.search.executors.stacked.chunks import Group
from yisheng.search.executors.stacked.state import Member, Slots
from yisheng.search.executors.stacked.train import one_pass
from yisheng.search.jobs import Job, Outcome
from yisheng.training.monitored import threads_worth
from yisheng.training.setup import Assembly

How = Literal["auto", "serial", "stacked"]
Say = Callable[[str], object]

TRIED = 16
"""Models that a pass is measured with, at most: how many more there are hardly matters then."""
STEPS = 6
"""Updates that are measured of each way; the first of them, which also makes the optimiser's memory, does not count."""
WORTH_MEASURING = 20
"""Trainings of fewer times `STEPS` updates are over before a measurement has paid."""
SMALL = 500_000
"""Weights of a sequence of linear layers up to which one pass is taken where nothing was measured."""


def run(
    jobs: Sequence[Job], data: Dataset, *, how: How = "auto", processes: int = 1, say: Say = lambda _: None
) -> Iterator[Outcome]:
    """Train all jobs, each group of them in the way that is faster; gives each outcome when it is there.

    Args:
        jobs: in any order.
        data: the rows of all.
        how: ``serial``: one after the other; ``stacked``: in one pass, or not at all; ``auto``: measure and decide.
        processes: that train one by one side by side.
        say: is told which way was taken and why.

    Raises:
        UsageError: jobs that cannot be trained in one pass should be.
    """
    if how == "serial":
        say(f"one by one: {_number(jobs)}, as asked")
        yield from serial(jobs, data, processes=processes)
        return
    alone: list[Job] = []
    trainer = Trainer(data)
    for group in chunks.groups(jobs):
        found = list(itertools.chain(*group.streams))
        decided = Decided(True, "as asked") if how == "stacked" else decide(group, trainer, processes)
        say(f"{'in one pass' if decided.stacked else 'one by one'}: {_number(found)}, {decided.why}")
        if decided.stacked:
            yield from one_pass([group], trainer)
        else:
            alone += found
    if processes > 1 and alone:
        yield from serial(alone, data, processes=processes)
    else:
        yield from map(trainer.train, alone)


@dataclass(frozen=True)
class Decided:
    """A way, and the reason for it.

    Args:
        stacked: whether it is one pass.
        why: for people to read.
    """

    stacked: bool
    why: str


def decide(group: Group, trainer: Trainer, processes: int = 1) -> Decided:
    """The faster way for a group of jobs.

    Args:
        group: jobs that could be one.
        trainer: assembles them.
        processes: that would train one by one side by side.
    """
    if reason := chunks.refused(group.first.config):
        return Decided(False, f"since {reason}")
    if len(group) == 1:
        return Decided(False, "there is nothing to train it with")
    first = trainer.assemble(group.first)
    if reason := chunks.refused_network(first):
        return Decided(False, f"since {reason}")
    assert isinstance(first.config.epochs, int)  # settled
    values = sum(p.numel() for p in first.state.model.parameters())
    if first.config.epochs * len(first.train) < WORTH_MEASURING * STEPS:
        small = values <= SMALL and layers.is_chain(first.state.model)
        return Decided(small, f"networks of {values:,} weights with too few updates to measure")
    workers = torch.get_num_threads() if first.train.device.type == "cpu" else 1
    models = chunks.worth(first, len(group), workers)
    together = _together(group, trainer, models, workers)
    try:
        apart = _apart(first) / min(processes, machine.cores())
    except NonFiniteError:
        return Decided(True, "the first of them became non-finite alone (not measured)")
    figures = f"an update of a model takes {_micro(together)} in one pass and {_micro(apart)} alone (measured)"
    return Decided(together < apart, figures)


def _stepping(slots: Slots) -> Iterator[object]:
    """Updates without end."""
    return itertools.chain.from_iterable(map(slots.steps, itertools.count()))


def _together(group: Group, trainer: Trainer, models: int, workers: int) -> float:
    """Seconds of an update of a model in one pass, with all workers at it."""
    tried = next(group.chunks(min(models, TRIED)))
    side_by_side = min(workers, math.ceil(len(group) / models))

    def members() -> list[Member]:
        each = [(number, job) for number, stream in enumerate(tried.streams) for job in stream]
        found = [Member(job, trainer.assemble(job), number) for number, job in each]
        return [member for member in found if chunks.shape(member.assembly) == chunks.shape(found[0].assembly)]

    passes = [members() for _ in range(side_by_side)]
    with machine.threads(1), ThreadPoolExecutor(side_by_side) as pool:
        seconds = statistics.mean(pool.map(_timed, map(_stepping, map(Slots, passes))))
    return seconds / sum(map(len, passes))


def _apart(assembly: Assembly) -> float:
    """Seconds of an update alone."""

    def steps() -> Iterator[object]:
        state = assembly.state
        state.model.train()
        for epoch in itertools.count():
            for batch in assembly.train.epoch(epoch):
                state.advance(assembly.step(state, batch, assembly.loss), len(batch))
                yield state

    with machine.threads(threads_worth(assembly)):
        return _timed(steps())


def _timed(steps: Iterator[object]) -> float:
    """Median seconds of a step."""
    seconds = []
    for _ in range(STEPS):
        began = time.perf_counter()
        next(steps)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def _number(jobs: Sequence[Job]) -> str:
    return f"{len(jobs)} training{'s' * (len(jobs) != 1)}"


def _micro(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f} µs"
