"""Many trainings in one pass: networks over a leading model axis, each with the numbers of its training alone."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from yisheng.core import machine
from yisheng.core.errors import UsageError
from yisheng.core.types import Dataset
from yisheng.search.executors.serial import Trainer
from yisheng.search.executors.stacked import chunks
from yisheng.search.executors.stacked.chunks import Group
from yisheng.search.executors.stacked.state import Member, Slots
from yisheng.search.jobs import Job, Outcome
from yisheng.training.setup import Assembly


def stacked(jobs: Sequence[Job], data: Dataset, *, chunk: int | None = None) -> Iterator[Outcome]:
    """Train all jobs whose networks share shapes in one pass; gives each outcome when it is there.

    Every job has the initial weights, batches, dropout masks, schedule and score of its training alone, so its numbers
    are those up to rounding. On a CPU chunks are trained side by side, each on one thread.

    Args:
        jobs: in any order; those that cannot be one are trained in several passes.
        data: the rows of all.
        chunk: models of a pass; by default as many as fit the cache.

    Raises:
        UsageError: some cannot be trained so (the error says why), or ``chunk`` is below 1.
        DataError: a part holds values that are not finite.
    """
    if chunk is not None and chunk < 1:
        raise UsageError(f"chunk must be 1 or more, got {chunk}", "leave it out to have it chosen")
    yield from one_pass(chunks.groups(jobs), Trainer(data), chunk=chunk)


def one_pass(found: Sequence[Group], trainer: Trainer, *, chunk: int | None = None) -> Iterator[Outcome]:
    """Train groups of jobs, each in one pass; see `stacked`.

    Args:
        found: the groups.
        trainer: assembles the jobs.
        chunk: models of a pass; by default as many as fit the cache.

    Raises:
        UsageError: some cannot be trained so.
    """
    for group in found:
        if reason := chunks.refused(group.first.config):
            raise refusal(reason)
    ready = ((group, trainer.assemble(group.first)) for group in found)
    cpu = all(machine.device(group.first.config.device).type == "cpu" for group in found)
    workers = torch.get_num_threads() if cpu else 1
    parts = _parts(ready, trainer, chunk, workers)
    stop = threading.Event()
    with machine.threads(1) if cpu else contextlib.nullcontext(), ThreadPoolExecutor(workers) as pool:
        waiting: list[Future[list[Outcome]]] = []
        try:
            for members in parts:
                waiting.append(pool.submit(train, members, stop))
                while len(waiting) > workers:
                    yield from waiting.pop(0).result()
            while waiting:
                yield from waiting.pop(0).result()
        finally:
            stop.set()  # whoever stops listening does not wait for the rest


def refusal(reason: str) -> UsageError:
    """The error about jobs that cannot be trained as one."""
    return UsageError(f"these jobs cannot be trained as one: {reason}", "train them one by one")


def _parts(
    found: Iterator[tuple[Group, Assembly]], trainer: Trainer, chunk: int | None, workers: int
) -> Iterator[list[Member]]:
    """Assembled jobs that can be trained in one pass."""
    for group, first in found:
        if reason := chunks.refused_network(first):
            raise refusal(reason)
        for part in group.chunks(chunk or chunks.worth(first, len(group), workers)):
            alike: dict[str, list[Member]] = {}
            for number, stream in enumerate(part.streams):
                for job in stream:
                    assembly = trainer.assemble(job)
                    alike.setdefault(chunks.shape(assembly), []).append(Member(job, assembly, number))
            yield from alike.values()


def train(members: Sequence[Member], stop: threading.Event | None = None) -> list[Outcome]:
    """Train jobs of one shape in one pass.

    Args:
        members: assembled.
        stop: set from outside to end early; nothing comes of the jobs then.
    """
    began = time.perf_counter()
    slots = Slots(members)
    while slots.alive and not (stop and stop.is_set()):
        slots.epoch(stop)
    if stop and stop.is_set():
        return []
    seconds = (time.perf_counter() - began) / len(members)
    return [member.outcome(seconds) for member in members]
