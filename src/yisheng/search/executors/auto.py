"""The choice of an executor: serial or stacked, measured on a few updates of both."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import torch

from yisheng.core import machine
from yisheng.core.dataset import Dataset
from yisheng.core.errors import NonFiniteError
from yisheng.core.logging import logger
from yisheng.core.messages import Message, plural_message
from yisheng.search.executors.cluster import Cluster
from yisheng.search.executors.cluster_jobs import train_on_cluster
from yisheng.search.executors.sent_data import Loader
from yisheng.search.executors.serial import Trainer, train_serial
from yisheng.search.executors.stacked import chunks, layers
from yisheng.search.executors.stacked.chunks import Group
from yisheng.search.executors.stacked.state import StackedJob, StackedState
from yisheng.search.executors.stacked.train import train_groups
from yisheng.search.jobs import Job, Outcome
from yisheng.training.setup import Assembly
from yisheng.training.threads import count_useful_threads

Executor = Literal["auto", "serial", "stacked"]

MAX_TIMED_MODELS = 16
"""Models to time a stacked update with, at most: the time per model hardly changes with more."""
TIMED_STEPS = 6
"""Updates to time with each executor; the first one, which also allocates the optimizer's state, does not count."""
MIN_UPDATES = 20 * TIMED_STEPS
"""Updates of a training below which timing takes longer than it saves."""
MAX_SMALL_CHAIN_WEIGHTS = 500_000
"""Weights of a sequence of linear layers up to which it is trained stacked if nothing is timed."""


def run_jobs(
    jobs: Sequence[Job],
    data: Dataset,
    *,
    executor: Executor = "auto",
    processes: int = 1,
    cluster: Cluster | None = None,
    load: Loader | None = None,
) -> Iterator[Outcome]:
    """Train all jobs, each group of them by the faster executor; yield each outcome as soon as it is ready.

    Args:
        jobs: the jobs, in any order.
        data: the data of all jobs.
        executor: ``serial``: one job after the other; ``stacked``: many jobs in one pass, or an error if that is not
            possible; ``auto``: time both and choose.
        processes: number of processes for serial training.
        cluster: trains all jobs, whatever the executor.
        load: loads the data in a process of the cluster; None if only this one has it.

    Raises:
        UsageError: jobs that cannot be stacked with ``executor="stacked"``.
    """
    if cluster is not None:
        logger.info(
            Message("cluster: {trainings} on {cores} cores", trainings=_count(jobs), cores=cluster.count_cores())
        )
        yield from train_on_cluster(cluster, jobs, data, load)
        return
    if executor == "serial":
        logger.info(Message("serial: {trainings}, as requested", trainings=_count(jobs)))
        yield from train_serial(jobs, data, processes=processes)
        return
    serial_jobs: list[Job] = []
    trainer = Trainer(data)
    for group in chunks.group_jobs(jobs):
        group_jobs = list(itertools.chain(*group.streams))
        if executor == "stacked":
            choice = ExecutorChoice("stacked", Message("as requested"))
        else:
            choice = choose_executor(group, trainer, processes)
        values = {"executor": choice.executor, "trainings": _count(group_jobs), "reason": choice.reason}
        logger.info(Message("{executor}: {trainings}, {reason}", **values))
        if choice.executor == "stacked":
            yield from train_groups([group], trainer)
        else:
            serial_jobs += group_jobs
    if processes > 1 and serial_jobs:
        yield from train_serial(serial_jobs, data, processes=processes)
    else:
        yield from map(trainer.train, serial_jobs)


@dataclass(frozen=True)
class ExecutorChoice:
    """An executor and the reason for it.

    Args:
        executor: ``serial`` or ``stacked``.
        reason: the reason, for the user.
    """

    executor: Literal["serial", "stacked"]
    reason: str


def choose_executor(group: Group, trainer: Trainer, processes: int = 1) -> ExecutorChoice:
    """Choose the faster executor for a group of jobs.

    Args:
        group: jobs whose configs can be stacked with one another.
        trainer: assembles the jobs.
        processes: number of processes for serial training.
    """
    if reason := chunks.explain_refused_config(group.first.config):
        return ExecutorChoice("serial", Message("since {reason}", reason=reason))
    if len(group) == 1:
        return ExecutorChoice("serial", Message("since there is no other job of this form"))
    first = trainer.assemble(group.first)
    if reason := chunks.explain_refused_network(first):
        return ExecutorChoice("serial", Message("since {reason}", reason=reason))
    weights = sum(p.numel() for p in first.state.model.parameters())
    if first.config.epochs * len(first.train) < MIN_UPDATES:
        is_small = weights <= MAX_SMALL_CHAIN_WEIGHTS and layers.is_chain(first.state.model)
        reason = Message("networks of {weights} weights with too few updates to time", weights=f"{weights:,}")
        return ExecutorChoice("stacked" if is_small else "serial", reason)
    workers = torch.get_num_threads() if first.train.device.type == "cpu" else 1
    models = chunks.count_models_per_chunk(first, len(group), workers)
    stacked_seconds = _time_stacked(group, trainer, models, workers)
    try:
        serial_seconds = _time_serial(first) / min(processes, machine.count_cores())
    except NonFiniteError:
        return ExecutorChoice("stacked", Message("since the first job became non-finite while it was timed"))
    return ExecutorChoice(
        "stacked" if stacked_seconds < serial_seconds else "serial",
        Message(
            "an update of a model takes {stacked} stacked and {serial} serial (measured)",
            stacked=_format_micro(stacked_seconds),
            serial=_format_micro(serial_seconds),
        ),
    )


def _repeat_epochs(state: StackedState) -> Iterator[object]:
    """Make updates without end."""
    return itertools.chain.from_iterable(map(state.steps, itertools.count()))


def _time_stacked(group: Group, trainer: Trainer, models: int, workers: int) -> float:
    """Return the seconds of a stacked update, per model, while all workers compute."""
    chunk = next(group.chunks(min(models, MAX_TIMED_MODELS)))
    passes = min(workers, math.ceil(len(group) / models))

    def assemble_chunk() -> list[StackedJob]:
        numbered = [(number, job) for number, stream in enumerate(chunk.streams) for job in stream]
        stacked_jobs = [StackedJob(job, trainer.assemble(job), number) for number, job in numbered]
        key = chunks.stacking_key(stacked_jobs[0].assembly)
        return [stacked_job for stacked_job in stacked_jobs if chunks.stacking_key(stacked_job.assembly) == key]

    assembled = [assemble_chunk() for _ in range(passes)]
    with machine.use_threads(1), ThreadPoolExecutor(passes) as pool:
        seconds = statistics.mean(pool.map(_time_step, map(_repeat_epochs, map(StackedState, assembled))))
    return seconds / sum(map(len, assembled))


def _time_serial(assembly: Assembly) -> float:
    """Return the seconds of an update of a single model."""

    def steps() -> Iterator[object]:
        state = assembly.state
        state.model.train()
        for epoch in itertools.count():
            for batch in assembly.train.epoch(epoch):
                state.advance(assembly.step(state, batch, assembly.loss), len(batch))
                yield state

    with machine.use_threads(count_useful_threads(assembly)):
        return _time_step(steps())


def _time_step(steps: Iterator[object]) -> float:
    """Return the median seconds of a step."""
    seconds = []
    for _ in range(TIMED_STEPS):
        start = time.perf_counter()
        next(steps)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def _count(jobs: Sequence[Job]) -> Message:
    return plural_message(len(jobs), "{n} training", "{n} trainings", n=len(jobs))


def _format_micro(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f} µs"
