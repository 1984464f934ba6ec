"""One training after the other, in this process or in several: what all else must agree with."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

import torch

from yisheng.core import machine
from yisheng.core.errors import NonFiniteError, YishengError
from yisheng.core.types import Dataset, Epoched, Split
from yisheng.evaluation.scorer import make_scorer
from yisheng.search.jobs import Job, Outcome
from yisheng.training.monitored import listened, threads_worth
from yisheng.training.setup import Assembly, Prepared, assemble


def serial(jobs: Iterable[Job], data: Dataset, *, processes: int = 1) -> Iterator[Outcome]:
    """Train every job as `yisheng train` would train its config: on a CPU the same to the bit with as many threads.

    Args:
        jobs: what to train.
        data: the data, given to each process once.
        processes: how many train side by side, each with one thread; 1 trains in this process. Each imports the
            program's main module again, so a script must keep its doings below ``if __name__ == "__main__":``.

    Returns:
        An outcome for each job; in their order from one process, as they end from several. Processes end with the
        iterator, whether it was listened to up to its end or not.

    Raises:
        UsageError: a choice of a config does not fit the data.
        DataError: the data does not do for a training.
    """
    if processes == 1:
        trainer = Trainer(data)
        for job in jobs:
            yield trainer.train(job)
        return
    yield from _side_by_side(list(jobs), data, processes)


class Trainer:
    """Trains jobs on one data set; transforms of the same part and scalings are fitted once.

    Args:
        data: the data.
    """

    def __init__(self, data: Dataset) -> None:
        self._data = data
        self._prepared: dict[Any, tuple[Split, Prepared]] = {}  # the split is kept: its id stays its own

    def assemble(self, job: Job) -> Assembly:
        """A job at its beginning.

        Raises:
            UsageError: a choice of its config does not fit the data.
            DataError: the data does not do for a training.
        """
        config = job.config
        key = (id(job.split), repr(config.scale), repr(config.target_scale))
        known = self._prepared[key][1] if key in self._prepared else None
        found = assemble(config, self._data, job.split, machine.device(config.device), prepared=known)
        if known is None:
            self._prepared[key] = job.split, Prepared(found.transforms["input"], found.transforms["target"])
        return found

    def train(self, job: Job) -> Outcome:
        """Train a job to its end."""
        assembly = self.assemble(job)
        with machine.threads(threads_worth(assembly)):
            return _run(job, assembly)


def _run(job: Job, assembly: Assembly) -> Outcome:
    """Listen to a training; numbers that are no longer finite are an outcome too."""
    began = time.perf_counter()
    history: list[float] = []
    scores: dict[int, Any] = {}
    failure = ""
    try:
        # The score of a fold must not choose the epoch that it is measured at.
        for event in listened(assembly, make_scorer, choose=job.config.fold is None):
            if isinstance(event, Epoched):
                history.append(event.loss)
                scores[event.epoch] = event.scores
    except NonFiniteError as error:
        failure = error.problem
    best, seconds = assembly.state.best, time.perf_counter() - began
    if failure:
        return Outcome(job.key, {}, 0, seconds, tuple(history), failure)
    return Outcome(job.key, scores[best.epoch], best.epoch, seconds, tuple(history), weights=best.weights)


def _side_by_side(jobs: Sequence[Job], data: Dataset, processes: int) -> Iterator[Outcome]:
    """Hand each process its next job when it has ended one."""
    splits = list({id(job.split): job.split for job in jobs}.values())
    number = {id(split): n for n, split in enumerate(splits)}
    waiting = [(job.key, job.config, number[id(job.split)]) for job in reversed(jobs)]
    context = multiprocessing.get_context("spawn")
    workers: dict[Connection, SpawnProcess] = {}
    try:
        for _ in range(min(processes, len(jobs))):
            here, there = context.Pipe()
            worker = context.Process(target=_work, args=(there, data, splits), daemon=True)
            worker.start()
            there.close()  # its end is the worker's alone: when the worker is gone, this end hears of it
            workers[here] = worker
            here.send(waiting.pop())
        busy = set(workers)
        while busy:
            for line in wait(list(busy)):
                assert isinstance(line, Connection)
                outcome = _answer(line, workers[line])
                if waiting:
                    line.send(waiting.pop())
                else:
                    busy.discard(line)
                    line.close()
                yield outcome
    finally:
        for line, worker in workers.items():
            line.close()
            worker.terminate()
        for worker in workers.values():
            worker.join()


def _answer(line: Connection, worker: SpawnProcess) -> Outcome:
    """What a process says of its job."""
    try:
        answer, arrays = line.recv()
    except (EOFError, ConnectionResetError):
        worker.join()
        raise RuntimeError(f"a training process ended by itself (exit code {worker.exitcode})") from None
    if isinstance(answer, BaseException):
        raise answer
    outcome: Outcome = replace(answer, weights={name: torch.from_numpy(value) for name, value in arrays.items()})
    return outcome


def _work(line: Connection, data: Dataset, splits: Sequence[Split]) -> None:
    """A process that trains what it is handed, until there is no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that hands out
    torch.set_num_threads(1)
    trainer = Trainer(data)
    while True:
        try:
            key, config, number = line.recv()
        except EOFError:
            return
        answer: Outcome | Exception
        arrays: dict[str, Any] = {}  # as tensors torch would share their memory, and files with it
        try:
            answer = trainer.train(Job(key, config, splits[number]))
            arrays = {name: value.cpu().numpy() for name, value in answer.weights.items()}
            answer = replace(answer, weights={})
        except YishengError as error:
            answer = error
        except Exception as error:
            answer = RuntimeError(f"{type(error).__name__}: {error}")
        try:
            line.send((answer, arrays))
        except OSError:  # nobody listens any more
            return
