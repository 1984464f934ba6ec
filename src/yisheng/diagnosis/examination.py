"""Examine a network: train a copy of it for some steps, diagnose the training, and try the remedies."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from yisheng.core import nested
from yisheng.core.errors import UsageError, YishengError
from yisheng.core.events import Batch
from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.alternatives import add_alternatives
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.example_batches import hold_out, preserve_loader_generators, split_batches
from yisheng.diagnosis.experiments import (
    EXPERIMENT_STEPS,
    ExperimentResults,
    TrainingSetup,
    run_experiments,
    verify_findings,
)
from yisheng.diagnosis.gradcheck import check_backward
from yisheng.diagnosis.ranking import Diagnosis, add_findings, diagnose
from yisheng.diagnosis.recorder.recorder import Recorder
from yisheng.diagnosis.row_checks import examine_rows
from yisheng.diagnosis.training_state import preserve_training_state
from yisheng.training.setup import Assembly
from yisheng.training.update import Precision, mean_loss

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
MAX_ERROR_LENGTH = 300
"""Characters of another library's error that are repeated."""


def examine(
    model: nn.Module,
    data: tuple[torch.Tensor, torch.Tensor] | Iterable[Any],
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    *,
    steps: int = 200,
) -> Diagnosis:
    """Train a copy of a network for some steps, diagnose the training, and try the remedies.

    The rows are examined by the cheap checks of the data, and custom backward passes are compared with finite
    differences of their forward passes. Network, optimizer and random generators are the same to the bit afterwards.
    The data is read once.

    Args:
        model: the network.
        data: inputs and targets ``(x, y)``, or batches of such pairs, such as a DataLoader.
        loss: ``(output, y)`` -> mean loss ``()``, or a loss per sample.
        optimizer: the optimizer of the network's parameters.
        steps: updates to record; 200 (default) are enough for what shows at the beginning.

    Raises:
        UsageError: an argument has the wrong type, or network, data, loss and optimizer do not fit together.

    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(256, 4)
    >>> net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))
    >>> sgd, y = torch.optim.SGD(net.parameters(), lr=1e-7), x.sum(1, keepdim=True)
    >>> found = examine(net, (x, y), nn.functional.mse_loss, sgd)
    >>> [finding.check for finding in found.findings], found.findings[0].evidence["tried"]["change"]
    (['low-learning-rate'], 'lr x 10000')
    """
    _check_arguments(model, loss, optimizer, steps)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with preserve_training_state(model, optimizer), preserve_loader_generators(data):
        batches, held_out = split_batches(data, device, steps)
        try:
            model_copy, optimizer_copy = copy.deepcopy((model, optimizer))
        except (RuntimeError, TypeError, ValueError) as error:
            raise UsageError(
                Message("the network cannot be copied: {error}", error=error),
                Message("use yisheng.doctor around your loop"),
            ) from None
        x = batches[0].x
        wrong_backward = check_backward(model_copy, x) if isinstance(x, torch.Tensor) else None
        setup = build_setup_from_loop(model_copy, optimizer_copy, loss, batches, held_out)
        diagnosis, case, finished = _train_and_diagnose(setup, steps)
        results = run_experiments(setup) if finished else ExperimentResults()
        diagnosis = _add_wrong_backward(verify_findings(diagnosis, results), wrong_backward)
        return add_alternatives(_add_row_findings(diagnosis, batches, held_out), case, results)


def build_setup_from_loop(
    model: nn.Module, optimizer: torch.optim.Optimizer, loss: Loss, batches: Sequence[Batch], held_out: Sequence[Batch]
) -> TrainingSetup:
    """Return the setup of a plain training: an update is forward, backward, step."""

    def measure(batch: Batch) -> torch.Tensor:
        return loss(nested.call(model, batch.x), batch.y).mean()

    def update(batch: Batch) -> None:
        optimizer.zero_grad()
        measure(batch).backward()
        optimizer.step()

    return TrainingSetup(model, optimizer, batches, held_out, update, measure)


def build_setup_from_assembly(assembly: Assembly) -> TrainingSetup:
    """Return the setup of a run before its first step: its own update on batches of its first epoch."""
    batches, held_out = hold_out(list(itertools.islice(assembly.train.epoch(0), EXPERIMENT_STEPS + 4)))
    state = assembly.state
    precision: Precision = assembly.config.precision

    def measure(batch: Batch) -> torch.Tensor:
        return mean_loss(state.model, batch, assembly.loss, precision)

    def update(batch: Batch) -> None:
        assembly.step(state, batch, assembly.loss)

    return TrainingSetup(state.model, state.optimizer, batches, held_out, update, measure)


def _add_row_findings(diagnosis: Diagnosis, batches: Sequence[Batch], held_out: Sequence[Batch]) -> Diagnosis:
    """Return the diagnosis with the findings of the cheap checks of the rows; there are no parts to compare."""
    parts = [(batch.x, batch.y) for batch in (*batches, *held_out) if isinstance(batch.x, torch.Tensor)]
    diagnosis = replace(diagnosis, examined=("training", "data"), missing=("validation",))
    try:
        rows = examine_rows(torch.cat([x for x, _ in parts]).cpu(), torch.cat([y for _, y in parts]).cpu(), quick=True)
    except (YishengError, RuntimeError) as error:  # several inputs, or rows of different sizes
        problem = error.problem if isinstance(error, YishengError) else Message("the batches have different shapes")
        return replace(diagnosis, unchecked={**diagnosis.unchecked, "data": problem}, examined=("training",))
    return add_findings(diagnosis, rows.findings, rows.unchecked)


def _train_and_diagnose(setup: TrainingSetup, steps: int) -> tuple[Diagnosis, Case, bool]:
    """Return the diagnosis of a training, its records, and whether it came to its end.

    Raises:
        UsageError: not even the first update succeeds.
    """
    model, optimizer = setup.model, setup.optimizer
    with preserve_training_state(model, optimizer), Recorder(model, optimizer) as recorder:
        model.train()
        try:
            for batch in itertools.islice(itertools.cycle(setup.batches), steps):
                setup.update(batch)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            if recorder.steps:  # the cause is in the training, and the checks can find it
                case = Case.from_recorder(recorder)
                return diagnose(case), case, False
            message = " ".join(str(error).split())[:MAX_ERROR_LENGTH]
            raise UsageError(
                Message("network, data and loss do not fit together: {message}", message=message),
                Message("try one batch: loss(model(x), y).backward()"),
            ) from None
        case = Case.from_recorder(recorder)
        return diagnose(case), case, True


def _add_wrong_backward(diagnosis: Diagnosis, finding: Finding | None) -> Diagnosis:
    """Add the finding of a wrong backward pass: before all others, or after them if it is a note."""
    if finding is None:
        return diagnosis
    findings = (*diagnosis.findings, finding) if finding.severity == "note" else (finding, *diagnosis.findings)
    return replace(diagnosis, findings=findings)


def _check_arguments(model: Any, loss: Any, optimizer: Any, steps: Any) -> None:
    if not isinstance(model, nn.Module) or not isinstance(optimizer, torch.optim.Optimizer) or not callable(loss):
        raise UsageError(
            Message(
                "the doctor requires a torch.nn.Module, data, a loss function and a torch.optim.Optimizer, "
                "got {type_name}, {name___2} and {name___3}",
                type_name=type(model).__name__,
                name___2=type(loss).__name__,
                name___3=type(optimizer).__name__,
            ),
            Message("write: yisheng.diagnose(model, (x, y), loss, optimizer)"),
        )
    if isinstance(optimizer, torch.optim.LBFGS):
        raise UsageError(
            Message("LBFGS evaluates the loss within its step"), Message("use yisheng.doctor around your own loop")
        )
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise UsageError(
            Message("steps must be an integer of at least 1, got {steps}", steps=f"{steps!r}"),
            Message("omit it for 200 steps"),
        )
