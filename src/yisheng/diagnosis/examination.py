"""An examination: a short training of a copy under the doctor's eyes, and the experiments that confirm what he sees."""

from __future__ import annotations

import contextlib
import copy
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from yisheng.core.config import AUTO
from yisheng.core.errors import UsageError
from yisheng.core.types import Batch, Finding
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.experiments import (
    EXPERIMENT_STEPS,
    TrainingSetup,
    preserve_training_state,
    run_experiments,
    verify_findings,
)
from yisheng.diagnosis.gradcheck import check_backward
from yisheng.diagnosis.ranking import Diagnosis, diagnose
from yisheng.diagnosis.recorder.recorder import Recorder
from yisheng.training.setup import Assembly
from yisheng.training.update import Precision, mean_loss

HELD_OUT = 512
"""Rows that experiments are scored on at most, and a quarter of all."""
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def examine(
    model: nn.Module,
    data: tuple[torch.Tensor, torch.Tensor] | Iterable[Any],
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    *,
    steps: int = 200,
) -> Diagnosis:
    """Train a copy of a network for a few steps, say what is wrong with it, and try the remedies.

    Backward passes that someone wrote are compared with differences of their forward passes, too. Network, optimiser
    and random generators are the same to the bit afterwards. The data is read once.

    Args:
        model: the network.
        data: inputs and targets ``(x, y)``, or batches of such pairs, as a DataLoader gives them.
        loss: ``(output, y)`` -> mean loss ``()``, or a loss per sample.
        optimizer: over the network's parameters.
        steps: updates to look at; 200 (default) are enough for what shows in the beginning.

    Raises:
        UsageError: these are no network, data, loss and optimiser that fit one another.

    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(256, 4)
    >>> net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))
    >>> found = examine(net, (x, x[:, :1]), nn.functional.mse_loss, torch.optim.SGD(net.parameters(), lr=1e-7))
    >>> [finding.check for finding in found.findings], found.findings[0].evidence["tried"]["change"]
    (['low-learning-rate'], 'lr x 10000')
    """
    _require(model, loss, optimizer, steps)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with preserve_training_state(model, optimizer), _own_generators(data):
        batches, held_out = _parts(data, device, steps)
        try:
            net, updater = copy.deepcopy((model, optimizer))
        except (RuntimeError, TypeError, ValueError) as error:
            raise UsageError(f"the network cannot be copied: {error}", "use yisheng.doctor around your loop") from None
        wrong = check_backward(net, batches[0].x)
        patient = build_setup_from_loop(net, updater, loss, batches, held_out)
        with preserve_training_state(net, updater), Recorder(net, updater) as watch:
            net.train()
            try:
                for batch in itertools.islice(itertools.cycle(batches), steps):
                    patient.update(batch)
            except (RuntimeError, TypeError, ValueError, IndexError) as error:
                if watch.steps:  # it went well before: what went wrong then is what the doctor is asked
                    return _with(wrong, diagnose(Case.from_recorder(watch)))
                why = " ".join(str(error).split())[:300]
                raise UsageError(
                    f"network, data and loss do not fit: {why}", "try one batch: loss(model(x), y).backward()"
                ) from None
            found = diagnose(Case.from_recorder(watch))
        return _with(wrong, verify_findings(found, run_experiments(patient)))


def _with(wrong: Finding | None, found: Diagnosis) -> Diagnosis:
    """A diagnosis, with a wrong backward pass before all else; a note after it."""
    if wrong is None:
        return found
    findings = (*found.findings, wrong) if wrong.severity == "note" else (wrong, *found.findings)
    return replace(found, findings=findings)


def build_setup_from_loop(
    model: nn.Module, optimizer: torch.optim.Optimizer, loss: Loss, batches: Sequence[Batch], held_out: Sequence[Batch]
) -> TrainingSetup:
    """A network, a loss and an optimiser as a patient: an update is forward, backward, step."""

    def measure(batch: Batch) -> torch.Tensor:
        return loss(model(batch.x), batch.y).mean()

    def update(batch: Batch) -> None:
        optimizer.zero_grad()
        measure(batch).backward()
        optimizer.step()

    return TrainingSetup(model, optimizer, batches, held_out, update, measure)


def build_setup_from_assembly(assembly: Assembly) -> TrainingSetup:
    """A training by a config, at its beginning, as a patient: its own update, batches of its first epoch."""
    found = list(itertools.islice(assembly.train.epoch(0), EXPERIMENT_STEPS + 4))
    held, batches = _divided(found)
    state = assembly.state
    precision: Precision = assembly.config.precision

    def measure(batch: Batch) -> torch.Tensor:
        return mean_loss(state.model, batch, assembly.loss, precision)

    return TrainingSetup(
        state.model,
        state.optimizer,
        batches,
        held,
        lambda batch: assembly.step(state, batch, assembly.loss),
        measure,
    )


def _divided(found: list[Batch]) -> tuple[list[Batch], list[Batch]]:
    """The first batches, a quarter and `HELD_OUT` rows at most, to be held out; and the others, to train on."""
    rows, number = 0, 0
    for batch in found[: len(found) // 4]:
        if number and rows + len(batch) > HELD_OUT:
            break
        rows, number = rows + len(batch), number + 1
    if number:
        return found[:number], found[number:]
    held_out = [_rows(one, slice(0, len(one) // 4)) for one in found if len(one) >= 4]
    return held_out, [_rows(one, slice(len(one) // 4, None)) for one in found]


def _rows(batch: Batch, some: slice) -> Batch:
    weight = None if batch.weight is None else batch.weight[some]
    return Batch(batch.x[some], batch.y[some], batch.index[some], weight)


def _parts(data: Any, device: torch.device, steps: int) -> tuple[list[Batch], list[Batch]]:
    """Batches to train on, and some held out."""
    if isinstance(data, tuple | list) and len(data) == 2 and all(isinstance(one, torch.Tensor) for one in data):
        found = list(_cut(*data))
    else:
        found = [_pair(one) for one in itertools.islice(_batches(data), steps + 8)]
    if not found:
        raise UsageError("there is no data to look at", "give (x, y), or a DataLoader of such pairs")
    found = [Batch(b.x.to(device), b.y.to(device), b.index, None) for b in found]
    held_out, batches = _divided(found)
    return batches, held_out


def _cut(x: torch.Tensor, y: torch.Tensor) -> Iterator[Batch]:
    """Shuffled batches of as many rows as a config would take."""
    if not len(x) or len(x) != len(y):
        raise UsageError(f"inputs and targets must be as many, got {len(x)} and {len(y)}", "give one target per row")
    size = min(128, max(16, 2 ** round(math.log2(max(len(x), 1) / 32))), len(x))
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    for at in range(0, len(x) - size + 1, size):
        rows = order[at : at + size]
        yield Batch(x[rows], y[rows], rows)


def _batches(data: Any) -> Iterator[Any]:
    try:
        return iter(data)
    except TypeError:
        raise UsageError(f"data must be (x, y) or batches, got {type(data).__name__}", "give a DataLoader") from None


def _pair(one: Any) -> Batch:
    pair = isinstance(one, tuple | list) and len(one) == 2 and all(isinstance(part, torch.Tensor) for part in one)
    if not pair:
        raise UsageError("a batch must be a pair of tensors (x, y)", "use yisheng.doctor around your own loop")
    return Batch(one[0], one[1], torch.arange(len(one[0])))


@contextlib.contextmanager
def _own_generators(data: Any) -> Iterator[None]:
    """Leave the generators that a DataLoader draws from as they were."""
    places = [data, getattr(data, "sampler", None), getattr(getattr(data, "batch_sampler", None), "sampler", None)]
    found = {id(g): g for place in places if isinstance(g := getattr(place, "generator", None), torch.Generator)}
    states = [(g, g.get_state()) for g in found.values()]
    try:
        yield
    finally:
        for g, state in states:
            g.set_state(state)


def _require(model: Any, loss: Any, optimizer: Any, steps: Any) -> None:
    if not isinstance(model, nn.Module) or not isinstance(optimizer, torch.optim.Optimizer) or not callable(loss):
        raise UsageError(
            "the doctor wants a torch.nn.Module, data, a loss and a torch.optim.Optimizer, got "
            f"{type(model).__name__}, {type(loss).__name__} and {type(optimizer).__name__}",
            "yisheng.diagnose(model, (x, y), loss, optimizer)",
        )
    if isinstance(optimizer, torch.optim.LBFGS):
        raise UsageError("LBFGS evaluates the loss within its step", "use yisheng.doctor around your own loop")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise UsageError(f"steps must be a whole number of 1 or more, got {steps!r}", "leave it out for 200")
