"""What many trainings on a cluster cost, and how long they take: measured on Ray here, simulated for more cores."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from yisheng.search.executors.cluster import MIN_TASK_SECONDS, WAITING_TASKS, open_cluster

TASKS = 400
RESULT_BYTES = 20_000
"""Bytes of the result of a task: the weights of a small network."""


@dataclass(frozen=True)
class TrialCosts:
    """What the command that starts the trainings does, one after the other.

    Args:
        task: processor seconds for each task: sending it, waiting for it, receiving its result.
        start: processor seconds until the first task ends: the connection, and importing torch there.
    """

    task: float
    start: float


def measure_trial_costs() -> TrialCosts:
    """Return the costs, in processor seconds, on a cluster of one process of this machine."""
    with open_cluster("local:1") as cluster:
        (start,) = cluster.run(_take_time, None, _count_down(1))
        begin = time.process_time()
        results = list(cluster.run(_return_bytes, None, _count_down(TASKS)))
        seconds = time.process_time() - begin
    assert len(results) == TASKS
    return TrialCosts(seconds / TASKS, start)


def _count_down(count: int) -> Callable[[int], int | None]:
    remaining = iter(range(count))
    return lambda _cores: next(remaining, None)


def _take_time(_shared: Any, _argument: Any) -> float:
    """Return the processor seconds of a process of the cluster so far."""
    return time.process_time()


def _return_bytes(_shared: Any, _argument: Any) -> bytes:
    return bytes(RESULT_BYTES)


def simulate_trials(costs: TrialCosts, trials: int, workers: int, seconds: float) -> float:
    """Return the seconds of all trials on some cores.

    Tasks take at least `MIN_TASK_SECONDS`, and are as many as there are cores at least. The command sends and receives
    them one after the other; a core begins its next task when there is one that waits for it.

    Args:
        costs: of a task.
        trials: number of trials.
        workers: number of cores.
        seconds: of a trial.

    >>> simulate_trials(TrialCosts(0.0, 0.0), 8, 4, 2.0)
    4.0
    """
    size = max(1, min(int(-(-MIN_TASK_SECONDS // seconds)), trials // workers))
    sizes = [min(size, trials - first) for first in range(0, trials, size)]
    running: list[float] = []
    driver = end = 0.0
    free = [costs.start] * workers
    for number in sizes:
        if len(running) == workers + WAITING_TASKS:  # the command waits until one of them has ended
            driver = max(driver, heapq.heappop(running)) + costs.task / 2
        driver += costs.task / 2
        core = heapq.heappop(free)
        end = max(core, driver) + number * seconds
        heapq.heappush(free, end)
        heapq.heappush(running, end)
    while running:
        driver = max(driver, heapq.heappop(running)) + costs.task / 2
    return driver
