"""Programs of the benchmark, how they are run, and the plain loop, networks and scores that they share."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from benchmarks.doctor.datasets import Data
from torch import nn
from torch.nn import functional as F

from yisheng.core.findings import Finding
from yisheng.diagnosis.doctor import doctor
from yisheng.diagnosis.ranking import Diagnosis
from yisheng.diagnosis.recorder import traced

DIAGNOSED_PASSES = (1, 3, 5, 8, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 400, 600)
"""Numbers of backward passes after which the doctor diagnoses an unfinished training."""


@dataclass
class Trial:
    """One run of a program.

    Args:
        seed: seed of its data, network and batches.
        fixed: whether the fault is fixed.
        diagnose: whether the doctor records the training.
        diagnose_often: whether it diagnoses the unfinished training, too.
        checks_by_pass: the checks that it named then, by the number of backward passes.
        alarms: the checks of errors and warnings that it named then.
        diagnosis: the diagnosis at the end.
    """

    seed: int
    fixed: bool = False
    diagnose: bool = False
    diagnose_often: bool = False
    checks_by_pass: dict[int, tuple[str, ...]] = field(default_factory=dict)
    alarms: set[str] = field(default_factory=set)
    diagnosis: Diagnosis | None = None

    @property
    def checks(self) -> list[str]:
        """Return the checks that the doctor names at the end, the most likely cause first."""
        return [] if self.diagnosis is None else [finding.check for finding in self.diagnosis.findings]

    @contextlib.contextmanager
    def doctor(self, model: nn.Module, optimizer: torch.optim.Optimizer, **rows: Any) -> Iterator[Any]:
        """Run ``with yisheng.doctor(model, optimizer)`` around a training, and note its findings on the way.

        Args:
            model: the network.
            optimizer: its optimizer.
            rows: ``data=(x, y)`` and ``validation=(x, y)``, if the program gives them.
        """
        if not self.diagnose:
            yield Undiagnosed()
            return
        observer = doctor(model, optimizer, **rows)
        counter = _PassCounter(self, observer)
        traced.add_listener(counter)  # before the doctor, so that it diagnoses after the doctor has seen the pass
        try:
            with observer:
                hook = optimizer.register_step_post_hook(counter.after_update)
                try:
                    yield observer
                finally:
                    hook.remove()
        finally:
            traced.remove_listener(counter)
            self.diagnosis = observer.diagnose()
            defects = [reason for reason in self.diagnosis.unchecked.values() if "it has a defect" in reason]
            assert not defects, defects


def select_alarms(findings: Iterable[Finding]) -> set[str]:
    """Return the checks whose finding is an error or a warning."""
    return {finding.check for finding in findings if finding.severity != "note"}


class Undiagnosed:
    """Takes the doctor's place in a run without it."""

    def validation(self, **scores: float) -> None:
        """Ignore the scores."""


class _PassCounter:
    """Diagnoses the unfinished training of a trial after some of its backward passes.

    The doctor follows a loss from the network only in some steps: the others are looked at after their update.
    """

    def __init__(self, trial: Trial, observer: doctor) -> None:
        self._trial, self._observer, self._passes = trial, observer, 0

    @contextlib.contextmanager
    def observing_backward(self, *_: Any) -> Iterator[None]:
        """Diagnose after a backward pass that is followed."""
        yield
        self._diagnose_if_due()

    def after_update(self, *_: Any) -> None:
        """Diagnose after an update whose loss was not followed."""
        self._diagnose_if_due()

    def _diagnose_if_due(self) -> None:
        previous, self._passes = self._passes, self._observer._recorder.loss_observer.backwards
        due = [passes for passes in DIAGNOSED_PASSES if previous < passes <= self._passes]
        if self._trial.diagnose_often and due:
            findings = self._observer.findings
            self._trial.checks_by_pass[due[-1]] = tuple(finding.check for finding in findings)
            self._trial.alarms |= select_alarms(findings)

    def observe_loss_call(self, *_: Any) -> None:
        """Ignore calls of loss functions."""

    def note_cut(self) -> None:
        """Ignore where graphs are left."""


@dataclass(frozen=True)
class Program:
    """A training as a user would write it.

    Args:
        name: name of the program.
        number: odd for development, even for held out.
        causes: names of checks that identify its fault, the main one first; empty if nothing is wrong.
        run: trains, and returns a score on held-out rows (larger is better).
        dataset: data set that must have been downloaded, or empty.
        bound: score that a healthy program must reach, such as that of trees, by the seed of its data.
    """

    name: str
    number: int
    causes: tuple[str, ...]
    run: Callable[[Trial], float]
    dataset: str = ""
    bound: Callable[[int], float] | None = None


FAULTY: list[Program] = []
HEALTHY: list[Program] = []


def faulty(*causes: str, dataset: str = "") -> Callable[[Callable[[Trial], float]], Callable[[Trial], float]]:
    """Register a program with a fault that `Trial.fixed` fixes."""

    def register(run: Callable[[Trial], float]) -> Callable[[Trial], float]:
        FAULTY.append(Program(run.__name__, len(FAULTY) + 1, causes, run, dataset))
        return run

    return register


def healthy(run: Callable[[Trial], float]) -> Callable[[Trial], float]:
    """Register a program without a fault."""
    HEALTHY.append(Program(run.__name__, len(HEALTHY) + 1, (), run))
    return run


def healthy_with_bound(bound: Callable[[int], float]) -> Callable[[Callable[[Trial], float]], Callable[[Trial], float]]:
    """Register a program without a fault whose score reaches a bound, which depends on the seed of its data."""

    def register(run: Callable[[Trial], float]) -> Callable[[Trial], float]:
        HEALTHY.append(Program(run.__name__, len(HEALTHY) + 1, (), run, bound=bound))
        return run

    return register


def batches(data: Data, size: int, steps: int, seed: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield shuffled batches, epoch after epoch."""
    generator = torch.Generator().manual_seed(seed)
    step = 0
    while True:
        for rows in torch.randperm(len(data.x), generator=generator).split(size):
            if step == steps:
                return
            if len(rows) > 1:
                yield data.x[rows], data.y[rows]
                step += 1


def mlp(*widths: int, act: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Return linear layers with an activation between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), act()]
    return nn.Sequential(*layers[:-1])


def lenet(classes: int = 10, act: type[nn.Module] = nn.ReLU, channels: int = 1, side: int = 8) -> nn.Sequential:
    """Return a small convolutional network."""
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1),
        act(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        act(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * (side // 4) ** 2, 64),
        act(),
        nn.Linear(64, classes),
    )


def train(
    t: Trial,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: Data,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = F.cross_entropy,
    *,
    steps: int = 250,
    size: int = 32,
    schedule: Any = None,
) -> None:
    """Train in a plain loop, for the programs whose fault is elsewhere."""
    model.train()
    with t.doctor(model, optimizer):
        for x, y in batches(data, size, steps, t.seed):
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()


@torch.no_grad()
def accuracy(model: nn.Module, data: Data) -> float:
    """Return the fraction of the held-out rows whose class is predicted correctly."""
    model.eval()
    return float((model(data.x_test).argmax(1) == data.y_test).float().mean())


@torch.no_grad()
def binary_accuracy(model: nn.Module, data: Data, threshold: float = 0.0) -> float:
    """Return the same for a network of one output unit."""
    model.eval()
    return float(((model(data.x_test).flatten() > threshold).long() == data.y_test).float().mean())


@torch.no_grad()
def r2(model: nn.Module, data: Data) -> float:
    """Return R² on the held-out rows, at least -10."""
    model.eval()
    error = F.mse_loss(model(data.x_test).reshape(data.y_test.shape), data.y_test)
    value = float(1 - error / data.y_test.var(correction=0))
    return max(-10.0, value) if value == value else -10.0
