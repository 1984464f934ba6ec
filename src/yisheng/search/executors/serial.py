"""The serial executor: one job after the other, in this process or in several. Other executors must agree with it."""

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
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import NonFiniteError, UsageError, YishengError
from yisheng.core.events import EpochEnd
from yisheng.core.messages import Message
from yisheng.core.references import IN_MEMORY
from yisheng.evaluation.scorer import make_scorer
from yisheng.search.jobs import Job, Outcome
from yisheng.training.fit_assembly import fit_assembly
from yisheng.training.part_batches import FittedTransforms
from yisheng.training.setup import Assembly, assemble
from yisheng.training.threads import count_useful_threads


def train_serial(jobs: Iterable[Job], data: Dataset, *, processes: int = 1) -> Iterator[Outcome]:
    """Train every job as `yisheng train` trains its config: on a CPU with as many threads, to the same bits.

    Args:
        jobs: the jobs.
        data: the data; it is sent to each process once.
        processes: number of processes, each with one thread; 1 trains in this process. Each process imports the main
            module of the program again, so a script must start its work below ``if __name__ == "__main__":``.

    Returns:
        An outcome for each job; from one process in the order of the jobs, from several in the order in which they
        end. The processes end with the iterator, also if it is not exhausted.

    Raises:
        UsageError: a choice of a config does not fit the data.
        DataError: the data cannot be trained on.
    """
    if processes == 1:
        trainer = Trainer(data)
        for job in jobs:
            yield trainer.train(job)
        return
    jobs = list(jobs)
    require_importable(job.config for job in jobs)
    yield from _train_in_processes(jobs, data, processes)


def require_importable(configs: Iterable[Config], *, otherwise: str = Message("train in this process")) -> None:
    """Refuse components that another process cannot import.

    Args:
        configs: with the components.
        otherwise: what to do if they cannot be put into a file.

    Raises:
        UsageError: there is one.
    """
    for config in configs:
        for key, choice in config.custom_choices().items():
            if choice.name.startswith(f"{IN_MEMORY}:"):
                raise UsageError(
                    Message(
                        "{key}={name} exists in this process only, processes= and cluster= train in others",
                        key=key,
                        name=choice.name,
                    ),
                    Message("put it into a file (model=net.py:Net), or {otherwise}", otherwise=otherwise),
                )


class Trainer:
    """Trains jobs on one data set; jobs with the same rows and scaling share their fitted transforms.

    Args:
        data: the data.
    """

    def __init__(self, data: Dataset) -> None:
        self._data = data
        self._fitted: dict[Any, tuple[Split, FittedTransforms]] = {}  # with the split, so that its id stays unique

    def assemble(self, job: Job) -> Assembly:
        """Assemble the training of a job.

        Raises:
            UsageError: a choice of its config does not fit the data.
            DataError: the data cannot be trained on.
        """
        config = job.config
        key = (id(job.split), repr(config.scale), repr(config.target_scale))
        fitted = self._fitted[key][1] if key in self._fitted else None
        assembly = assemble(config, self._data, job.split, machine.select_device(config.device), fitted=fitted)
        if fitted is None:
            transforms = FittedTransforms(assembly.transforms["input"], assembly.transforms["target"])
            self._fitted[key] = job.split, transforms
        return assembly

    def train(self, job: Job) -> Outcome:
        """Train a job to its end."""
        assembly = self.assemble(job)
        with machine.use_threads(count_useful_threads(assembly)):
            return _train_assembly(job, assembly)


def _train_assembly(job: Job, assembly: Assembly) -> Outcome:
    """Train an assembled job; non-finite values are an outcome, too."""
    start = time.perf_counter()
    history: list[float] = []
    scores: dict[int, Any] = {}
    failure = ""
    try:
        # The score of a fold must not choose the epoch at which it is measured.
        for event in fit_assembly(assembly, make_scorer, choose_best=job.config.fold is None):
            if isinstance(event, EpochEnd):
                history.append(event.loss)
                scores[event.epoch] = event.scores
    except NonFiniteError as error:
        failure = error.problem
    best, seconds = assembly.state.best, time.perf_counter() - start
    if failure:
        return Outcome(job.key, {}, 0, seconds, tuple(history), failure)
    return Outcome(job.key, scores[best.epoch], best.epoch, seconds, tuple(history), weights=best.weights)


def _train_in_processes(jobs: Sequence[Job], data: Dataset, processes: int) -> Iterator[Outcome]:
    """Send each process its next job when it has finished one."""
    splits = list({id(job.split): job.split for job in jobs}.values())
    number = {id(split): n for n, split in enumerate(splits)}
    pending = [(job.key, job.config, number[id(job.split)]) for job in reversed(jobs)]
    context = multiprocessing.get_context("spawn")
    workers: dict[Connection, SpawnProcess] = {}
    try:
        for _ in range(min(processes, len(jobs))):
            connection, worker_end = context.Pipe()
            worker = context.Process(target=_run_worker, args=(worker_end, data, splits), daemon=True)
            worker.start()
            worker_end.close()  # if only the worker has it open, its death closes the connection
            workers[connection] = worker
            connection.send(pending.pop())
        busy = set(workers)
        while busy:
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                outcome = _receive_outcome(ready, workers[ready])
                if pending:
                    ready.send(pending.pop())
                else:
                    busy.discard(ready)
                    ready.close()
                yield outcome
    finally:
        for connection, worker in workers.items():
            connection.close()
            worker.terminate()
        for worker in workers.values():
            worker.join()


def _receive_outcome(connection: Connection, worker: SpawnProcess) -> Outcome:
    """Receive the outcome of a worker's job, or raise its error."""
    try:
        result, arrays = connection.recv()
    except (EOFError, ConnectionResetError):
        worker.join()
        raise RuntimeError(f"a training process ended by itself (exit code {worker.exitcode})") from None
    if isinstance(result, BaseException):
        raise result
    outcome: Outcome = replace(result, weights={name: torch.from_numpy(value) for name, value in arrays.items()})
    return outcome


def _run_worker(connection: Connection, data: Dataset, splits: Sequence[Split]) -> None:
    """Train the jobs that arrive, until the connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the main process
    torch.set_num_threads(1)
    trainer = Trainer(data)
    while True:
        try:
            key, config, number = connection.recv()
        except EOFError:
            return
        result: Outcome | Exception
        arrays: dict[str, Any] = {}  # tensors would be sent through shared memory, which needs a file for each
        try:
            result = trainer.train(Job(key, config, splits[number]))
            arrays = {name: value.cpu().numpy() for name, value in result.weights.items()}
            result = replace(result, weights={})
        except YishengError as error:
            result = error
        except Exception as error:
            result = RuntimeError(f"{type(error).__name__}: {error}")
        try:
            connection.send((result, arrays))
        except OSError:  # the main process has closed the connection
            return
