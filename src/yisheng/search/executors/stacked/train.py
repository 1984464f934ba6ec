"""Stacked training: many jobs in one pass, each with the numbers of its serial training up to rounding."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from yisheng.core import machine
from yisheng.core.dataset import Dataset
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.search.executors.serial import Trainer
from yisheng.search.executors.stacked import chunks
from yisheng.search.executors.stacked.chunks import Group
from yisheng.search.executors.stacked.state import StackedJob, StackedState
from yisheng.search.jobs import Job, Outcome


def train_stacked(jobs: Sequence[Job], data: Dataset, *, chunk: int | None = None) -> Iterator[Outcome]:
    """Train all jobs whose networks have the same shapes in one pass; yield each outcome as soon as it is ready.

    Every job has the initial weights, batches, dropout masks, schedule and score of its serial training, so its numbers
    are the same up to rounding. On a CPU several chunks are trained in parallel, each on one thread.

    Args:
        jobs: the jobs, in any order; jobs of different shapes are trained in several passes.
        data: the data of all jobs.
        chunk: number of models per pass; by default as many as fit the cache.

    Raises:
        UsageError: jobs cannot be stacked (the error gives the reason), or ``chunk`` is below 1.
        DataError: a part contains values that are not finite.
    """
    if chunk is not None and chunk < 1:
        raise UsageError(
            Message("chunk must be 1 or more, got {chunk}", chunk=chunk), Message("remove chunk to have it chosen")
        )
    yield from train_groups(chunks.group_jobs(jobs), Trainer(data), chunk=chunk)


def train_groups(groups: Sequence[Group], trainer: Trainer, *, chunk: int | None = None) -> Iterator[Outcome]:
    """Train groups of jobs, each in one pass; see `train_stacked`.

    Args:
        groups: the groups.
        trainer: assembles the jobs.
        chunk: number of models per pass; by default as many as fit the cache.

    Raises:
        UsageError: some jobs cannot be stacked.
    """
    for group in groups:
        if reason := chunks.explain_refused_config(group.first.config):
            raise refuse_stacking(reason)
    on_cpu = all(machine.select_device(group.first.config.device).type == "cpu" for group in groups)
    workers = torch.get_num_threads() if on_cpu else 1
    stop = threading.Event()
    one_thread = machine.use_threads(1) if on_cpu else contextlib.nullcontext()
    with one_thread, ThreadPoolExecutor(workers) as pool:
        pending: list[Future[list[Outcome]]] = []
        try:
            for stacked_jobs in _assemble_chunks(groups, trainer, chunk, workers):
                pending.append(pool.submit(train_chunk, stacked_jobs, stop))
                while len(pending) > workers:
                    yield from pending.pop(0).result()
            while pending:
                yield from pending.pop(0).result()
        finally:
            stop.set()  # a caller that stops iterating does not wait for the other chunks


def refuse_stacking(reason: str) -> UsageError:
    """Return the error for jobs that cannot be stacked."""
    return UsageError(Message("these jobs cannot be stacked: {reason}", reason=reason), Message("use executor=serial"))


def _assemble_chunks(
    groups: Sequence[Group], trainer: Trainer, chunk: int | None, workers: int
) -> Iterator[list[StackedJob]]:
    """Yield assembled jobs that can be trained in one pass."""
    for group in groups:
        first = trainer.assemble(group.first)
        if reason := chunks.explain_refused_network(first):
            raise refuse_stacking(reason)
        for part in group.chunks(chunk or chunks.count_models_per_chunk(first, len(group), workers)):
            by_key: dict[str, list[StackedJob]] = {}
            for number, stream in enumerate(part.streams):
                for job in stream:
                    assembly = trainer.assemble(job)
                    key = chunks.stacking_key(assembly)
                    by_key.setdefault(key, []).append(StackedJob(job, assembly, number))
            yield from by_key.values()


def train_chunk(stacked_jobs: Sequence[StackedJob], stop: threading.Event | None = None) -> list[Outcome]:
    """Train jobs of one shape in one pass.

    Args:
        stacked_jobs: the assembled jobs.
        stop: set by the caller to stop early; the result is empty then.
    """
    start = time.perf_counter()
    state = StackedState(stacked_jobs)
    while state.is_training and not (stop and stop.is_set()):
        state.epoch(stop)
    if stop and stop.is_set():
        return []
    seconds = (time.perf_counter() - start) / len(stacked_jobs)
    return [stacked_job.outcome(seconds) for stacked_job in stacked_jobs]
