"""Jobs as tasks of a cluster: as many in each task as take about a second."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from yisheng.core.dataset import Dataset, Split
from yisheng.search.executors.cluster import MIN_TASK_SECONDS, Cluster
from yisheng.search.executors.sent_data import (
    Loader,
    SentConfig,
    SentData,
    describe_data,
    receive_config,
    receive_data,
    send_config,
)
from yisheng.search.executors.serial import Trainer, require_importable
from yisheng.search.jobs import Job, Outcome


@dataclass(frozen=True)
class _SentJob:
    """A job, with the number of its split."""

    key: str
    config: SentConfig
    split: int


def train_on_cluster(
    cluster: Cluster, jobs: Sequence[Job], data: Dataset, load: Loader | None = None
) -> Iterator[Outcome]:
    """Train every job with one thread, as several processes of `yisheng.search.executors.serial` do.

    Args:
        cluster: where to train.
        jobs: the jobs.
        data: their data.
        load: loads the data in another process; None if only this process has it.

    Returns:
        An outcome for each job, in the order in which they end.

    Raises:
        UsageError: a choice of a config does not fit the data; see also `Cluster.run`.
        DataError: the data cannot be trained on, or a machine has other data.
        ProcessError: see `Cluster.run`.
    """
    require_importable(job.config for job in jobs)
    splits = list({id(job.split): job.split for job in jobs}.values())
    number = {id(split): n for n, split in enumerate(splits)}
    pending = deque(_SentJob(job.key, send_config(job.config), number[id(job.split)]) for job in jobs)
    seconds: list[float] = []

    def next_chunk(cores: int) -> list[_SentJob] | None:
        size = min(len(pending), _chunk_size(seconds, len(pending), cores))
        return [pending.popleft() for _ in range(size)] or None

    for results in cluster.run(_train_chunk, (describe_data(data, load), splits), next_chunk):
        for outcome, arrays in results:
            seconds.append(outcome.seconds)
            yield replace(outcome, weights={name: torch.from_numpy(a.copy()) for name, a in arrays.items()})


def _chunk_size(seconds: Sequence[float], pending: int, cores: int) -> int:
    """Return the number of jobs of the next task: as many as take `MIN_TASK_SECONDS`, few enough for all cores.

    >>> _chunk_size([], 100, 4), _chunk_size([0.1], 100, 4), _chunk_size([0.1], 12, 4), _chunk_size([5.0], 9, 2)
    (1, 10, 3, 1)
    """
    if not seconds:
        return 1
    size = math.ceil(MIN_TASK_SECONDS / max(statistics.median(seconds), 1e-6))
    return max(1, min(size, pending // cores))


_latest: list[tuple[str, Trainer, Sequence[Split]]] = []
"""In a process of the cluster: the trainer of the latest data, and the splits, whose identity it goes by."""


def _train_chunk(
    shared: tuple[SentData, Sequence[Split]], jobs: Sequence[_SentJob]
) -> list[tuple[Outcome, dict[str, Any]]]:
    """Train some jobs in a process of the cluster; return outcomes and weights."""
    sent, splits = shared
    if not _latest or _latest[0][0] != sent.token:
        _latest[:] = [(sent.token, Trainer(receive_data(sent)), splits)]
    _, trainer, splits = _latest[0]
    results = []
    for job in jobs:
        outcome = trainer.train(Job(job.key, receive_config(job.config), splits[job.split]))
        arrays = {name: value.cpu().numpy() for name, value in outcome.weights.items()}
        results.append((replace(outcome, weights={}, executor="cluster"), arrays))
    return results
